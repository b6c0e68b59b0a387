"""`to_tflite`: converts frozen files to TensorFlow Lite, and tries them in its interpreter."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import re
import tempfile
import warnings
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

import numpy as np
import tensorflow as tf

from .._tf import v1
from ..frozen.artifact import Artifact
from ..frozen.reader import read_graph_def
from ..graph.names import split
from ..proof.asked import Verifying
from ..storage.listing import is_directory
from .converting import After, beside, converting, destination, write
from .trial import asked, compare


def to_tflite(
    path: Optional[str] = None,
    *,
    configure: Optional[Callable[[Any], None]] = None,
    verify: Verifying = True,
) -> After:
    """Convert frozen files to TensorFlow Lite: `fh.to_tflite()(artifact)`.

    Inputs and outputs keep the file's names. A loop over lists of tensors, such as an LSTM, can be
    converted only with a fixed batch size: pass an `input_signature` that fixes it to
    FreezeCallback or freeze_keras_model.

    Each file first runs in TensorFlow Lite's interpreter. It appears only if its answers equal
    those of the frozen file in TensorFlow. The feeds are random, and of two sizes where sizes are
    open.

    Args:
      path: the file to write, replaced each time; None writes `X.tflite` beside each `X.pb`.
      configure: is called with the TFLiteConverter before the conversion, to set its attributes,
        such as `optimizations` or `target_spec`.
      verify: False does not try the file. A dict of sample feeds, {input name: array}, or an
        fh.Verify sets the feeds; fh.Verify may also set a tolerance. The default tolerance is that
        of `to_onnx`. A file that `configure` rounds with `optimizations` only runs: it is compared
        only if `verify` sets a tolerance.

    Returns:
      A function that converts one Artifact, and returns the path of the new file. It raises
      ConversionError if the converter refuses the model, or if the interpreter cannot run the file
      or answers differently. It raises OSError if the file cannot be written. On an error, an
      existing file at the path stays.

    Raises:
      FreezeError: `verify` has another type.
      OSError: the directory of `path` is not writable.
    """
    path, wanted = destination(path), asked(verify)

    def tflite(artifact: Artifact) -> str:
        target = beside(artifact, path, ".tflite")
        with converting(artifact, "TensorFlow Lite's converter"), _frozen_file(artifact) as file:
            converter = v1.lite.TFLiteConverter.from_frozen_graph(
                file,
                [_lite_name(info.tensor) for info in artifact.signature.inputs],
                [_lite_name(info.tensor) for info in artifact.signature.outputs],
            )
            if configure is not None:
                configure(converter)
            content = converter.convert()
        if wanted is None:
            return write(target, content)
        rounded = configure is not None and bool(converter.optimizations)
        if rounded and wanted.tolerance is None:
            how = dataclasses.replace(wanted, tolerance=math.inf)
        else:
            how = wanted
        load = functools.partial(_Interpreter, artifact)
        graph_def = read_graph_def(artifact.path)
        tried = functools.partial(
            compare, artifact, graph_def, load, "TensorFlow Lite's interpreter", how, target
        )
        return write(target, content, tried)

    tflite.makes_beside = None if path else ".tflite"  # type: ignore[attr-defined]
    return tflite


@contextlib.contextmanager
def _frozen_file(artifact: Artifact) -> Iterator[str]:
    """Give the artifact as one file, which the converter reads."""
    if not is_directory(artifact.path):
        yield artifact.path
        return
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "model.pb")
        with open(path, "wb") as file:
            file.write(read_graph_def(artifact.path).SerializeToString())
        yield path


def _lite_name(tensor: str) -> str:
    node, port = split(tensor)
    return tensor if port else node


class _Interpreter:
    """A converted file in TensorFlow Lite's interpreter; call it with {input name: array}."""

    def __init__(self, artifact: Artifact, content: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it moves to another package
            self._interpreter = tf.lite.Interpreter(model_content=content)
        given, taken = artifact.signature.inputs, artifact.signature.outputs
        self._inputs = _by_name(given, self._interpreter.get_input_details())
        self._outputs = _by_name(taken, self._interpreter.get_output_details())

    def __call__(self, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        """Run the file, and return {output name: array}."""
        for name, details in self._inputs.items():
            if tuple(details["shape"]) != feeds[name].shape:
                self._interpreter.resize_tensor_input(details["index"], feeds[name].shape)
        self._interpreter.allocate_tensors()
        for name, details in self._inputs.items():
            self._interpreter.set_tensor(details["index"], _quantized(feeds[name], details))
        self._interpreter.invoke()
        return {
            name: _exact(self._interpreter.get_tensor(details["index"]), details)
            for name, details in self._outputs.items()
        }


def _by_name(infos: Any, details: Any) -> Dict[str, Any]:
    """Return {name in the signature: the interpreter's details of that tensor}."""
    named = {re.sub(r":0\Z", "", found["name"]): found for found in details}
    by_name = {info.name: named.get(_lite_name(info.tensor)) for info in infos}
    if all(by_name.values()):
        return by_name
    return {info.name: found for info, found in zip(infos, details)}  # the order is the same


def _quantized(value: Any, details: Any) -> Any:
    """Return numbers as the quantized input of a file takes them."""
    size, zero = details["quantization"]
    if not size or value.dtype == details["dtype"]:
        return value
    most = np.iinfo(details["dtype"])
    return np.clip(np.round(value / size) + zero, most.min, most.max).astype(details["dtype"])


def _exact(value: Any, details: Any) -> Any:
    """Return the numbers that a quantized output means."""
    size, zero = details["quantization"]
    return (value.astype(np.float32) - zero) * size if size else np.asarray(value)
