"""Imports the package tf2onnx when it is needed, and calls it."""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any, Iterator, Mapping, Optional

import tensorflow as tf

from ...errors import FreezeError
from ..converting import shortened
from .handlers import HANDLERS
from .lookup_tables import DOMAIN, lookups_in, table_handlers

_ML = 2  # the version of DOMAIN that has LabelEncoder for all types


def import_tf2onnx() -> None:
    """Import tf2onnx.

    Raises:
      FreezeError: it is missing, or cannot be imported with this TensorFlow.
    """
    with _unchanged_environment("TF_CPP_MIN_LOG_LEVEL"):  # tf2onnx sets it
        _imported("tf2onnx.convert")
        _imported("onnx.defs")


def made_by_tf2onnx(
    graph_def: Any,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    opset: Optional[int],
    optimizers: Optional[Mapping[str, Any]],
) -> Any:
    """Convert a GraphDef to a ModelProto; nodes that tf2onnx cannot convert stay in it.

    Args:
      graph_def: a graph without variables.
      inputs: {full tensor name: name in the model}.
      outputs: {full tensor name: name in the model}.
      opset: the version of ONNX's operators; None takes tf2onnx's default.
      optimizers: tf2onnx's optimizers to run, by name; None runs all.
    """
    loader, tfonnx = _imported("tf2onnx.tf_loader"), _imported("tf2onnx.tfonnx")
    lookups = lookups_in(graph_def)
    ml = [_imported("onnx.helper").make_opsetid(DOMAIN, _ML)] if lookups else None
    with tf.device("/cpu:0"), tf.Graph().as_default():
        folded = loader.tf_optimize(list(inputs), list(outputs), graph_def)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(folded, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,
            opset=opset,
            custom_op_handlers={**HANDLERS, **table_handlers(lookups)},
            extra_opset=ml,
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename={**outputs, **inputs},
        )
        optimize = _imported("tf2onnx.optimizer").optimize_graph
        return optimize(converted, optimizers=optimizers).make_model("frozen by freeze_hooks")


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # an old version fails on a new NumPy with any error
        package = module.split(".")[0]
        raise FreezeError(
            f"to_onnx needs {package}, which cannot be imported ({shortened(error)}): "
            "pip install 'freeze-hooks[onnx]'"
        ) from error


@contextlib.contextmanager
def _unchanged_environment(name: str) -> Iterator[None]:
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
