#!/usr/bin/python3
"""Writes the sample models in models/nets: real structure, weights left out.

Needs Debian's python3-onnx and python3-torchvision. Usage: tools/make_models.py [FOLDER]
"""

import os
import sys
import warnings

import numpy
import onnx
import onnx.numpy_helper
import torch
import torchvision
from torch import nn

KEPT = 64  # elements; smaller constants stay as they are


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def forward(self, x, mask):
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5 + mask
        context = (scores.softmax(-1) @ value).transpose(1, 2).reshape(x.shape)
        return self.output(context)


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = Attention(width, heads)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        x = self.norms[0](x + self.attention(x, mask))
        return self.norms[1](x + self.down(nn.functional.gelu(self.up(x))))


class Bert(nn.Module):
    """The encoder of BERT-base, cut to `depth` layers."""

    def __init__(self, depth=4, width=768, heads=12, vocabulary=30522, positions=512):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.types = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.pooler = nn.Linear(width, width)

    def forward(self, ids, mask, types):
        place = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        x = self.norm(self.words(ids) + self.positions(place) + self.types(types))
        mask = (1.0 - mask[:, None, None, :].float()) * -10000.0
        for layer in self.layers:
            x = layer(x, mask)
        return x, self.pooler(x[:, 0]).tanh()


class Double(nn.Sequential):
    def __init__(self, before, after):
        def half(channels):
            return nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()

        super().__init__(*half(before), *half(after))


class UNet(nn.Module):
    """Ronneberger et al. 2015, with padding, so that sizes agree, and half the channels."""

    def __init__(self, channels=(32, 64, 128, 256, 512), classes=2):
        super().__init__()
        self.down = nn.ModuleList(Double(a, b) for a, b in zip((3,) + channels, channels))
        turned = channels[::-1]
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in zip(turned, turned[1:]))
        self.up = nn.ModuleList(Double(2 * b, b) for b in turned[1:])
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x):
        kept = []
        for block in self.down[:-1]:
            kept.append(block(x))
            x = nn.functional.max_pool2d(kept[-1], 2)
        x = self.down[-1](x)
        for grow, block in zip(self.raise_, self.up):
            x = block(torch.cat([kept.pop(), grow(x)], 1))
        return self.head(x)


def image(pixels):
    return (torch.rand(1, 3, pixels, pixels),)


def text(length):
    ids = torch.ones(1, length, dtype=torch.long)
    return ids, ids.clone(), torch.zeros_like(ids)


def samples():
    """(file name, module, example inputs, input names, output names, open axes)"""
    models = torchvision.models
    yield "mobilenet_v2", models.mobilenet_v2(), image(224), ["input"], ["logits"], {0: "batch"}
    yield "resnet18", models.resnet18(), image(224), ["input"], ["logits"], None
    yield ("bert_4_layers", Bert(), text(16), ["input_ids", "attention_mask", "token_type_ids"], ["hidden", "pooled"],
           {0: "batch", 1: "sequence"})
    yield "unet", UNet(), image(256), ["input"], ["mask"], {0: "batch", 2: "height", 3: "width"}
    detector = models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    yield "ssdlite320", detector, ([torch.rand(3, 320, 320)],), ["input"], ["boxes", "scores", "labels"], None


def distinguish(module):
    """Makes equal tensors differ: the exporter would store them once and fill the graph with Identity nodes."""
    with torch.no_grad():
        for tensor in list(module.parameters()) + list(module.buffers()):
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) / 64)
    return module.eval()


def without_weights(model):
    """Floating-point initializers become sparse ones with a single element: valid, of the same size, and tiny."""
    kept = []
    for tensor in model.graph.initializer:
        count = int(numpy.prod(tensor.dims))
        if tensor.data_type != onnx.TensorProto.FLOAT or count <= KEPT:
            kept.append(tensor)
            continue
        sparse = model.graph.sparse_initializer.add()
        sparse.values.CopyFrom(onnx.numpy_helper.from_array(numpy.ones(1, numpy.float32), tensor.name))
        sparse.indices.CopyFrom(onnx.numpy_helper.from_array(numpy.zeros(1, numpy.int64), ""))
        sparse.dims.extend(tensor.dims)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def main(folder):
    warnings.filterwarnings("ignore")
    for name, module, example, inputs, outputs, axes in samples():
        path = os.path.join(folder, name + ".onnx")
        torch.manual_seed(1)
        torch.onnx.export(distinguish(module), example, path, opset_version=14, input_names=inputs, output_names=outputs,
                          dynamic_axes=axes and {tensor: axes for tensor in inputs})
        onnx.save(without_weights(onnx.load(path)), path)
        onnx.checker.check_model(path)
        print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    main(sys.argv[1] if len(sys.argv) > 1 else "models/nets")
