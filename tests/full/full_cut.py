"""Cut models compute what they must: in every tensor between input and output, at the indices that were kept, what the
whole model computes with the removed indices left out of every sum. Wrong cuts are told from the right one."""

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
SPARE = 4  # for those that change nothing: what they touch is only ever multiplied with the zeros of a closed ReLU
INNER = ("regnet_y_400mf", "shufflenet_v2", "vit", "bert", "unet")


def compare(model, view, folder):
    done = subprocess.run([ORACLE, os.path.join(FOLDER, model + ".onnx"), folder, "1", "0.3", str(MUTANTS + SPARE), view],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    names = [line.split(":")[0] for line in done.stdout.splitlines()]
    inputs = json.dumps(search_models.MODELS[model][2])
    return runtime.node("compare_cuts.js", folder, inputs, *names), done.stdout


class Cut(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        search_models.export(FOLDER)

    def check(self, model, view):
        with self.subTest(model, view=view), tempfile.TemporaryDirectory() as folder:
            report, mutants = compare(model, view, folder)
            right = report.pop("cut")
            wrong = [one for one in report.values() if not one["silent"]]
            caught = sum(one["worst"] > TOLERANCE for one in wrong[:MUTANTS])
            print(f"{model} ({view}): {right['worst']:.1e} in {right['tensors']} tensors, {caught} of {MUTANTS} mutants "
                  f"caught, {len(report) - len(wrong)} change nothing", flush=True)
            self.assertGreater(right["tensors"], 10)
            self.assertLess(right["worst"], TOLERANCE, right["tensor"])
            self.assertGreaterEqual(len(wrong), MUTANTS)
            self.assertEqual(caught, MUTANTS, mutants)

    def test_outer(self):
        for model in search_models.MODELS:
            self.check(model, "outer")

    def test_inner(self):
        for model in INNER:
            self.check(model, "inner")


if __name__ == "__main__":
    unittest.main(verbosity=2)
