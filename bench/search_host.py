"""Models cut to a budget on a calibrated machine, and what they then really take; writes a section of docs/accuracy.md.

Usage: search_host.py TARGET.json [NAME...]
Run it right after `calibrate`, with nothing else on the machine. Budgets are shares of the latency measured before.
"""

import json
import math
import os
import sys
import tempfile
import warnings

import torch

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests", "full")]
import harness  # noqa: E402
import search_models  # noqa: E402
import sections  # noqa: E402
import zoo  # noqa: E402

SHARES = (0.7, 0.4)
LIMIT = 1.1  # of the budget
TORCHVISION = ["mobilenet_v2", "resnet50", "efficientnet_b0", "regnet_y_400mf", "densenet121", "shufflenet_v2_x1_0",
               "convnext_tiny", "vit_b_16"]
# The smaller ones of the tests, as large as people use them: constructor, example, open axes, sizes.
OWN = {"unet": (lambda: search_models.UNet(32), lambda: torch.randn(1, 3, 128, 128), {"input": {0: "batch"}},
                {"batch": 1}),
       "bert": (lambda: search_models.Bert(384, 6, 4), lambda: torch.randint(search_models.VOCABULARY, (1, 64)),
                {"input": {0: "batch", 1: "sequence"}}, {"batch": 1, "sequence": 64})}


def export_own(name, folder):
    constructor, example, axes, _ = OWN[name]
    path = os.path.join(folder, name + "_large.onnx")
    if not os.path.exists(path):
        torch.manual_seed(search_models.SEED)
        torch.onnx.export(constructor().eval(), example(), path + ".part", opset_version=17, input_names=["input"],
                          dynamic_axes=axes)
        os.replace(path + ".part", path)
    return path


def sizes_of(name):
    return [word for key, size in (OWN[name][3] if name in OWN else {}).items() for word in ("--dim", f"{key}={size}")]


def measured_ms(path, threads, sizes):
    """The lower of two medians."""
    done = [harness.run("measure", "-f", "json", "--threads", str(threads), *sizes, path) for _ in range(2)]
    return min(json.loads(one.stdout)["results"][0]["median_ms"] for one in done)


def cut(name, path, target, threads, output):
    sizes = sizes_of(name)
    before = measured_ms(path, threads, sizes)
    for share in SHARES:
        budget = share * before
        try:
            done = harness.run("search", "-q", "-f", "json", path, "-t", target, "--budget", f"{budget}", "-o", output,
                               *sizes)
        except AssertionError as failure:  # nothing meets it: one not kept
            print(failure, flush=True)
            yield name, before, share, budget, math.nan, math.inf, math.nan
            continue
        chosen = json.loads(done.stdout)["chosen"]
        after = measured_ms(output, threads, sizes)
        os.remove(output)
        print(f"{name} {share}: {after / budget:.3f} of the budget", flush=True)
        yield name, before, share, budget, chosen["latency_ms"], after, chosen["score"]


def main():
    warnings.filterwarnings("ignore")
    target, names = sys.argv[1], sys.argv[2:] or TORCHVISION + list(OWN)
    with open(target, encoding="utf-8") as stream:
        facts = json.load(stream)
    zoo.export(harness.ZOO, [name for name in names if name not in OWN])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = export_own(name, harness.ZOO) if name in OWN else os.path.join(harness.ZOO, name + ".onnx")
            rows += cut(name, path, target, facts["runtime"]["threads"], os.path.join(folder, "out.onnx"))
    kept = sum(after <= LIMIT * budget for _, _, _, budget, _, after, _ in rows)
    lines = [f"Written by `bench/search_host.py`: {facts.get('device', 'a CPU')}, {facts['description']}. Every model is cut "
             "by `search` to shares of its measured latency, by the prediction of the calibrated target and its default "
             "risk, and measured again.", "",
             f"{kept} of {len(rows)} really take at most {LIMIT} times the budget.", "",
             "| model | measured ms | to | budget ms | predicted ms | measured ms | of the budget | retained importance |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]
    lines += [f"| {name} | {before:.2f} | {share} | {budget:.2f} | {predicted:.2f} | {after:.2f} | {after / budget:.2f} | "
              f"{score:.3f} |" for name, before, share, budget, predicted, after, score in rows]
    sections.replace(os.path.join(ROOT, "docs", "accuracy.md"), "Models cut on a calibrated machine", "\n".join(lines))
    print(lines[2])


if __name__ == "__main__":
    main()
