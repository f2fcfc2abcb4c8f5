#!/usr/bin/python3
"""Fits models/targets/*.json on the measured tables (docs/data.md): usage fit_targets.py PROGRAM [DEVICE...]

One target a device: the columns of its batch sizes and spaces are joined, as many rows from each, and handed to
`adapt --proxy none`, which validates on rows held out and on the space left out. The tables are not part of this project;
ONNX_LATENCY_DATA says where they are.
"""
import csv, os, random, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("ONNX_LATENCY_DATA", os.path.join(ROOT, "..", "shared", "data", "latency"))
ROWS = 1500  # of each space and batch size
HELP = "tables of HELP (Lee et al., NeurIPS 2021), MIT licence"
ONEPROXY = "tables of OneProxy (Lu et al., SIGMETRICS 2022), MIT licence"
HWNAS = "HW-NAS-Bench (Li et al., ICLR 2021), by the "
EAGLE = "Eagle / BRP-NAS (Dudziak et al., NeurIPS 2020), by the "
NNMETER = "nn-Meter (Zhang et al., MobiSys 2021), by the "
SPACES = {"nasbench201": "nasbench201.csv", "fbnet": "fbnet.csv", "ofa": "ofa.csv",
          "nasbench201-c10": "oneproxy_nasbench201.csv"}

# target: columns without batch, vendor, device and runtime, source
DEVICES = {
    "measured-gtx-1080ti": (["1080ti"], "NVIDIA", "GeForce GTX 1080 Ti, PyTorch", HELP),
    "measured-rtx-2080ti": (["2080ti"], "NVIDIA", "GeForce RTX 2080 Ti, PyTorch", HELP),
    "measured-titan-x": (["titanx"], "NVIDIA", "Titan X, PyTorch", HELP),
    "measured-titan-xp": (["titanxp", "titan_xp"], "NVIDIA", "Titan Xp, PyTorch", HELP),
    "measured-titan-rtx": (["titan_rtx"], "NVIDIA", "Titan RTX, PyTorch", HELP),
    "measured-xeon-gold-6240": (["gold_6240"], "Intel", "Xeon Gold 6240, PyTorch", HELP),
    "measured-xeon-silver-4114": (["silver_4114"], "Intel", "Xeon Silver 4114, PyTorch", HELP),
    "measured-xeon-silver-4210r": (["silver_4210r"], "Intel", "Xeon Silver 4210R, PyTorch", HELP),
    "measured-essential-ph1": (["essential_ph_1"], "Essential", "Essential Phone PH-1 (whole milliseconds)", HELP),
    "measured-samsung-a50": (["samsung_a50"], "Samsung", "Galaxy A50 (whole milliseconds)", HELP),
    "measured-samsung-s7": (["samsung_s7"], "Samsung", "Galaxy S7 (whole milliseconds)", HELP),
    "measured-pixel3": (["pixel3"], "Google", "Pixel 3, TensorFlow Lite", HWNAS + HELP),
    "measured-raspi4": (["raspi4"], "Raspberry Pi", "Raspberry Pi 4, TensorFlow Lite", HWNAS + HELP),
    "measured-fpga-zc706": (["fpga"], "Xilinx", "ZC706, model of an accelerator", HWNAS + HELP),
    "measured-jetson-tx2": (["rice_edgegpu"], "NVIDIA", "Jetson TX2", HWNAS + ONEPROXY),
    "measured-edge-tpu": (["rice_edgetpu"], "Google", "Edge TPU, int8", HWNAS + ONEPROXY),
    "measured-snapdragon855-cpu": (["eagle_cpu_855"], "Qualcomm", "Snapdragon 855 Kryo 485, int8", EAGLE + ONEPROXY),
    "measured-snapdragon855-gpu": (["eagle_gpu_855"], "Qualcomm", "Snapdragon 855 Adreno 640, int8", EAGLE + ONEPROXY),
    "measured-gtx-1080ti-tf": (["eagle_gtx"], "NVIDIA", "GeForce GTX 1080 Ti, TensorFlow", EAGLE + ONEPROXY),
    "measured-core-i7-7820x": (["eagle_i7"], "Intel",
                               "Core i7-7820X (nearly a copy of the GTX 1080 Ti column: perhaps a defect of the table)",
                               EAGLE + ONEPROXY),
    "measured-jetson-nano": (["eagle_jetson"], "NVIDIA", "Jetson Nano, fp32", EAGLE + ONEPROXY),
    "measured-adreno-630": (["true_630"], "Qualcomm", "Adreno 630, TensorFlow Lite", NNMETER + ONEPROXY),
    "measured-adreno-640": (["true_640"], "Qualcomm", "Adreno 640, TensorFlow Lite", NNMETER + ONEPROXY),
    "measured-myriad-x": (["true_vpu"], "Intel", "Myriad X (Neural Compute Stick 2), OpenVINO", NNMETER + ONEPROXY),
}
BATCHES = ("1", "32", "64", "256")
ARCH = {"nasbench201": ["arch"], "nasbench201-c10": ["arch"], "fbnet": ["ops"],
        "ofa": ["resolution", "depth", "kernel", "expand"]}


def batch_of(column, device):
    """The batch size of a device's column; None when it is another device's."""
    if column == device:
        return 1
    suffix = column[len(device) + 1:]
    return int(suffix) if column.startswith(device + "_") and suffix in BATCHES else None


def rows_of(table, space, column, batch, rng):
    index = table[0].index(column)
    arch = [table[0].index(name) for name in ARCH[space]]
    rows = [(float(r[index]), ":".join(r[i] for i in arch)) for r in table[1:]]
    rows = sorted(r for r in rows if r[0] > 0)
    if space.startswith("nasbench201"):  # disconnected cells, which some runtimes reduce to nothing; readings gone wrong
        rows = rows[len(rows) * 3 // 100:len(rows) - len(rows) // 1000]
    rng.shuffle(rows)
    return [(arch_text, ms, space, batch) for ms, arch_text in rows[:ROWS]]


def measurements(names, tables):
    rng, rows = random.Random(0), []
    for space, table in tables.items():
        for column in table[0]:
            for name in names:
                batch = batch_of(column, name)
                if batch:
                    rows += rows_of(table, space, column, batch, rng)
    return rows


def read_tables(spaces):
    return {space: list(csv.reader(open(os.path.join(DATA, SPACES[space])))) for space in spaces}


def fit(program, target, tables, folder):
    """Fits a target on the tables given and returns the path of its file in the folder."""
    names, vendor, device, source = DEVICES[target]
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as out:
        writer = csv.writer(out)
        writer.writerow(["model", "latency_ms", "space", "batch"])
        writer.writerows(measurements(names, tables))
        out.flush()
        path = os.path.join(folder, target + ".json")
        subprocess.run([program, "adapt", "--proxy", "none", "-m", out.name, "-o", path, "--name", target, "--vendor",
                        vendor, "--device", device, "--source", source, "--description",
                        "least squares over the measured networks of " + ", ".join(names)], check=True)
    return path


def main():
    program, chosen = sys.argv[1], sys.argv[2:] or list(DEVICES)
    tables = read_tables(SPACES)
    for target in chosen:
        fit(program, target, tables, os.path.join(ROOT, "models", "targets"))


if __name__ == "__main__":
    main()
