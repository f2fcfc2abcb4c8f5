#!/usr/bin/env python3
"""The search against simpler ways to the same latency: settings drawn at random, and one share cut of every group.

search_models.py [--program P] [--target T] MODEL... prints a Markdown table: the share of the weights' importance that
each way keeps at 0.7 and 0.4 of the model's latency, with equally many candidates, and how many it prices a second.
"""

import argparse
import json
import os
import subprocess

EVALUATIONS = 20000
STRATEGIES = ("evolution", "random", "uniform")


def run(program, *arguments):
    done = subprocess.run([program, *arguments, "-q", "-f", "json"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main():
    root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=os.path.join(root, "build", "bin", "onnx-latency"))
    parser.add_argument("--target", default="pixel-3")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    print("| model | budget | " + " | ".join(STRATEGIES) + " | candidates a second and thread |\n|---|---|---|---|---|---|")
    for path in options.models:
        whole = run(options.program, "predict", path, "-t", options.target)["results"][0]["latency_ms"]
        for share in (0.7, 0.4):
            cells = []
            for strategy in STRATEGIES:
                found = run(options.program, "search", path, "-t", options.target, "--budget", str(whole * share),
                            "--risk", "0.5", "--evaluations", str(EVALUATIONS), "--strategy", strategy, "--plan",
                            "--jobs", "1")
                cells.append(f"{found['chosen']['score']:.3f}" if found["met"] else "not met")
                if strategy == "evolution":
                    speed = found["evaluated"] / found["seconds"]
            name = os.path.splitext(os.path.basename(path))[0]
            print(f"| {name} | {share} | " + " | ".join(cells) + f" | {speed:.0f} |", flush=True)


if __name__ == "__main__":
    main()
