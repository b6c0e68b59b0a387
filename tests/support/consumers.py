"""Programs that run frozen files of one input and one output.

`PROGRAMS` has functions of a Case (see `consumed.py`) and a directory for what they make; each
returns the output.
"""

import contextlib
import functools
import re

import c_api
import numpy as np
import tensorflow as tf
from clean import CleanProcess

import freeze_hooks as fh


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
    return run_tflite(fh.to_tflite(str(directory / "model.tflite"))(case.artifact), case.value)


def run_tflite(path, value):
    """The one output of a TensorFlow Lite file."""
    interpreter = tf.lite.Interpreter(path)
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    if tuple(given["shape"]) != value.shape:
        interpreter.resize_tensor_input(given["index"], value.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(taken["index"])


@contextlib.contextmanager
def programs(directory):
    """{name: program}, those that are made or started for the purpose too."""
    clean = CleanProcess(directory)
    made = functools.lru_cache(maxsize=None)(c_api.build)

    def session(case, _):
        return clean.run(case.path, {case.input.tensor: case.value}, [case.output.tensor])[0]

    def c(case, _):
        feed, fetch = case.input.tensor, case.output.tensor
        flat = c_api.run(made(directory), case.path, feed, case.value, fetch)
        return flat.reshape(case.expected.shape)

    yield {
        "session": session,
        "c": c,
        "opencv": opencv,
        "openvino": openvino,
        "onnx": onnx_runtime,
        "tflite": tflite,
    }
    clean.close()


NAMES = {
    "session": "TensorFlow session, another process",
    "c": "TensorFlow C API",
    "opencv": "OpenCV DNN",
    "openvino": "OpenVINO",
    "onnx": "tf2onnx and ONNX Runtime",
    "tflite": "TensorFlow Lite",
}
_SAYINGS = (
    r"Conversion is failed for: [\w, ]+",  # OpenVINO
    r"it does not support [\w, ]+",  # to_onnx
    r"'tf\.\w+' op [\w ]+",  # TensorFlow Lite
    r"(?<=error\) ).*(?= in function)",  # OpenCV
)


def quoted(error):
    """What a program says that it cannot do."""
    for saying in _SAYINGS:
        found = re.search(saying, str(error))
        if found:
            return found.group().strip()
    return " ".join(str(error).split())[:160]


def difference(value, expected):
    """The greatest difference, as a part of the range of the values."""
    assert value.shape == expected.shape
    return float(np.abs(value - expected).max() / np.ptp(expected))
