"""Programs that run frozen files of one input and one output.

Each is given a Case (see `consumed.py`) and a directory for what it makes, and returns the output.
"""

import importlib.util

import c_api
import numpy as np
import tensorflow as tf

import freeze_hooks as fh


def tensorflow_session(case, directory, clean):
    return clean.run(case.path, {case.input.tensor: case.value}, [case.output.tensor])[0]


def tensorflow_c(case, directory, program):
    flat = c_api.run(program, case.path, case.input.tensor, case.value, case.output.tensor)
    return flat.reshape(case.expected.shape)


def opencv(case, directory):
    import cv2

    net = cv2.dnn.readNetFromTensorflow(case.path)
    images = case.value.ndim == 4  # of which it wants the channels before rows and columns
    net.setInput(np.transpose(case.value, (0, 3, 1, 2)) if images else case.value)
    return net.forward()


def openvino(case, directory):
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # by default it rounds to bfloat16 on some CPUs
    model = openvino.Core().compile_model(case.path, "CPU", exact)
    return model({case.input.tensor: case.value})[case.output.tensor]


def onnx_runtime(case, directory):
    import onnxruntime

    written = fh.to_onnx(str(directory / "model.onnx"))(case.artifact)
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    return session.run([case.output.name], {case.input.name: case.value})[0]


def tflite(case, directory):
    interpreter = tf.lite.Interpreter(fh.to_tflite(str(directory / "model.tflite"))(case.artifact))
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], case.value.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], case.value)
    interpreter.invoke()
    return interpreter.get_tensor(taken["index"])


def there(*modules):
    return all(importlib.util.find_spec(module) for module in modules)
