"""Measures the program against the reference and writes docs/performance.md. Started by tools/bench.

Usage: performance.py BUILD_FOLDER OUTPUT
Every figure is a median over whole processes, start-up included, with the files in the page cache.
"""

import json
import os
import platform
import shutil
import subprocess
import sys

import search_models

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUILD = os.path.abspath(sys.argv[1])
PROGRAM = os.path.join(BUILD, "bin", "onnx-latency")
NETS = os.path.join(ROOT, "models", "nets")
MODULES = os.path.join(ROOT, "node_modules")
REFERENCE = [sys.executable, os.path.join(ROOT, "bench", "reference.py")]
MODELS = ["mobilenet_v2", "resnet50", "vgg16", "vit_b_16"]
SAMPLES = ["mobilenet_v2", "resnet18", "bert_4_layers", "unet", "ssdlite320"]
SIZES = ["--dim", "sequence=128", "--dim", "height=256", "--dim", "width=256"]
CUT = ["mobilenet_v2", "resnet50", "regnet_y_400mf", "shufflenet_v2_x1_0"]
CUT_FOR = "pixel-3"
RANKED = 1000
TARGET = "raspberry-pi-4"
MEASURED = "measured-raspi4"
DATA = os.environ.get("ONNX_LATENCY_DATA", os.path.join(ROOT, "..", "shared", "data", "latency"))


