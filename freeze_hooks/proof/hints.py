"""Hints for random feeds, from how a graph uses its inputs."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Optional

import tensorflow as tf

from .feeds import VALUES
from .op_effects import FILLS
from .tensor_ends import Ends

_HANDING_ON = frozenset(
    ("ConcatV2", "ExpandDims", "Identity", "Pack", "Reshape", "Squeeze", "StridedSlice")
    + ("Tile", "Transpose", "Unpack")
)
_ASKING = frozenset(("Shape", "Size", "Rank"))  # these do not read the values
_LOOKUPS = ("LookupTableFind", "LookupTableFindV2")


def hints_in(graph: Any, ends: Ends) -> Dict[str, Any]:
    """Return {input name: hint} for `random_feeds`, for a tf.Graph's inputs.

    The keys of a lookup table are known only if they are constants.
    """
    hints = {}
    for name, tensor in ends.inputs.items():
        hint = _hint(graph.get_tensor_by_name(tensor))
        if hint is not None:
            hints[name] = hint
    return hints


def _hint(tensor: Any) -> Any:
    """Return the hint for one input; VALUES only if it is cast to floating, else it may index."""
    found = []
    for op in _users(tensor):
        if op.type in _LOOKUPS:
            return _keys(op.inputs[0])
        if op.type not in _ASKING:
            found.append(op.type == "Cast" and op.outputs[0].dtype.is_floating)
    return VALUES if found and all(found) else None


def _hands_on(op: Any, tensor: Any) -> bool:
    """Return whether an op passes a tensor's elements on; its other inputs are sizes and axes."""
    given = list(op.inputs)[: -1 if op.type == "ConcatV2" else 1]
    given = list(op.inputs) if op.type == "Pack" else given
    return op.type in _HANDING_ON and any(tensor is t or tensor.name == t.name for t in given)


def _users(tensor: Any) -> Iterator[Any]:
    """Yield the ops that use a tensor, through those that only pass it on."""
    stack, seen = [tensor], {tensor.name}
    while stack:
        fed = stack.pop()
        for op in fed.consumers():
            cast = op.type == "Cast" and op.outputs[0].dtype.is_integer
            if _hands_on(op, fed) or cast:
                fresh = [t for t in op.outputs if t.name not in seen]
                seen.update(t.name for t in fresh)
                stack += fresh
            else:
                yield op


def _keys(table: Any) -> Optional[Any]:
    while table.op.type == "Identity":
        table = table.op.inputs[0]
    for op in table.consumers():
        if op.type in FILLS and len(op.inputs) > 2 and op.inputs[1].op.type == "Const":
            return tf.make_ndarray(op.inputs[1].op.get_attr("value")).reshape(-1)
    return None
