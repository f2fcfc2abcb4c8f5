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
SHARES = (0.7, 0.4)
STRATEGIES = ("evolution", "random", "uniform")


def run(program, *arguments):
    done = subprocess.run([program, *arguments, "-q", "-f", "json"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def search(program, path, target, budget, strategy):
    return run(program, "search", path, "-t", target, "--budget", str(budget), "--risk", "0.5", "--evaluations",
               str(EVALUATIONS), "--strategy", strategy, "--plan", "--jobs", "1")


def table(program, target, models):
    """Its lines."""
    yield "| model | budget | " + " | ".join(STRATEGIES) + " | candidates a second and thread |"
    yield "|---|---|---|---|---|---|"
    for path in models:
        whole = run(program, "predict", path, "-t", target)["results"][0]["latency_ms"]
        for share in SHARES:
            found = [search(program, path, target, whole * share, strategy) for strategy in STRATEGIES]
            scores = [f"{one['chosen']['score']:.3f}" if one["met"] else "not met" for one in found]
            name = os.path.splitext(os.path.basename(path))[0]
            speed = found[0]["evaluated"] / found[0]["seconds"]
            yield f"| {name} | {share} | " + " | ".join(scores) + f" | {speed:.0f} |"


def main():
    root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=os.path.join(root, "build", "bin", "onnx-latency"))
    parser.add_argument("--target", default="pixel-3")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    for line in table(options.program, options.target, options.models):
        print(line, flush=True)


if __name__ == "__main__":
    main()
