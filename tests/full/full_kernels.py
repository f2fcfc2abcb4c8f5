"""Against ONNX Runtime: the kernels that the "ort" lowering expects are those it runs, class by class."""

import collections
import json
import os
import tempfile
import unittest

import harness

torch, torchvision = harness.need("torch", "torchvision")

NAMES = """alexnet densenet121 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_v2_s googlenet inception_v3
mnasnet0_5 mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_x_800mf regnet_y_400mf
regnet_y_800mf regnet_y_1_6gf resnet18 resnet34 resnet50 resnet101 resnext50_32x4d shufflenet_v2_x0_5
shufflenet_v2_x1_0 shufflenet_v2_x1_5 squeezenet1_0 squeezenet1_1 vgg11 vgg16 vgg16_bn wide_resnet50_2
segmentation.fcn_resnet50 segmentation.lraspp_mobilenet_v3_large segmentation.deeplabv3_mobilenet_v3_large""".split()
LEAST = 30
# The machine's only part in it: how many channels a block of the runtime's layout holds.
BLOCKS = (("avx512f", 16), ("avx2", 8))


def block():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        flags = stream.read()
    for flag, channels in BLOCKS:
        if flag in flags:
            return channels
    harness.skip("the blocked layout of this processor is not known")


def export(name, folder):
    path = os.path.join(folder, name.split(".")[-1] + ".kernels.onnx")
    if os.path.exists(path):
        return path
    constructor = torchvision.models
    for part in name.split("."):
        constructor = getattr(constructor, part)
    options = {"weights": None}
    if "." in name:
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    torch.manual_seed(1)
    pixels = 299 if name == "inception_v3" else 224
    torch.onnx.export(constructor(**options).eval(), torch.rand(1, 3, pixels, pixels), path + ".part", opset_version=14)
    os.replace(path + ".part", path)
    return path


def target(folder):
    path = os.path.join(folder, "blocked.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"schema": "onnx-latency/target/1", "name": "blocked",
                   "runtime": {"lowering": "ort", "view": "kept", "block": block()},
                   "analytic": {"peak_gflops": 100, "bandwidth_gbps": 10, "launch_us": 1}}, stream)
    return path


def expected(model, target_path):
    answer = json.loads(harness.run("predict", "--per-kernel", "-f", "json", "-t", target_path, model).stdout)
    return collections.Counter(kernel["op"] for kernel in answer["results"][0]["kernels"])


def real(model):
    answer = json.loads(harness.run("measure", "--runs", "1", "--per-node", "-f", "json", model).stdout)
    return collections.Counter(node["op"] for node in answer["results"][0]["nodes"])


class Kernels(unittest.TestCase):
    def test_torchvision(self):
        os.makedirs(harness.ZOO, exist_ok=True)
        exact, off = 0, []
        with tempfile.TemporaryDirectory() as folder:
            target_path = target(folder)
            for name in NAMES:
                path = export(name, harness.ZOO)
                mine, theirs = expected(path, target_path), real(path)
                exact += mine == theirs
                if mine != theirs:
                    off.append(f"{name}: runtime {dict(theirs - mine)}, expected {dict(mine - theirs)}")
        print(f"{exact} of {len(NAMES)} models exact", *off, sep="\n")
        self.assertGreaterEqual(exact, LEAST)


if __name__ == "__main__":
    unittest.main(verbosity=2)