def cost(runs, *command):
    """Median wall ms, processor ms and peak MB of a whole process."""
    done = subprocess.run([os.path.join(BUILD, "bin", "process_cost"), str(runs), *command], check=True,
                          capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def compare(rounds, *cases):
    """The costs of several (runs, command) cases, taken in turn. Of each the fastest round counts, so that what else the
    machine does for a while falls on none of them alone."""
    taken = [[cost(runs, *command) for runs, command in cases] for _ in range(rounds)]
    return [min(case) for case in zip(*taken)]


def zoo(name):
    return os.path.join(BUILD, "zoo", name + ".onnx")


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def against_reference():
    yield "| model | file MB | profile ms | CPU ms | peak MB | reference ms | CPU ms | peak MB | times faster | CPU |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name in MODELS:
        path = zoo(name)
        size = os.path.getsize(path) / 1e6
        (wall, cpu, peak), (ref_wall, ref_cpu, ref_peak) = compare(
            4, (51, (PROGRAM, "profile", path)), (3 if size < 200 else 1, (*REFERENCE, path)))
        yield (f"| {name} | {size:.1f} | {wall:.2f} | {cpu:.2f} | {peak:.1f} | {ref_wall:.0f} | {ref_cpu:.0f} | "
               f"{ref_peak:.0f} | {ref_wall / wall:.0f} | {ref_cpu / cpu:.0f} |")


def predict_and_profile():
    yield "| model | profile ms | predict ms | ratio |"
    yield "|---|---:|---:|---:|"
    for name in MODELS:
        (profile, _, _), (predict, _, _) = compare(
            4, (51, (PROGRAM, "profile", zoo(name))), (51, (PROGRAM, "predict", "-t", TARGET, zoo(name))))
        yield f"| {name} | {profile:.2f} | {predict:.2f} | {predict / profile:.2f} |"


def ranking():
    folder = os.path.join(BUILD, "ranked")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for i in range(RANKED):
        shutil.copy(os.path.join(NETS, SAMPLES[i % len(SAMPLES)] + ".onnx"), os.path.join(folder, f"{i:04}.onnx"))
    yield "| jobs | seconds | models a second | times faster than one |"
    yield "|---:|---:|---:|---:|"
    jobs = [1 << i for i in range(os.cpu_count().bit_length())]
    costs = compare(4, *((1, (PROGRAM, "rank", "-t", TARGET, *SIZES, "--jobs", str(n), folder)) for n in jobs))
    for n, (wall, _, _) in zip(jobs, costs):
        yield f"| {n} | {wall / 1e3:.2f} | {RANKED / wall * 1e3:.0f} | {costs[0][0] / wall:.2f} |"
    shutil.rmtree(folder)


def spaces():
    """Inside one process (bench/space_speed.c)."""
    folder = os.path.join(BUILD, "speed")
    os.makedirs(folder, exist_ok=True)
    yield from subprocess.run([os.path.join(BUILD, "bin", "space_speed"), folder], check=True, capture_output=True,
                              text=True).stdout.splitlines()


def table(space):
    return os.path.join(DATA, space + ".csv")


def experiments():
    """Whole processes on the measured tables, where those are at hand."""
    accuracy = os.path.join(BUILD, "accuracy.csv")
    with open(table("nasbench201"), encoding="utf-8") as rows, open(accuracy, "w", encoding="utf-8") as out:
        for i, row in enumerate(rows):
            out.write(row.split(",")[0] + ("," + str(i) if i else ",accuracy") + "\n")
    commands = {
        "`evaluate`, 5,000 FBNet architectures, 20 seeds, one device":
            ["evaluate", "--space", "fbnet", "--table", table("fbnet"), "--targets", "raspi4"],
        "`evaluate`, 5,000 FBNet architectures, 20 seeds, every device":
            ["evaluate", "--space", "fbnet", "--table", table("fbnet")],
        "`search`, all 15,625 of NAS-Bench-201 priced and ranked":
            ["search", "--space", "nasbench201", "--score-table", accuracy, "-t", MEASURED, "--budget", "1000",
             "-o", os.path.join(BUILD, "speed", "chosen.onnx")],
    }
    yield "| experiment | seconds |"
    yield "|---|---:|"
    for what, command in commands.items():
        yield f"| {what} | {cost(1, PROGRAM, command[0], '-q', *command[1:])[0] / 1e3:.2f} |"


def searching():
    few, many = 2000, 6000
    command = [PROGRAM, "search", "-q", "--plan", "--jobs", "1", os.path.join(NETS, "mobilenet_v2.onnx"), "-t", TARGET,
               "--budget", "15", "-o", os.path.join(BUILD, "speed", "fitted.onnx"), "--evaluations"]
    ms = [cost(3, *command, str(n))[1] for n in (few, many)]
    yield f"`search` on MobileNetV2 prices {(many - few) / (ms[1] - ms[0]) * 1e3:.0f} candidates a second on one core"
    yield f"(processor time of {many} candidates less that of {few})."
    yield ""
    yield f"Against simpler ways: retained importance at a share of the model's latency on `{CUT_FOR}`, `--risk 0.5`,"
    yield f"{search_models.EVALUATIONS} candidates each. *Random*: settings drawn around a random share of every knob's range."
    yield f"*Uniform*: one share of every group of channels, in {search_models.EVALUATIONS} steps."
    yield ""
    yield from search_models.table(PROGRAM, CUT_FOR, [zoo(name) for name in CUT])


def measuring():
    """ONNX Runtime through `measure` and through its Node binding, in turn; the fastest round of each counts."""
    path, runs, rounds = zoo("mobilenet_v2"), 100, 5
    ours, theirs = [], []
    for _ in range(rounds):
        answer = subprocess.run([PROGRAM, "measure", "-f", "json", "--threads", "1", "--runs", str(runs), path],
                                check=True, capture_output=True, text=True)
        ours.append(json.loads(answer.stdout)["results"][0]["median_ms"])
        answer = subprocess.run(["node", os.path.join(ROOT, "bench", "measure_node.js"), path, str(runs), "input",
                                 "1,3,224,224"], check=True, capture_output=True, text=True,
                                env={**os.environ, "NODE_PATH": MODULES})
        theirs.append(float(answer.stdout))
    yield (f"MobileNetV2 on one thread: `measure` says {min(ours):.2f} ms, the same library driven from Node "
           f"{min(theirs):.2f} ms, a ratio of {min(ours) / min(theirs):.3f}")
    yield f"(medians of {runs} runs, the best of {rounds} rounds taken in turn)."


def page():
    empty = cost(201, "/bin/true")[0]
    yield "# Performance"
    yield ""
    yield f"Written by `tools/bench` on {processor()}, {os.cpu_count()} cores. Whole processes, start-up included, files in the"
    yield f"page cache; the best of four rounds of medians, what is compared taken in turn. An empty process takes {empty:.2f} ms."
    yield ""
    yield "## profile, against the reference ONNX package"
    yield "The reference is what Python's `onnx` does to load, check and infer shapes (`bench/reference.py`), on the same"
    yield "files in the same run."
    yield ""
    yield from against_reference()
    yield ""
    yield "## predict, against profile"
    yield from predict_and_profile()
    yield ""
    yield "## rank"
    yield f"{RANKED} models, copies of {', '.join(SAMPLES)} (`models/nets`), on `{TARGET}`."
    yield ""
    yield from ranking()
    yield ""
    yield "## Search spaces"
    yield "One process, one core, processor time. Features from parts that were lowered before, against the whole graph's, in all views."
    yield "Adapting weighs every measured target; it is timed from the file of measurements to the new target's."
    yield ""
    yield from spaces()
    if os.path.isdir(DATA):
        yield ""
        yield from experiments()
    yield ""
    yield "## search"
    yield from searching()
    if os.path.isdir(MODULES):
        yield ""
        yield "## measure"
        yield from measuring()


def main():
    text = "\n".join(page()) + "\n"
    with open(sys.argv[2], "w", encoding="utf-8") as stream:
        stream.write(text)
    print(text, end="")


main()
