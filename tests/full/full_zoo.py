"""Profiles of exported torchvision models: everything resolved, and counts equal to those of torch."""

import os
import unittest

import harness

harness.need("torch", "torchvision", "onnx")
import zoo  # noqa: E402  (needs torch)

FACTS = zoo.export(harness.ZOO)

# Published counts, so that the reference itself is held to something.
KNOWN_MACS = {"mobilenet_v2": 300_774_272, "resnet50": 4_089_184_256, "vit_b_16": 17_563_828_224}

# What makes sizes that depend on data, and hence what may stay without a number behind it.
MAKES_DATA_SIZES = {"NonZero", "NonMaxSuppression", "TopK", "If", "Loop", "Unique", "Compress"}


def path(name, dynamic):
    return os.path.join(harness.ZOO, name + ("_dyn.onnx" if dynamic else ".onnx"))


class Zoo(unittest.TestCase):
    def test_reference_counts(self):
        for name, macs in KNOWN_MACS.items():
            with self.subTest(name):
                self.assertEqual(FACTS[name]["static"]["macs"], macs)

    def check_resolved(self, model):
        """No node is left out, no rank is unknown, and a size is unknown only where data decides it."""
        unresolved = [node for node in model["unresolved"] if node["op"] not in MAKES_DATA_SIZES
                      and "data" not in node["reason"]]
        self.assertEqual(unresolved, [])
        self.assertEqual([name for name, shape in harness.shapes(model).items() if shape is None], [])

    def check_point(self, model, facts):
        if facts["macs"] is not None:
            self.assertEqual(model["totals"]["macs"], facts["macs"])

    def check_outputs(self, name, model, facts):
        if facts["outputs"] is not None and "detection" not in zoo.MODELS[name][0]:
            self.assertEqual([tensor["shape"] for tensor in model["outputs"]], facts["outputs"])

    def test_static(self):
        for name, facts in FACTS.items():
            with self.subTest(name):
                model = harness.profile(path(name, False))
                self.check_resolved(model)
                self.check_point(model, facts["static"])
                self.check_outputs(name, model, facts["static"])

    def test_dynamic_open(self):
        for name in FACTS:
            with self.subTest(name):
                self.check_resolved(harness.profile(path(name, True)))

    def test_dynamic_bound(self):
        for name, facts in FACTS.items():
            with self.subTest(name):
                model = harness.profile(path(name, True), facts["bind"])
                self.check_resolved(model)
                self.check_point(model, facts["dynamic"])
                self.check_outputs(name, model, facts["dynamic"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
