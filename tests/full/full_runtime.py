"""Against ONNX Runtime: the output shapes it really produces are those that the profile states."""

import json
import os
import shutil
import subprocess
import unittest

import harness

MODULES = os.path.join(harness.ROOT, "node_modules")
if shutil.which("node") is None or not os.path.isdir(os.path.join(MODULES, "onnxruntime-node")):
    harness.skip("onnxruntime-node is not installed")

SIZES = {"batch": 2, "sequence": 24, "height": 192, "width": 256}
SMALL = ("mobilenet_v2", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf", "deeplabv3_mobilenet_v3_large")


def runtime_shapes(path, inputs):
    done = subprocess.run(["node", os.path.join(harness.ROOT, "tests", "full", "output_shapes.js"), path,
                           json.dumps(inputs)], capture_output=True, text=True, check=False, timeout=300,
                          stdin=subprocess.DEVNULL, env={**os.environ, "NODE_PATH": MODULES})
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def agree(stated, real):
    """Sizes that depend on data are symbols; every number must be the real one."""
    return len(stated) == len(real) and all(not isinstance(a, int) or a == b for a, b in zip(stated, real))


class Runtime(unittest.TestCase):
    def check(self, path):
        with self.subTest(os.path.basename(path)):
            symbols = {size for tensor in harness.profile(path)["inputs"] for size in tensor["shape"]}
            model = harness.profile(path, {name: SIZES[name] for name in symbols if isinstance(name, str)})
            inputs = {tensor["name"]: tensor for tensor in model["inputs"]}
            real = runtime_shapes(path, inputs)
            for tensor in model["outputs"]:
                self.assertTrue(agree(tensor["shape"], real[tensor["name"]]), f"{tensor}: {real[tensor['name']]}")

    def test_samples(self):
        for name in sorted(os.listdir(harness.NETS)):
            if name.endswith(".onnx"):
                self.check(os.path.join(harness.NETS, name))

    def test_zoo(self):
        for name in SMALL:
            path = os.path.join(harness.ZOO, name + "_dyn.onnx")
            if os.path.exists(path):
                self.check(path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
