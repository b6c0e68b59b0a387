"""Finds values of small tensors that are known at freezing, such as a bound `is_training`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

import numpy as np

from .._protos import numpy_dtype, to_array
from .body import Body, data_inputs
from .names import split

_DEEPEST = 100  # ops; a predicate is only a few ops away from the constant that decides it
_SMALL = 16  # elements

_REDUCTIONS = frozenset(("All", "Any"))  # their result differs for an empty tensor

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


def value_of(body: Body, tensor: str, depth: int = 0, exact: bool = False) -> Optional[Any]:
    """Return the value of a small tensor if constants alone decide it, else None.

    Without `exact`, a scalar may stand for a tensor whose elements all have this value.
    """
    name, port = split(tensor)
    node = body.nodes.get(name)
    if node is None or port != 0 or depth > _DEEPEST:
        return None
    if node.op == "Const":
        return _const(node)
    if node.op == "Cast":
        value = value_of(body, node.input[0], depth + 1, exact)
        return None if value is None else np.asarray(value, numpy_dtype(node.attr["DstT"].type))
    if node.op in ("LogicalAnd", "LogicalOr"):
        return _short_circuit(body, node, depth, exact)
    if node.op not in _PURE:
        return None
    exact = exact or node.op in _REDUCTIONS
    values: List[Any] = [value_of(body, text, depth + 1, exact) for text in data_inputs(node)]
    if any(value is None for value in values):
        return None
    try:
        return _PURE[node.op](*values)
    except (TypeError, ValueError):
        return None


def truth(value: Any) -> Optional[bool]:
    """Return a predicate as If and Switch read it: all but 0 and the empty string is true."""
    if value is None or np.size(value) != 1:
        return None
    return bool(np.reshape(value, ())[()])


def _short_circuit(body: Body, node: Any, depth: int, exact: bool) -> Optional[Any]:
    values = [value_of(body, text, depth + 1, exact) for text in data_inputs(node)]
    if any(value is None for value in values):
        decides = node.op == "LogicalOr"  # a True decides Or, a False decides And
        decided = not exact and any(truth(value) is decides for value in values)
        return np.asarray(decides) if decided else None
    try:
        return _PURE[node.op](*values)
    except ValueError:  # the shapes do not fit
        return None


def _const(node: Any) -> Optional[Any]:
    proto = node.attr["value"].tensor
    count = 1
    for dim in proto.tensor_shape.dim:
        count *= dim.size
    return to_array(proto) if count <= _SMALL else None
