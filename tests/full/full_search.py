"""Searched models are models: the checker takes them, ONNX Runtime runs them, inputs and outputs are those of the
original, and the budget is met. What a file holds besides the graph survives."""

import json
import os
import tempfile
import unittest

import harness

harness.need("torch", "torchvision")
onnx, numpy = harness.need("onnx", "numpy")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import runtime  # noqa: E402
import search_models  # noqa: E402  (needs torch)
import zoo  # noqa: E402

FOLDER = os.path.join(os.path.dirname(harness.ZOO), "search_models")
LARGE = {"convnext_tiny": (1, 3, 224, 224), "vit_b_16": (1, 3, 224, 224)}
TARGET = "apple-m1"
SIZES = {"bert": {"batch": 2, "sequence": 11}, "unet": {"batch": 1}, "quantised": {"batch": 1}}


def signature(path):
    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    return [value.SerializeToString() for value in graph.input if value.name not in weights] + [
        value.SerializeToString() for value in graph.output]


def search(path, output, share, *options):
    """The result as JSON; the budget is a share of what the model takes."""
    sizes = [word for word in options if word != "--resolution"]
    predicted = json.loads(harness.run("predict", path, "-t", TARGET, "-f", "json", *sizes).stdout)
    budget = predicted["results"][0]["latency_ms"] * share
    done = harness.run("search", path, "-t", TARGET, "--budget", f"{budget}", "--risk", "0.5", "--evaluations", "3000",
                       "-f", "json", "-o", output, *options)
    return json.loads(done.stdout), budget


class Search(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        search_models.export(FOLDER)
        zoo.export(harness.ZOO, list(LARGE))

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.output = os.path.join(folder.name, "out.onnx")

    def check(self, name, path, inputs):
        options = [word for key, size in SIZES.get(name, {}).items() for word in ("--dim", f"{key}={size}")]
        outputs = runtime.node("output_shapes.js", path, json.dumps(inputs))
        for share in (0.7, 0.4):
            with self.subTest(name, share=share):
                found, budget = search(path, self.output, share, *options)
                self.assertTrue(found["met"])
                again = json.loads(harness.run("predict", self.output, "-t", TARGET, "-f", "json", *options).stdout)
                self.assertLessEqual(again["results"][0]["latency_ms"], budget * 1.000001)
                self.assertAlmostEqual(again["results"][0]["latency_ms"], found["chosen"]["latency_ms"], places=6)
                onnx.checker.check_model(self.output)
                self.assertEqual(signature(path), signature(self.output))
                self.assertEqual(runtime.node("output_shapes.js", self.output, json.dumps(inputs)), outputs)
                print(f"{name} to {share}: score {found['chosen']['score']:.3f} of {found['evaluated']}", flush=True)

    def test_small(self):
        for name, (_, _, inputs, _) in search_models.MODELS.items():
            if name != "recurrent":  # which launches bound
                self.check(name, os.path.join(FOLDER, name + ".onnx"), inputs)

    def test_large(self):
        for name, shape in LARGE.items():
            inputs = {"input": {"dtype": "float32", "shape": shape}}
            self.check(name, os.path.join(harness.ZOO, name + ".onnx"), inputs)

    def test_resolution(self):
        path = os.path.join(harness.ZOO, "convnext_tiny.onnx")
        found, _ = search(path, self.output, 0.12, "--resolution")
        side = found["chosen"]["config"].get("input", 224)
        self.assertLess(side, 224)
        onnx.checker.check_model(self.output)
        inputs = {"input": {"dtype": "float32", "shape": (1, 3, side, side)}}
        self.assertEqual(list(runtime.node("output_shapes.js", self.output, json.dumps(inputs)).values()), [[1, 1000]])


class Spaces(unittest.TestCase):
    def test_what_is_found_is_a_model(self):
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "out.onnx")
            for space in ("nasbench201", "nasbench201-c10", "fbnet", "ofa", "mobilenetv2"):
                with self.subTest(space):
                    harness.run("search", "-q", "--space", space, "-t", TARGET, "--budget", "1e6", "--evaluations", "64",
                                "-o", output)
                    onnx.checker.check_model(output, full_check=True)
                    graph = onnx.load(output).graph
                    image, scores = ([d.dim_value for d in one.type.tensor_type.shape.dim]
                                     for one in (graph.input[0], graph.output[0]))
                    inputs = {"image": {"dtype": "float32", "shape": image}}
                    self.assertEqual(runtime.node("output_shapes.js", output, json.dumps(inputs)), {"scores": scores})


def plain_model():
    """Two convolutions; metadata, a doc string and a field that no schema knows."""
    def weight(name, *shape):
        data = numpy.random.default_rng(1).standard_normal(shape).astype(numpy.float32)
        return numpy_helper.from_array(data, name)
    nodes = [helper.make_node("Conv", ["x", "a"], ["h"], "first", kernel_shape=[3, 3], doc_string="the first"),
             helper.make_node("Relu", ["h"], ["r"], "middle"),
             helper.make_node("Conv", ["r", "b"], ["y"], "second", kernel_shape=[1, 1])]
    graph = helper.make_graph(nodes, "plain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 62, 62])],
                              [weight("a", 512, 3, 3, 3), weight("b", 4, 512, 1, 1)], doc_string="two layers")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="a test",
                              doc_string="a model", model_version=7, domain="somewhere")
    helper.set_model_props(model, {"license": "none", "author": "nobody"})
    return model


