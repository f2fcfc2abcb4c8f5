#!/usr/bin/env python3
"""How exact a calibrated target is: measures models here, predicts them, writes a section of docs/accuracy.md.

Usage: accuracy_host.py TARGET.json [MODEL.onnx...] [--program build/bin/onnx-latency]
Without models, those that the full tests exported to build/zoo. Run it right after `calibrate`, with nothing else on the machine.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess

import sections

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def run(program, *arguments):
    return json.loads(subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout)


def exported():
    """What tests/full/full_kernels.py and tests/full/zoo.py export: the former where there are both."""
    folder = os.path.join(ROOT, "build", "zoo")
    models = glob.glob(os.path.join(folder, "*.kernels.onnx"))
    with open(os.path.join(folder, "zoo.json"), encoding="utf-8") as stream:
        names = json.load(stream)
    return sorted(models + [os.path.join(folder, f"{name}.onnx") for name in names
                            if os.path.join(folder, f"{name}.kernels.onnx") not in models])


def ranks(values):
    order = sorted(values)
    return [order.index(value) + (order.count(value) - 1) / 2 for value in values]


def srcc(a, b):
    a, b = ranks(a), ranks(b)
    mean = statistics.fmean(a)
    spread = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return sum((x - mean) * (y - mean) for x, y in zip(a, b)) / spread ** 0.5 if spread else 1.0


def measure(program, threads, models):
    """Median ms by model, the lower of two passes minutes apart: what disturbs one seldom meets the other."""
    passes = [{model: run(program, "measure", "-f", "json", "--threads", str(threads), model)["results"][0]["median_ms"]
               for model in models} for _ in range(2)]
    return {model: min(taken[model] for taken in passes) for model in models}


def compare(program, target, measured, model):
    predicted = run(program, "predict", "-q", "-f", "json", "-t", target, model)["results"][0]
    low, high = predicted["interval_ms"]
    return {"model": os.path.basename(model).split(".")[0], "measured": measured,
            "predicted": predicted["latency_ms"], "low": low, "high": high,
            "doubtful": predicted["extrapolated"], "data": predicted.get("data_dependent_nodes", 0) > 0,
            "macs": sum(kernel["macs"] for kernel in predicted["kernels"])}


def summary(rows):
    errors = [row["predicted"] / row["measured"] - 1 for row in rows]
    size = sorted(abs(error) for error in errors)
    inside = sum(row["low"] <= row["measured"] <= row["high"] for row in rows)
    measured = [row["measured"] for row in rows]
    return (f"SRCC {srcc(measured, [row['predicted'] for row in rows]):.3f} "
            f"(multiply-accumulates alone {srcc(measured, [row['macs'] for row in rows]):.3f}), median absolute error "
            f"{statistics.median(size):.1%}, within 10 % {sum(e <= 0.1 for e in size)} of {len(rows)}, worst {size[-1]:.1%}, "
            f"inside the 90 % interval {inside} of {len(rows)}.")


def table(rows):
    lines = ["| model | measured ms | predicted ms | interval | error |", "|---|---:|---:|---:|---:|"]
    for row in sorted(rows, key=lambda row: row["measured"]):
        doubt = " (data)" if row["data"] else " (doubtful)" if row["doubtful"] else ""
        lines.append(f"| {row['model']} | {row['measured']:.2f} | {row['predicted']:.2f} | {row['low']:.1f} to "
                     f"{row['high']:.1f}{doubt} | {row['predicted'] / row['measured'] - 1:+.1%} |")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "bin", "onnx-latency"))
    options = parser.parse_args()
    with open(options.target, encoding="utf-8") as stream:
        target = json.load(stream)
    threads = target["runtime"]["threads"]
    models = options.models or exported()
    measured = measure(options.program, threads, models)
    rows = [compare(options.program, options.target, measured[model], model) for model in models]
    sure = [row for row in rows if not row["doubtful"] and not row["data"]]
    said = f"All {len(rows)} models: {summary(rows)}"
    if len(sure) < len(rows):
        said += (f" Without the {len(rows) - len(sure)} that `predict` itself sets apart (marked: what they run depends on "
                 f"data, or they hold kernels nothing like which was measured): {summary(sure)}")
    many = "one thread" if threads == 1 else f"{threads} threads"
    sections.replace(os.path.join(ROOT, "docs", "accuracy.md"), f"Predictions for {many} of a calibrated machine", "\n".join([
        f"Written by `tools/accuracy_host.py`: {target.get('device', 'a CPU')}, {target['description']}. "
        f"{target['source']}; none of the models below took part. Untrained torchvision exports; measured: the lower of "
        "two medians.", "", said, "", *table(rows)]))
    print(said)


if __name__ == "__main__":
    main()
