"""What a user runs today for a static look at a model: load, check, infer shapes. Usage: reference.py MODEL"""

import sys

import onnx
import onnx.checker
import onnx.shape_inference

model = onnx.load(sys.argv[1])
onnx.checker.check_model(model)
onnx.shape_inference.infer_shapes(model)
