#!/usr/bin/env python3
"""How exact a calibrated target is: measures models here, predicts them, writes docs/accuracy-host.md.

Usage: accuracy_host.py TARGET.json MODEL.onnx... [--program build/bin/onnx-latency] [--output docs/accuracy-host.md]
Run it right after `calibrate`, with nothing else on the machine.
"""

import argparse
import json
import os
import statistics
import subprocess

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def run(program, *arguments):
    return json.loads(subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout)


def ranks(values):
    order = sorted(values)
    return [order.index(value) + (order.count(value) - 1) / 2 for value in values]


def srcc(a, b):
    a, b = ranks(a), ranks(b)
    mean = statistics.fmean(a)
    spread = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return sum((x - mean) * (y - mean) for x, y in zip(a, b)) / spread ** 0.5 if spread else 1.0


def compare(program, target, threads, model):
    measured = run(program, "measure", "-f", "json", "--threads", str(threads), model)["results"][0]
    predicted = run(program, "predict", "-q", "-f", "json", "-t", target, model)["results"][0]
    low, high = predicted["interval_ms"]
    return {"model": os.path.basename(model).removesuffix(".onnx"), "measured": measured["median_ms"],
            "predicted": predicted["latency_ms"], "low": low, "high": high, "macs": sum(kernel["macs"] for kernel in predicted["kernels"])}


def summary(rows):
    errors = [row["predicted"] / row["measured"] - 1 for row in rows]
    size = sorted(abs(error) for error in errors)
    inside = sum(row["low"] <= row["measured"] <= row["high"] for row in rows)
    measured = [row["measured"] for row in rows]
    return (f"{len(rows)} models: SRCC {srcc(measured, [row['predicted'] for row in rows]):.3f} "
            f"(multiply-accumulates alone {srcc(measured, [row['macs'] for row in rows]):.3f}), median absolute error "
            f"{statistics.median(size):.1%}, within 10 % {sum(e <= 0.1 for e in size)} of {len(rows)}, worst {size[-1]:.1%}, "
            f"inside the 90 % interval {inside} of {len(rows)}.")


def table(rows):
    lines = ["| model | measured ms | predicted ms | interval | error |", "|---|---:|---:|---:|---:|"]
    for row in sorted(rows, key=lambda row: row["measured"]):
        lines.append(f"| {row['model']} | {row['measured']:.2f} | {row['predicted']:.2f} | {row['low']:.1f} to "
                     f"{row['high']:.1f} | {row['predicted'] / row['measured'] - 1:+.1%} |")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "bin", "onnx-latency"))
    parser.add_argument("--output", default=os.path.join(ROOT, "docs", "accuracy-host.md"))
    options = parser.parse_args()
    with open(options.target, encoding="utf-8") as stream:
        target = json.load(stream)
    threads = target["runtime"]["threads"]
    rows = [compare(options.program, options.target, threads, model) for model in options.models]
    text = ["# Accuracy of a calibrated machine", "",
            f"Written by `tools/accuracy_host.py`: {target.get('device', 'a CPU')}, {target['description']}. "
            f"{target['source']}; none of the models below took part.", "", summary(rows), "", *table(rows), ""]
    with open(options.output, "w", encoding="utf-8") as stream:
        stream.write("\n".join(text))
    print(text[4])


if __name__ == "__main__":
    main()
