"""Writes the seed files of corpus/read/: small models that together use every part of the format and of the passes.

    /usr/bin/python3 tests/fuzz/make_corpus.py

The files that fuzzing added (found-*) are kept.
"""

import os

import numpy
from onnx import TensorProto, helper, numpy_helper

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "read")
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name, shape=(), dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def weight(name, *shape, dtype=numpy.float32):
    return numpy_helper.from_array(numpy.ones(shape, dtype), name)


def ints(name, *values):
    return numpy_helper.from_array(numpy.array(values, numpy.int64), name)


def node(op, inputs, outputs, **attributes):
    """Names parted by blanks; "-" is an input left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def graph(nodes, inputs, outputs, weights=(), name="g", **more):
    return helper.make_graph(nodes, name, inputs, outputs, list(weights), **more)


def save(name, body, opset=17, imports=(), functions=(), ir_version=8):
    sets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1) for domain in imports]
    model = helper.make_model(body, opset_imports=sets, functions=list(functions))
    model.ir_version = ir_version
    with open(os.path.join(FOLDER, name + ".onnx"), "wb") as out:
        out.write(model.SerializeToString())


def convolutions():
    save("conv", graph(
        [node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", "c", "r"),
         node("MaxPool", "r", "p", kernel_shape=[2, 2], ceil_mode=1), node("GlobalAveragePool", "p", "a"),
         node("Flatten", "a", "f"), node("Gemm", "f v", "y", transB=1)],
        [value("x", ["n", 3, 8, 8])], [value("y", ["n", 5])],
        [weight("w", 4, 3, 3, 3), weight("b", 4), weight("v", 5, 4)]))
    save("depthwise", graph(
        [node("Conv", "x w", "c", group=4), node("BatchNormalization", "c s s s s", "n"), node("Clip", "n lo hi", "k"),
         node("ConvTranspose", "k t", "u", strides=[2, 2]), node("Resize", "u - - sizes", "y")],
        [value("x", [1, 4, 6, 6])], [value("y", [None] * 4)],
        [weight("w", 4, 1, 3, 3), weight("s", 4), weight("lo"), weight("hi"), weight("t", 4, 2, 2, 2),
         ints("sizes", 1, 2, 16, 16)]))


def shapes():
    save("shape_arithmetic", graph(
        [node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0), node("Unsqueeze", "n axis", "u"),
         node("Concat", "u minus", "t", axis=0), node("Reshape", "x t", "r"), node("Slice", "s zeros two", "p"),
         node("ConstantOfShape", "p", "q"), node("Range", "a n c", "v"), node("Expand", "v t2", "y")],
        [value("x", ["b", 3, "h"])], [value("y", [None, None]), value("q", [None, None]), value("r", [None, None])],
        [ints("axis", 0), ints("minus", -1), ints("zeros", 0), ints("two", 2), ints("t2", 4, 1),
         numpy_helper.from_array(numpy.array(0, numpy.int64), "zero"),
         numpy_helper.from_array(numpy.array(0, numpy.int64), "a"),
         numpy_helper.from_array(numpy.array(1, numpy.int64), "c")]))
    save("moves", graph(
        [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Split", "t parts", "a b", axis=2), node("Pad", "a pads", "p"),
         node("Tile", "p times", "q"), node("Squeeze", "q axis", "s"), node("TopK", "s k", "v i"),
         node("NonZero", "v", "z"), node("Where", "c v v", "y"), node("Einsum", "t t", "e", equation="abc,abc->a")],
        [value("x", [2, 1, 6]), value("c", [1], BOOL)],
        [value("y", [None, None]), value("z", [None, None], INT64), value("e", [1])],
        [ints("parts", 4, 2), ints("pads", 0, 0, 1, 0, 0, 1), ints("times", 1, 1, 2), ints("axis", 0), ints("k", 3)]))


def control():
    then = graph([node("Neg", "x", "a")], [], [value("a", [4])], name="then")
    other = graph([node("Add", "x k", "b")], [], [value("b", [4])], [weight("k", 4)], name="else")
    save("if", graph([node("If", "c", "y", then_branch=then, else_branch=other)],
                     [value("c", [], BOOL), value("x", [4])], [value("y", [4])]))
    body = graph([node("Identity", "go", "on"), node("Add", "state x", "next"), node("Identity", "next", "scan")],
                 [value("i", [], INT64), value("go", [], BOOL), value("state", [4])],
                 [value("on", [], BOOL), value("next", [4]), value("scan", [4])], name="body")
    save("loop", graph([node("Loop", "n c x", "y z", body=body)],
                       [value("n", [], INT64), value("c", [], BOOL), value("x", [4])],
                       [value("y", [4]), value("z", [None, 4])]))
    step = graph([node("Add", "s e", "t"), node("Identity", "t", "o")], [value("s", [4]), value("e", [4])],
                 [value("t", [4]), value("o", [4])], name="step")
    save("scan", graph([node("Scan", "x xs", "y ys", body=step, num_scan_inputs=1)],
                       [value("x", [4]), value("xs", ["n", 4])], [value("y", [4]), value("ys", ["n", 4])]))
    save("sequence", graph(
        [node("SequenceConstruct", "x x", "s"), node("SequenceAt", "s p", "a"), node("SequenceInsert", "s a", "t"),
         node("SequenceLength", "t", "n"), node("ConcatFromSequence", "t", "y", axis=0), node("Optional", "s", "o"),
         node("OptionalHasElement", "o", "h")],
        [value("x", [2, 3]), value("p", [], INT64)],
        [value("y", [None, 3]), value("n", [], INT64), value("h", [], BOOL)]))


def transformers():
    save("attention", graph(
        [node("MatMul", "x wq", "q"), node("MatMul", "x wk", "k"), node("Reshape", "q split", "q4"),
         node("Transpose", "q4", "qt", perm=[0, 2, 1, 3]), node("Reshape", "k split", "k4"),
         node("Transpose", "k4", "kt", perm=[0, 2, 3, 1]), node("MatMul", "qt kt", "s"), node("Softmax", "s", "y")],
        [value("x", ["b", "t", 8])], [value("y", ["b", 2, "t", "t"])],
        [weight("wq", 8, 8), weight("wk", 8, 8), ints("split", 0, 0, 2, 4)]))
    save("contrib", graph(
        [node("SkipLayerNormalization", "x x s s", "y", domain="com.microsoft"),
         node("FastGelu", "y", "z", domain="com.microsoft"), node("Thing", "z", "w", domain="org.example")],
        [value("x", ["b", "t", 8])], [value("w")], [weight("s", 8)]), imports=["com.microsoft", "org.example"])
    save("recurrent", graph(
        [node("LSTM", "x w r", "a h c", hidden_size=4), node("GRU", "x w3 r3", "b", hidden_size=4)],
        [value("x", ["t", "b", 3])], [value("a", [None] * 4), value("h", [None] * 3), value("b", [None] * 4)],
        [weight("w", 1, 16, 3), weight("r", 1, 16, 4), weight("w3", 1, 12, 3), weight("r3", 1, 12, 4)]))
    save("quantised", graph(
        [node("QuantizeLinear", "x s z", "q"), node("QLinearConv", "q s z w s z s z", "c"),
         node("DequantizeLinear", "c s z", "y")], [value("x", [1, 2, 5, 5])], [value("y", [1, 2, 5, 5])],
        [weight("s"), weight("z", dtype=numpy.uint8), weight("w", 2, 2, 1, 1, dtype=numpy.uint8)]))


def formats():
    sets = [helper.make_opsetid("", 17)]
    inner = helper.make_function("f", "Inner", ["a"], ["b"], [node("Relu", "a", "m"), node("Neg", "m", "b")], sets)
    outer = helper.make_function("f", "Outer", ["a"], ["b"],
                                 [node("Inner", "a", "m", domain="f"), node("Softmax", "m", "b")],
                                 sets + [helper.make_opsetid("f", 1)], ["axis"])
    reference = outer.node[1].attribute.add(name="axis", ref_attr_name="axis")
    reference.type = 2
    save("functions", graph([node("Outer", "x", "y", domain="f", axis=1)], [value("x", [2, 3])], [value("y", [2, 3])]),
         imports=["f"], functions=[inner, outer])
    typed = [helper.make_tensor("f", FLOAT, [2], [1, 2]), helper.make_tensor("d", TensorProto.DOUBLE, [2], [1, 2]),
             helper.make_tensor("i", TensorProto.INT32, [2], [1, -2]), helper.make_tensor("l", INT64, [2], [1, -2]),
             helper.make_tensor("u", TensorProto.UINT64, [2], [1, 2]),
             helper.make_tensor("h", TensorProto.FLOAT16, [2], [1, 2]),
             helper.make_tensor("s", TensorProto.STRING, [2], [b"one", b"two"])]
    outside = TensorProto(name="e", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="weights")
    sparse = helper.make_sparse_tensor(weight("p", 2), ints("", 0, 5), [2, 3])
    save("data", graph([node("Constant", "", "y", sparse_value=sparse), node("Cast", "h", "z", to=1)], [],
                       [value("y", [2, 3]), value("z", [2])], typed + [outside], sparse_initializer=[sparse]))
    save("old", graph([node("Add", "x w", "y")], [value("x", [3]), value("w", [3])], [value("y", [3])],
                      [weight("w", 3)]), opset=7, ir_version=3)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for make in (convolutions, shapes, control, transformers, formats):
        make()


if __name__ == "__main__":
    main()
