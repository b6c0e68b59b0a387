"""Finds what is known of tensors before a graph runs: shapes, and values that follow from them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np
import tensorflow as tf

from ... import _tf
from ..._tf import v1

_MOST_OPS = 64  # a value that needs more ops is not computed
_MOST_ELEMENTS = 1000
# Two values for open sizes: a result that is equal for both does not depend on them.
_SIZES = (1009, 2003)
_SHAPES = frozenset(("Shape",))


class Static:
    """Answers what is known of a GraphDef's tensors; without a GraphDef, nothing is known."""

    def __init__(self, graph_def: Optional[Any]) -> None:
        self._graph = None
        if graph_def is not None:
            with tf.Graph().as_default() as self._graph:
                tf.import_graph_def(graph_def, name="")

    def shape(self, tensor: str) -> Any:
        """Return the shape of a tensor, as far as it is known."""
        return None if self._graph is None else _tf.static_shape(self._graph, tensor)

    def value(self, tensor: str) -> Any:
        """Return a small tensor's value as an array; None if it is unknown.

        A vector of whole numbers may be a shape that is known in part: unknown elements are None.
        """
        if self._graph is None:
            return None
        wanted = self._graph.get_tensor_by_name(tensor)
        found = [self._computed(wanted, size) for size in _SIZES]
        if found[0] is None or found[1] is None or found[0].shape != found[1].shape:
            return None
        if np.array_equal(found[0], found[1]):
            return found[0]
        if found[0].ndim != 1 or not wanted.dtype.is_integer:
            return None
        partly = found[0].astype(object)
        partly[found[0] != found[1]] = None
        return partly

    def _computed(self, tensor: Any, size: int) -> Any:
        """Return a tensor's value if it follows from constants and shapes, else None."""
        fed = _shapes_above(tensor, size)
        if fed is None:
            return None
        try:
            with v1.Session(graph=self._graph) as session:
                value = np.asarray(session.run(tensor, fed))
        except (tf.errors.OpError, ValueError, TypeError):
            return None
        return value if value.size <= _MOST_ELEMENTS else None


def _shapes_above(tensor: Any, size: int) -> Optional[Dict[Any, Any]]:
    """Return {shape tensor: value} for the shapes that a tensor is computed from.

    Open sizes become `size`. Return None if the tensor needs more than shapes and constants.
    """
    fed: Dict[Any, Any] = {}
    stack: List[Any] = [tensor.op]
    seen = set()
    while stack:
        op = stack.pop()
        if op.name in seen:
            continue
        seen.add(op.name)
        if op.type in _SHAPES:
            shape = op.inputs[0].shape
            if shape.rank is None:
                return None
            sizes = [size if dim is None else dim for dim in shape.as_list()]
            fed[op.outputs[0]] = np.array(sizes, op.outputs[0].dtype.as_numpy_dtype)
        elif op.type == "Placeholder" or len(seen) > _MOST_OPS or op.op_def.is_stateful:
            return None
        else:
            stack += [above.op for above in op.inputs]
    return fed
