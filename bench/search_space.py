#!/usr/bin/env python3
"""Choosing architectures for devices known by ten measurements: how good are the choices, and do they keep the budget?

search_space.py [--program P] [--data DIR] [--seeds N] [--risk P] [--known | DEVICE...] prints a Markdown table. The
candidates are the 500 NAS-Bench-201 architectures of accuracy/nasbench201_cifar100.csv with their real accuracies; the
latencies are those of latency/nasbench201.csv. Budgets without a published value are the quarters of what the
candidates really take.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import tempfile

SOURCES = ["gtx-1080ti", "xeon-silver-4114", "xeon-silver-4210r", "samsung-a50", "pixel3", "essential-ph1",
           "samsung-s7"]
SAME = {"1080ti": "gtx-1080ti", "silver_4114": "xeon-silver-4114", "silver_4210r": "xeon-silver-4210r",
        "samsung_a50": "samsung-a50", "pixel3": "pixel3", "essential_ph_1": "essential-ph1",
        "samsung_s7": "samsung-s7"}
PUBLISHED = {"fpga": (4, 5, 6)}
# What the rule of the choice was chosen on, and what it was not.
KNOWN = ["1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r", "samsung_a50", "pixel3",
         "essential_ph_1", "samsung_s7"]
DEVICES = ["fpga", "raspi4", "titan_rtx_1", "titan_rtx_32", "gold_6240", "2080ti_1", "2080ti_32", "2080ti_256"]


def read(path):
    with open(path, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return done


def adapt(options, device, samples, folder):
    proxies = [name for name in SOURCES if SAME.get(device) != name and SAME.get(device.rsplit("_", 1)[0]) != name]
    table, target = os.path.join(folder, "samples.csv"), os.path.join(folder, "target.json")
    with open(table, "w", encoding="utf-8") as stream:
        stream.write("model,latency_ms\n" + "".join(f"{arch},{ms}\n" for arch, ms in samples))
    run(options.program, "adapt", "-q", "--space", "nasbench201", "-m", table, "-o", target, "--proxy",
        ",".join("measured-" + name for name in proxies))
    return target


def choose(options, target, budget):
    scores = os.path.join(options.data, "accuracy", "nasbench201_cifar100.csv")
    done = run(options.program, "search", "--space", "nasbench201", "--score-table", scores, "-t", target, "--budget",
               str(budget), "--plan", "-q", "-f", "json", *(["--risk", options.risk] if options.risk else []))
    found = json.loads(done.stdout)
    return found["chosen"]["config"]["arch"]


def budgets_of(device, real):
    ordered = sorted(real.values())
    return PUBLISHED.get(device) or [ordered[len(ordered) * quarter // 4] for quarter in (1, 2, 3)]


def trials(options, device, latencies, accuracy):
    """(budget, real latency, accuracy, best accuracy) of every choice."""
    pool = [row["arch"] for row in latencies.values()]
    real = {arch: float(latencies[arch][device]) for arch in accuracy}
    for seed in range(options.seeds):
        drawn = random.Random(seed).sample(pool, 10)
        with tempfile.TemporaryDirectory() as folder:
            target = adapt(options, device, [(arch, latencies[arch][device]) for arch in drawn], folder)
            for budget in budgets_of(device, real):
                arch = choose(options, target, budget)
                best = max(accuracy[a] for a, ms in real.items() if ms <= budget)
                yield budget, real[arch], accuracy[arch], best


def main():
    root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=os.path.join(root, "build", "bin", "onnx-latency"))
    parser.add_argument("--data", default=os.path.join(root, "..", "shared", "data"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--risk", help="instead of the program's own")
    parser.add_argument("--known", action="store_true", help="the columns that the rule was chosen on")
    parser.add_argument("devices", nargs="*")
    options = parser.parse_args()
    latencies = {row["arch"]: row for row in read(os.path.join(options.data, "latency", "nasbench201.csv"))}
    accuracy = {row["arch"]: float(row["accuracy"])
                for row in read(os.path.join(options.data, "accuracy", "nasbench201_cifar100.csv"))}
    print("| device | budget, ms | latency, ms: mean | worst | kept | accuracy, %: mean | best possible |\n"
          "|---|---|---|---|---|---|---|")
    everything, often, near, budgets = [], 0, 0, 0
    for device in options.devices or (KNOWN if options.known else DEVICES):
        rows = list(trials(options, device, latencies, accuracy))
        everything += rows
        for budget in sorted({row[0] for row in rows}):
            mine = [row for row in rows if row[0] == budget]
            kept = sum(row[1] <= budget for row in mine)
            budgets, often = budgets + 1, often + (kept >= 0.9 * len(mine))
            near += sum(r[3] - r[2] for r in mine) <= 0.5 * len(mine)
            print(f"| {device} | {budget:.4g} | {sum(r[1] for r in mine) / len(mine):.2f} | "
                  f"{max(r[1] for r in mine):.2f} | {kept} of {len(mine)} | "
                  f"{sum(r[2] for r in mine) / len(mine):.2f} | {mine[0][3]:.2f} |", flush=True)
    print(f"\nKept in {sum(row[1] <= row[0] for row in everything) / len(everything):.1%} of the draws, "
          f"{sum(row[3] - row[2] for row in everything) / len(everything):.2f} points below the best possible. "
          f"Of {budgets} budgets {often} are kept in nine of ten draws, {near} within 0.5 points.")


if __name__ == "__main__":
    main()
