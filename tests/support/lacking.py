"""Which programs cannot be run here."""

import importlib.util

import c_api
import numpy as np

MODULES = {
    "opencv": ["cv2"],
    "openvino": ["openvino"],
    "onnx": ["tf2onnx", "onnxruntime"],
    "serving": ["tensorflow_serving"],
}


def lacking(program):
    """Why a program cannot be run here; None if it can."""
    if program == "c":
        return c_api.lacking()
    missing = [name for name in MODULES.get(program, []) if not importlib.util.find_spec(name)]
    if missing and np.__version__ < "2":
        return f"{missing[0]} is of the extra 'consumers', for TensorFlow that runs with NumPy 2"
    return None
