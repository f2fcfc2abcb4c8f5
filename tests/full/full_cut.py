"""Cut models compute what they must: in every tensor between input and output, at the indices that were kept, what the
whole model computes with the removed indices left out of every sum. Wrong cuts are told from right ones."""

import json
import os
import subprocess
import tempfile
import unittest

import harness

harness.need("torch", "torchvision", "onnx")
import runtime  # noqa: E402
import search_models  # noqa: E402  (needs torch)

ORACLE = os.environ.get("CUT_ORACLE", os.path.join(os.path.dirname(harness.PROGRAM), "cut_oracle"))
FOLDER = os.path.join(os.path.dirname(harness.ZOO), "search_models")
TOLERANCE = 2e-5  # of a tensor's largest value, in float32
MUTANTS = 15
# A mutant hides where what it changes is zero before it reaches anything: behind a channel that its ReLU closed.
LEAST_CAUGHT = 13
INNER = ("regnet_y_400mf", "shufflenet_v2", "vit", "bert", "unet")


def compare(model, view, folder):
    done = subprocess.run([ORACLE, os.path.join(FOLDER, model + ".onnx"), folder, "1", "0.3", str(MUTANTS), view],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    names = sorted(name[:-5] for name in os.listdir(folder) if name.startswith("mutant"))
    inputs = json.dumps(search_models.MODELS[model][2])
    return runtime.node("compare_cuts.js", folder, inputs, "cut", *names), done.stdout


class Cut(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        search_models.export(FOLDER)

    def check(self, model, view):
        with self.subTest(model, view=view), tempfile.TemporaryDirectory() as folder:
            report, mutants = compare(model, view, folder)
            right = report.pop("cut")
            caught = sum(wrong["worst"] > TOLERANCE for wrong in report.values())
            print(f"{model} ({view}): {right['worst']:.1e} in {right['tensors']} tensors, "
                  f"{caught} of {len(report)} mutants caught", flush=True)
            self.assertGreater(right["tensors"], 10)
            self.assertLess(right["worst"], TOLERANCE, right["tensor"])
            self.assertEqual(len(report), MUTANTS)
            self.assertGreaterEqual(caught, LEAST_CAUGHT, mutants)

    def test_outer(self):
        for model in search_models.MODELS:
            self.check(model, "outer")

    def test_inner(self):
        for model in INNER:
            self.check(model, "inner")


if __name__ == "__main__":
    unittest.main(verbosity=2)
