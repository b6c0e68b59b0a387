"""Runs ONNX files in ONNX Runtime."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Dict, Mapping

import numpy as np


def is_installed() -> bool:
    """Return whether ONNX Runtime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


class Session:
    """An ONNX file in ONNX Runtime; call it with {input name: array}."""

    def __init__(self, called: Mapping[str, str], content: bytes) -> None:
        """Load a file's content; `called` is {output name in the file: name in the answers}."""
        ort = importlib.import_module("onnxruntime")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # fatal only: errors are also raised
        options.intra_op_num_threads = 1  # leaves the processors to the training
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._outputs = [info.name for info in self._session.get_outputs()]
        self._names = [called.get(name, name) for name in self._outputs]
        self._inputs = {info.name: info.type for info in self._session.get_inputs()}

    def __call__(self, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        """Run the file, and return {output name: array}."""
        given = {n: _fed(value) for n, value in feeds.items() if n in self._inputs}
        return dict(zip(self._names, self._session.run(self._outputs, given)))


def _fed(value: Any) -> Any:
    if value.dtype.name == "bfloat16":
        return value.astype("float32")
    if value.dtype == object:  # strings are bytes in TensorFlow, str in ONNX Runtime
        return np.vectorize(lambda text: text.decode(), otypes=[object])(value)
    return value
