"""Scalars that are already known when a graph is frozen, such as a bound `is_training`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

import numpy as np

from .._tf import numpy_dtype, v1
from .body import Body, data_inputs
from .names import split

_DEEPEST = 100  # a predicate is a handful of ops from what decides it
_SMALL = 16  # elements

_PURE: Dict[str, Callable[..., Any]] = {
    "Identity": lambda x: x,
    "StopGradient": lambda x: x,
    "PreventGradient": lambda x: x,
    "Snapshot": lambda x: x,
    "LogicalNot": np.logical_not,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Squeeze": lambda x: np.reshape(x, ()) if np.size(x) == 1 else None,
    "Reshape": lambda x, shape: np.reshape(x, shape),
    "All": lambda x, axis: np.all(x) if np.size(x) == 1 else None,
    "Any": lambda x, axis: np.any(x) if np.size(x) == 1 else None,
}


def value_of(body: Body, tensor: str, depth: int = 0) -> Optional[Any]:
    """The value of a small tensor that follows from constants alone, else None."""
    name, port = split(tensor)
    node = body.nodes.get(name)
    if node is None or port != 0 or depth > _DEEPEST:
        return None
    if node.op == "Const":
        return _const(node)
    if node.op == "Cast":
        value = value_of(body, node.input[0], depth + 1)
        return None if value is None else np.asarray(value, numpy_dtype(node.attr["DstT"].type))
    if node.op in ("LogicalAnd", "LogicalOr"):
        return _short_circuit(body, node, depth)
    if node.op not in _PURE:
        return None
    values: List[Any] = [value_of(body, text, depth + 1) for text in data_inputs(node)]
    if any(value is None for value in values):
        return None
    try:
        return _PURE[node.op](*values)
    except (TypeError, ValueError):
        return None


def truth(value: Any) -> Optional[bool]:
    """How If and Switch read a predicate: a number is true unless 0, a string unless empty."""
    if value is None or np.size(value) != 1:
        return None
    return bool(np.reshape(value, ())[()])


def _short_circuit(body: Body, node: Any, depth: int) -> Optional[Any]:
    decides = node.op == "LogicalOr"  # a True decides Or, a False decides And
    values = [value_of(body, text, depth + 1) for text in data_inputs(node)]
    if any(value is not None and np.all(value == decides) for value in values):
        return np.asarray(decides)
    return None if any(value is None for value in values) else np.asarray(not decides)


def _const(node: Any) -> Optional[Any]:
    proto = node.attr["value"].tensor
    count = 1
    for dim in proto.tensor_shape.dim:
        count *= dim.size
    return v1.make_ndarray(proto) if count <= _SMALL else None
