"""Stores weights in fewer bits than the graph computes with."""

from __future__ import annotations

from typing import Dict, Mapping, Optional

import numpy as np

from ..._protos import AttrValue, dtype_enum, numpy_dtype
from ..body import Body
from ..tables import Column
from ..variables import Variable

WEIGHTS = ("float16", "bfloat16")


def shrink(
    body: Body, slots: Mapping[str, Variable], weights: Optional[str]
) -> Dict[str, Variable]:
    """Store the slots of floating variables as `weights`, and add a Cast before their users.

    A variable that is not floating, or not wider than `weights`, stays as it is.

    Returns:
      The slots by their new names. A narrow slot's node has the narrow dtype, and the Cast has
      the slot's old name.
    """
    small = narrowed(slots, weights)
    found: Dict[str, Variable] = {}
    for name, variable in slots.items():
        if name not in small:
            found[name] = variable
            continue
        held = body.add("Const", f"{name}/{weights}", dtype=AttrValue(type=small[name]))
        found[held.name] = variable
        node = body.nodes[name]
        node.op = "Cast"
        node.input.append(held.name)
        node.attr.clear()
        node.attr["SrcT"].type = small[name]
        node.attr["DstT"].type = variable.dtype
    return found


def narrowed(slots: Mapping[str, Variable], weights: Optional[str]) -> Dict[str, int]:
    """Return {slot: DataType number} of the slots that `weights` stores in a narrower dtype."""
    if weights is None:
        return {}
    small = dtype_enum(weights)
    return {
        name: small
        for name, variable in slots.items()
        if not isinstance(variable, Column) and _is_wider(variable.dtype, small)
    }


def _is_wider(dtype: int, small: int) -> bool:
    wide = np.dtype(numpy_dtype(dtype))
    return wide.kind == "f" and wide.itemsize > np.dtype(numpy_dtype(small)).itemsize
