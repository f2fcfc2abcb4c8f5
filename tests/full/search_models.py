"""The models that rewriting is tested on: untrained, seeded, exported by torch; small inputs, some of them narrower and
shorter than the published ones, so that every tensor in between can be compared.

`export(folder)` writes NAME.onnx for each, those that are missing. Run as a program: search_models.py FOLDER [NAME...].
"""

import os
import sys
import warnings

import numpy
import onnx
import torch
import torchvision
from onnx import helper, numpy_helper
from torch import nn

SEED = 1
VOCABULARY = 97


class UNet(nn.Module):
    """Three levels down and up, each joined with what came down."""

    def __init__(self, width=16):
        super().__init__()
        sizes = [width, width * 2, width * 4]
        self.down = nn.ModuleList(self.block(a, b) for a, b in zip([3] + sizes, sizes + [width * 8]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(size * 2, size, 2, 2) for size in sizes[::-1])
        self.join = nn.ModuleList(self.block(size * 2, size) for size in sizes[::-1])
        self.head = nn.Conv2d(width, 2, 1)

    @staticmethod
    def block(c_in, c_out):
        return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.GroupNorm(4, c_out), nn.ReLU(),
                             nn.Conv2d(c_out, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())

    def forward(self, x):
        kept = []
        for level in self.down[:-1]:
            x = level(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.down[-1](x)
        for up, join, skip in zip(self.up, self.join, kept[::-1]):
            x = join(torch.cat([skip, up(x)], 1))
        return self.head(x)


class Bert(nn.Module):
    """Embeddings, encoder layers with attention over a masked sequence, a pooled answer."""

    def __init__(self, width=64, heads=4, layers=3):
        super().__init__()
        self.heads = heads
        self.words, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(64, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(nn.ModuleDict({
            "q": nn.Linear(width, width), "k": nn.Linear(width, width), "v": nn.Linear(width, width),
            "out": nn.Linear(width, width), "norm": nn.LayerNorm(width), "wide": nn.Linear(width, width * 4),
            "narrow": nn.Linear(width * 4, width), "last": nn.LayerNorm(width)}) for _ in range(layers))
        self.answer = nn.Linear(width, 5)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def layer(self, part, x):
        q, k, v = (self.split(part[name](x)) for name in "qkv")
        weights = torch.softmax(q @ k.transpose(-1, -2) / (q.shape[-1] ** 0.5), -1)
        joined = (weights @ v).transpose(1, 2).reshape(x.shape[0], x.shape[1], -1)
        x = part["norm"](x + part["out"](joined))
        return part["last"](x + part["narrow"](nn.functional.gelu(part["wide"](x))))

    def forward(self, ids):
        x = self.norm(self.words(ids) + self.places(torch.arange(ids.shape[1]))[None])
        for part in self.layers:
            x = self.layer(part, x)
        return self.answer(x[:, 0])


def vit():
    return torchvision.models.VisionTransformer(image_size=64, patch_size=16, num_layers=3, num_heads=4, hidden_dim=64,
                                                mlp_dim=128, num_classes=10)


def convnext():
    setting = torchvision.models.convnext.CNBlockConfig
    return torchvision.models.ConvNeXt([setting(32, 64, 2), setting(64, 96, 2), setting(96, None, 2)])


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(12, 24, 2, bidirectional=True), nn.GRU(48, 20)
        self.head = nn.Linear(20, 4)

    def forward(self, x):
        return self.head(self.gru(self.lstm(x)[0])[0])


def quantise(model):
    """Weights of products become bytes behind a DequantizeLinear, with a scale an output channel."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            name, axis = node.input[1], int(node.op_type == "ConvTranspose")
            values = numpy_helper.to_array(stored[name])
            scale = abs(values).max(axis=tuple(i for i in range(values.ndim) if i != axis), keepdims=True) / 127
            parts = [numpy_helper.from_array(numpy.round(values / scale).astype(numpy.int8), name + ".bytes"),
                     numpy_helper.from_array(scale.flatten(), name + ".scale")]
            model.graph.initializer.remove(stored[name])
            model.graph.initializer.extend(parts)
            nodes.append(helper.make_node("DequantizeLinear", [part.name for part in parts], [name], axis=axis))
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


IMAGE = {"input": {"dtype": "float32", "shape": [3, 3, 64, 64]}}  # three, so that few channels are closed for all
TEXT = {"input": {"dtype": "int64", "shape": [2, 11], "below": VOCABULARY}}
SEQUENCE = {"input": {"dtype": "float32", "shape": [7, 1, 12]}}

# name: constructor, opset, inputs, open axes
MODELS = {
    "mobilenet_v2": (torchvision.models.mobilenet_v2, 13, IMAGE, None),
    "resnet50": (torchvision.models.resnet50, 13, IMAGE, None),
    "efficientnet_b0": (torchvision.models.efficientnet_b0, 14, IMAGE, None),
    "regnet_y_400mf": (torchvision.models.regnet_y_400mf, 14, IMAGE, None),
    "densenet121": (torchvision.models.densenet121, 13, IMAGE, None),
    "shufflenet_v2": (torchvision.models.shufflenet_v2_x1_0, 14, IMAGE, None),
    "convnext": (convnext, 15, IMAGE, None),
    "vit": (vit, 16, IMAGE, None),
    "unet": (UNet, 13, IMAGE, {"input": {0: "batch"}}),
    "bert": (Bert, 17, TEXT, {"input": {0: "batch", 1: "sequence"}}),
    "recurrent": (Recurrent, 14, SEQUENCE, None),
    "quantised": (UNet, 13, IMAGE, {"input": {0: "batch"}}),
}


def example(wanted):
    tensor = wanted["input"]
    if tensor["dtype"] == "int64":
        return torch.randint(tensor["below"], tensor["shape"])
    return torch.randn(tensor["shape"])


def export(folder, names=()):
    warnings.filterwarnings("ignore")
    os.makedirs(folder, exist_ok=True)
    for name in names or MODELS:
        constructor, opset, wanted, axes = MODELS[name]
        path = os.path.join(folder, f"{name}.onnx")
        if os.path.exists(path):
            continue
        torch.manual_seed(SEED)
        part = f"{path}.{os.getpid()}.part"  # two tests may want it at once
        torch.onnx.export(constructor().eval(), example(wanted), part, opset_version=opset, input_names=["input"],
                          dynamic_axes=axes)
        if name == "quantised":
            onnx.save(quantise(onnx.load(part)), part)
        os.replace(part, path)


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2:])
