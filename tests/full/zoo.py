"""The torchvision models that the full tests read: untrained, seeded, exported static and with open sizes.

`export(folder)` writes NAME.onnx and NAME_dyn.onnx (only those that are missing) and zoo.json, which holds what torch
itself counts while it runs the model: multiply-accumulates and output shapes, at the exported size and at a second one.
Run as a program: zoo.py FOLDER [NAME...].
"""

import json
import os
import sys
import warnings

import torch
import torchvision
from torch.utils._python_dispatch import TorchDispatchMode

SEED = 1

# name: constructor, exported H and W, opset, open axes of the `_dyn` export, the sizes it is then checked at
BATCH = {"batch": 3}
SIZED = {"batch": 2, "height": 192, "width": 256}
PIXELS = {"height": 288, "width": 352}
MODELS = {
    "mobilenet_v2": ("mobilenet_v2", 224, 13, SIZED),
    "resnet50": ("resnet50", 224, 13, SIZED),
    "vgg16": ("vgg16", 224, 13, BATCH),
    "efficientnet_b0": ("efficientnet_b0", 224, 14, SIZED),
    "regnet_y_400mf": ("regnet_y_400mf", 224, 14, SIZED),
    "convnext_tiny": ("convnext_tiny", 224, 15, SIZED),
    "vit_b_16": ("vit_b_16", 224, 16, BATCH),
    "swin_t": ("swin_t", 224, 16, BATCH),
    "densenet121": ("densenet121", 224, 13, SIZED),
    "inception_v3": ("inception_v3", 299, 15, {"batch": 2, "height": 320, "width": 352}),
    "shufflenet_v2_x1_0": ("shufflenet_v2_x1_0", 224, 14, SIZED),
    "deeplabv3_mobilenet_v3_large": ("segmentation.deeplabv3_mobilenet_v3_large", 224, 14, SIZED),
    "ssdlite320_mobilenet_v3_large": ("detection.ssdlite320_mobilenet_v3_large", 320, 14, PIXELS),
    "fasterrcnn_mobilenet_v3_large_320": ("detection.fasterrcnn_mobilenet_v3_large_320_fpn", 320, 14, PIXELS),
}
# The sizes of these depend on what they see, so that no count of torch's on one input is the truth for another.
DATA_DEPENDENT = {"fasterrcnn_mobilenet_v3_large_320"}


class CountMacs(TorchDispatchMode):
    """Multiply-accumulates of everything torch runs, from the sizes of the real tensors."""

    def __init__(self):
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function._schema.name
        if name == "aten::convolution":
            weight = args[1]
            assert not args[6], "transposed convolution"
            self.macs += result.numel() * weight[0].numel()
        elif name == "aten::addmm":
            self.macs += result.numel() * args[1].shape[-1]
        elif name in ("aten::mm", "aten::bmm"):
            self.macs += result.numel() * args[0].shape[-1]
        elif name == "aten::baddbmm":
            self.macs += result.numel() * args[1].shape[-1]
        return result


def build(constructor):
    function = torchvision.models
    for part in constructor.split("."):
        function = getattr(function, part)
    torch.manual_seed(SEED)
    options = {"weights": None}
    if "." in constructor:
        options["weights_backbone"] = None
    if constructor == "inception_v3":
        options["init_weights"] = False
    return function(**options).eval()


def example(constructor, height, width, batch=1):
    torch.manual_seed(SEED)
    if constructor.startswith("detection."):
        return ([torch.rand(3, height, width)],)
    return (torch.rand(batch, 3, height, width),)


def tensors(result):
    """The outputs in the order the exporter gives them."""
    if isinstance(result, torch.Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result
    return [tensor for value in values for tensor in tensors(value)]


def measure(model, arguments):
    # Gradients on: without them attention takes a fused path that hides its products.
    with CountMacs() as counter:
        result = model(*arguments)
    return {"macs": counter.macs, "outputs": [list(tensor.shape) for tensor in tensors(result)]}


def axes(sizes, detection):
    if detection:
        return {"input": {1: "height", 2: "width"}}
    named = {0: "batch"}
    if "height" in sizes:
        named.update({2: "height", 3: "width"})
    return {"input": named}


def export_model(name, folder):
    constructor, pixels, opset, sizes = MODELS[name]
    detection = constructor.startswith("detection.")
    model = build(constructor)
    arguments = example(constructor, pixels, pixels)
    for path, dynamic in ((f"{name}.onnx", None), (f"{name}_dyn.onnx", axes(sizes, detection))):
        path = os.path.join(folder, path)
        if os.path.exists(path):
            continue
        torch.onnx.export(model, arguments, path + ".part", opset_version=opset, input_names=["input"],
                          dynamic_axes=dynamic)
        os.replace(path + ".part", path)
    facts = {"params": sum(p.numel() for p in model.parameters()), "opset": opset, "bind": sizes,
             "static": measure(model, arguments),
             "dynamic": measure(model, example(constructor, sizes.get("height", pixels), sizes.get("width", pixels),
                                               sizes.get("batch", 1)))}
    if name in DATA_DEPENDENT:
        for point in ("static", "dynamic"):
            facts[point] = {"macs": None, "outputs": None}
    return facts


def read_facts(folder):
    try:
        with open(os.path.join(folder, "zoo.json"), encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return {}


def export(folder, names=()):
    """Exports what is missing; returns the facts by model."""
    warnings.filterwarnings("ignore")
    os.makedirs(folder, exist_ok=True)
    facts = read_facts(folder)
    for name in names or MODELS:
        files = [os.path.join(folder, name + end) for end in (".onnx", "_dyn.onnx")]
        if name in facts and all(os.path.exists(path) for path in files):
            continue
        facts[name] = export_model(name, folder)
        print(f"exported {name}", flush=True)
        path = os.path.join(folder, "zoo.json")
        with open(path + ".part", "w", encoding="utf-8") as stream:
            json.dump(facts, stream, indent=1)
        os.replace(path + ".part", path)
    return facts


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2:])
