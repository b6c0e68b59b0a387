"""bfloat16 becomes float32: ONNX Runtime has few kernels for it, and cannot return it to NumPy."""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np
import tensorflow as tf

from ..._protos import GraphDef

_NARROW, _WIDE = tf.bfloat16.as_datatype_enum, tf.float32.as_datatype_enum


def widened(graph_def: Any) -> Any:
    """Return a copy of a GraphDef, with its functions, in which bfloat16 is float32.

    Results are at least as exact as before, since they are not rounded to 8 bits after each op.
    The values of bfloat16 constants stay the same.
    """
    wide = GraphDef()
    wide.CopyFrom(graph_def)
    for function in wide.library.function:
        for arg in [*function.signature.input_arg, *function.signature.output_arg]:
            arg.type = _WIDE if arg.type == _NARROW else arg.type
    for node in nodes_of(wide):
        for value in node.attr.values():
            _widen(value)
    return wide


def uses_bfloat16(graph_def: Any) -> bool:
    """Return whether any op uses bfloat16."""
    return any(
        value.type == _NARROW or value.tensor.dtype == _NARROW or _NARROW in value.list.type
        for node in nodes_of(graph_def)
        for value in node.attr.values()
    )


def nodes_of(graph_def: Any) -> Iterator[Any]:
    """Yield a GraphDef's nodes, including those of its functions."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _widen(value: Any) -> None:
    """Replace bfloat16 by float32 in an attribute, in place."""
    kind = value.WhichOneof("value")
    if kind == "type" and value.type == _NARROW:
        value.type = _WIDE
    elif kind == "tensor" and value.tensor.dtype == _NARROW:
        array = tf.make_ndarray(value.tensor).astype(np.float32)
        value.tensor.CopyFrom(tf.make_tensor_proto(array))
    elif kind == "list":
        types = [_WIDE if dtype == _NARROW else dtype for dtype in value.list.type]
        value.list.type[:] = types