class Kept(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.model, self.output = self.path("in.onnx"), self.path("out.onnx")

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_what_is_not_cut(self):
        unknown = b"\xd2\x3e\x05hello"  # field 1002, length-delimited
        with open(self.model, "wb") as stream:
            stream.write(plain_model().SerializeToString() + unknown)
        search(self.model, self.output, 0.5)
        before, after = plain_model(), onnx.load(self.output)
        for field in ("producer_name", "doc_string", "model_version", "domain", "metadata_props", "opset_import",
                      "ir_version"):
            self.assertEqual(getattr(before, field), getattr(after, field), field)
        self.assertEqual(after.graph.doc_string, "two layers")
        self.assertEqual([(n.name, n.op_type, n.doc_string) for n in before.graph.node],
                         [(n.name, n.op_type, n.doc_string) for n in after.graph.node])
        with open(self.output, "rb") as stream:
            self.assertIn(unknown, stream.read())
        kept = numpy_helper.to_array(after.graph.initializer[0])
        whole = numpy_helper.to_array(before.graph.initializer[0])
        self.assertLess(len(kept), len(whole))
        for row in kept:
            self.assertTrue(any(numpy.array_equal(row, one) for one in whole))

    def test_external_data(self):
        onnx.save(plain_model(), self.model, save_as_external_data=True, location="weights.bin", size_threshold=64)
        search(self.model, self.output, 0.5)
        stored = onnx.load(self.output, load_external_data=False)
        self.assertEqual({t.data_location for t in stored.graph.initializer}, {TensorProto.EXTERNAL})
        onnx.checker.check_model(self.output)

    def test_what_cannot_be_written_stays(self):
        """More pieces than the rewriting of a Split goes into: said, and the other channels can be cut all the same."""
        model = plain_model()
        sizes = [200] + [2] * 300
        model.graph.initializer.append(numpy_helper.from_array(numpy.array(sizes), "sizes"))
        wide = numpy.random.default_rng(2).standard_normal((800, 512, 1, 1)).astype(numpy.float32)
        narrow = numpy.random.default_rng(3).standard_normal((4, 200, 1, 1)).astype(numpy.float32)
        model.graph.initializer.extend([numpy_helper.from_array(wide, "wide"), numpy_helper.from_array(narrow, "narrow")])
        del model.graph.node[2], model.graph.initializer[1]
        model.graph.node.extend([
            helper.make_node("Conv", ["r", "wide"], ["w"], "wider"),
            helper.make_node("Split", ["w", "sizes"], [f"piece{i}" for i in range(len(sizes))], "pieces", axis=1),
            helper.make_node("Conv", ["piece0", "narrow"], ["y"], "last")])
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, self.model)
        done = harness.run("search", self.model, "-t", TARGET, "--budget", "1", "--knobs")
        self.assertIn('"wide" stays as it is', done.stderr)
        self.assertIn("a  ", done.stdout)
        self.assertNotIn("wide", done.stdout)
        found, _ = search(self.model, self.output, 0.8)
        self.assertTrue(found["met"])
        onnx.checker.check_model(self.output)

    def test_weights_of_another_model(self):
        """What lies beside the output under the name of its weights is not replaced while the input needs it."""
        onnx.save(plain_model(), self.model, save_as_external_data=True, location="out.onnx.data", size_threshold=64)
        done = harness.run("search", self.model, "-t", TARGET, "--budget", "0.5", "-o", self.output, expect=1)
        self.assertIn("out.onnx.data", done.stderr)
        onnx.checker.check_model(self.model)
        self.assertFalse(os.path.exists(self.output))

    def test_candidates_leave_nothing(self):
        """What a score command is given is gone afterwards, external data too."""
        onnx.save(plain_model(), self.model, save_as_external_data=True, location="weights.bin", size_threshold=64)
        before = sorted(os.listdir(self.folder))
        os.environ["TMPDIR"] = self.folder
        self.addCleanup(os.environ.pop, "TMPDIR")
        found = json.loads(harness.run("search", self.model, "-t", TARGET, "--budget", "0.5", "--risk", "0.5", "--plan",
                                       "--evaluations", "24", "-f", "json", "--score-cmd",
                                       "cat {} {}.data | wc -c").stdout)
        self.assertTrue(found["met"])
        self.assertGreater(found["chosen"]["score"], 2000)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_shared_weights(self):
        """Two layers that share a weight and are cut alike share it still, in the file beside the model too."""
        model = plain_model()
        first = model.graph.node[0]
        model.graph.node.insert(1, helper.make_node("Conv", ["x", "a"], ["again"], "shared", kernel_shape=[3, 3]))
        model.graph.node.insert(2, helper.make_node("Add", ["again", "sum"], ["h"], "both"))
        first.output[0] = "sum"
        onnx.save(model, self.model, save_as_external_data=True, location="weights.bin", size_threshold=64)
        search(self.model, self.output, 0.5)
        stored = onnx.load(self.output)
        self.assertEqual(len(stored.graph.initializer), 2)
        nodes = {node.name: node for node in stored.graph.node}
        self.assertEqual(nodes["first"].input[1], nodes["shared"].input[1])
        kept = [numpy_helper.to_array(t) for t in stored.graph.initializer]
        self.assertLess(len(kept[0]), 512)
        beside = [name for name in os.listdir(self.folder) if name not in ("in.onnx", "out.onnx", "weights.bin")]
        size = sum(os.path.getsize(self.path(name)) for name in beside)
        self.assertLess(size, sum(array.nbytes for array in kept) + 2 * 4096)


if __name__ == "__main__":
    unittest.main(verbosity=2)
