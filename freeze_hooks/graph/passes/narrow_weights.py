"""Weights stored in fewer bits than they are computed with."""

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
    """Let the slots of floating variables hold `weights`, and a Cast stand before their users.

    A variable that is not wider than that, or no floating one, stays as it is.

    Returns:
      The slots under their names now. The dtype of a small slot's node is what it holds, and the
      Cast has the slot's old name.
    """
    if weights is None:
        return dict(slots)
    small = dtype_enum(weights)
    found: Dict[str, Variable] = {}
    for name, variable in slots.items():
        if isinstance(variable, Column) or not _is_wider(variable.dtype, small):
            found[name] = variable
            continue
        held = body.add("Const", f"{name}/{weights}", dtype=AttrValue(type=small))
        found[held.name] = variable
        node = body.nodes[name]
        node.op = "Cast"
        node.input.append(held.name)
        node.attr.clear()
        node.attr["SrcT"].type = small
        node.attr["DstT"].type = variable.dtype
    return found


def _is_wider(dtype: int, small: int) -> bool:
    wide = np.dtype(numpy_dtype(dtype))
    return wide.kind == "f" and wide.itemsize > np.dtype(numpy_dtype(small)).itemsize
