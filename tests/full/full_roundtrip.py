"""What is read and written again is, to the onnx package, the message that it was; functions come back inlined."""

import glob
import os
import subprocess
import tempfile
import unittest

import harness

onnx, numpy = harness.need("onnx", "numpy")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROUNDTRIP = os.environ.get("ROUNDTRIP", os.path.join(os.path.dirname(harness.PROGRAM), "roundtrip"))
CASES = "/usr/share/libonnx-testdata/data"
LARGEST = 150 << 20  # bytes; the package copies a model several times


def run(arguments, lines=()):
    done = subprocess.run([ROUNDTRIP, *arguments], input="\n".join(lines), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def check(model):
    """The checker's complaint, or None."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        return str(error)
    return None


class RoundTrip(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def again(self, model, **options):
        """The model as it comes back."""
        onnx.save(model, self.path("in.onnx"), **options)
        self.assertEqual(run([], [self.path("in.onnx") + " " + self.path("out.onnx")]), [])
        return onnx.load(self.path("out.onnx"))

    def same(self, paths):
        pairs = [(path, self.path(f"{i}.onnx")) for i, path in enumerate(paths)]
        self.assertEqual(run([], [" ".join(pair) for pair in pairs]), [])
        for before, after in pairs:
            with self.subTest(before):
                one = onnx.load(before, load_external_data=False)
                self.assertEqual(one, onnx.load(after, load_external_data=False))
                os.unlink(after)

    def test_backend_cases(self):
        paths = sorted(glob.glob(CASES + "/*/*/model.onnx"))
        if not paths:
            self.skipTest("libonnx-testdata is not installed")
        self.assertGreater(len(paths), 1000)
        self.same(paths)

    def test_zoo(self):
        paths = glob.glob(os.path.join(harness.ZOO, "*.onnx"))
        paths = [path for path in sorted(paths) if os.path.getsize(path) <= LARGEST]
        if not paths:
            self.skipTest("no exported models")
        for path in paths:
            self.same([path])

    def test_external_data(self):
        weights = numpy.arange(5000, dtype=numpy.float32)
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])], "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5000])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5000])],
            [numpy_helper.from_array(weights, "w")])
        model = helper.make_model(graph)
        after = self.again(model, save_as_external_data=True, location="weights")
        self.assertFalse(after.graph.initializer[0].external_data)
        numpy.testing.assert_array_equal(numpy_helper.to_array(after.graph.initializer[0]), weights)
        self.assertEqual(run(["external"], [self.path("out.onnx") + " " + self.path("big.onnx")]), [])
        self.assertLess(os.path.getsize(self.path("big.onnx")), 1000)
        after = onnx.load(self.path("big.onnx"))
        numpy.testing.assert_array_equal(numpy_helper.to_array(after.graph.initializer[0]), weights)

    def test_functions_are_inlined(self):
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        inner = helper.make_function("f", "Inner", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["m"]),
                                                                  helper.make_node("Neg", ["m"], ["b"])], sets[:1])
        outer = helper.make_function("f", "Outer", ["a"], ["b"], [helper.make_node("Inner", ["a"], ["m"], domain="f"),
                                                                  helper.make_node("Softmax", ["m"], ["b"])],
                                     sets, ["axis"])
        outer.node[1].attribute.add(name="axis", ref_attr_name="axis", type=onnx.AttributeProto.INT)
        calls = [helper.make_node("Outer", ["x"], ["h"], domain="f", axis=0),
                 helper.make_node("Outer", ["h"], ["y"], domain="f", axis=1)]
        graph = helper.make_graph(calls, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])])
        after = self.again(helper.make_model(graph, opset_imports=sets, functions=[inner, outer]))
        self.assertIsNone(check(after))
        self.assertEqual([node.op_type for node in after.graph.node], ["Relu", "Neg", "Softmax"] * 2)
        self.assertEqual([node.attribute[0].i for node in after.graph.node if node.attribute], [0, 1])
        self.assertEqual(len(after.functions), 0)
        onnx.shape_inference.infer_shapes(after, strict_mode=True)

    def test_made_in_memory(self):
        self.assertEqual(run(["made", self.path("made.onnx")]), [])
        model = onnx.load(self.path("made.onnx"))
        self.assertIsNone(check(model))
        onnx.shape_inference.infer_shapes(model, strict_mode=True)
        dims = model.graph.output[0].type.tensor_type.shape.dim
        self.assertEqual([d.dim_value for d in dims], [1, 10])


if __name__ == "__main__":
    unittest.main(verbosity=2)
