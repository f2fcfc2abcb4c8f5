"""Against the reference ONNX shape inference: no tensor on which the two disagree, and none that only it knows."""

import glob
import json
import os
import subprocess
import sys
import unittest

import harness

onnx = harness.need("onnx")
import onnx.shape_inference  # noqa: E402

LARGEST = 150 << 20  # bytes; the reference copies a model several times


def infer(path):
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path))
    found = {}
    for value in list(inferred.graph.value_info) + list(inferred.graph.output):
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and tensor.HasField("shape"):
            found[value.name] = [d.dim_value if d.HasField("dim_value") else d.dim_param or None
                                 for d in tensor.shape.dim]
    return found


def reference_shapes(path):
    """In a process of its own: the reference crashes on some valid models, and then has nothing to say."""
    done = subprocess.run([sys.executable, "-B", os.path.abspath(__file__), path], capture_output=True, text=True,
                          check=False)
    if done.returncode < 0:
        print(f"the reference dies on {os.path.basename(path)}")
        return {}
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def models():
    paths = glob.glob(os.path.join(harness.NETS, "*.onnx")) + glob.glob(os.path.join(harness.ZOO, "*.onnx"))
    return sorted(path for path in paths if os.path.getsize(path) <= LARGEST)


def conflicts(ours, theirs):
    """Tensors with another rank, another number, or a number that only the reference has."""
    for name, expected in theirs.items():
        if name not in ours:
            continue  # inside a subgraph, or folded away
        shape = ours[name]
        if shape is None or len(shape) != len(expected):
            yield name, shape, expected
        elif any(isinstance(want, int) and have != want for have, want in zip(shape, expected)):
            yield name, shape, expected


class Reference(unittest.TestCase):
    def test_no_conflicts(self):
        for path in models():
            with self.subTest(os.path.basename(path)):
                found = list(conflicts(harness.shapes(harness.profile(path)), reference_shapes(path)))
                self.assertEqual(found[:5], [], f"{len(found)} in all")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(infer(sys.argv[1])))
    else:
        unittest.main(verbosity=2)
