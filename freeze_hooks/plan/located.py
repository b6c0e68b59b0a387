"""Says in a plan where a checkpoint has the variables, once that is known."""

from __future__ import annotations

import dataclasses
from typing import Mapping, Tuple, Union

from .._protos import DT_STRING, GraphDef, NodeDef, to_tensor
from .types import Described, FreezePlan, Located, Slot

Place = Tuple[str, str]  # a tensor's key in a checkpoint, and the slice of it; "" is all of it


def located(plan: FreezePlan, prefix: str, places: Mapping[str, Place]) -> FreezePlan:
    """Return the plan of SavedModels whose variables are those of a checkpoint.

    Args:
      plan: the plan; its format links to checkpoints.
      prefix: the checkpoint's prefix.
      places: {key of a slot: its place in the checkpoint}.
    """
    assert plan.restoring is not None
    order = [places[variable.key] for variable in plan.restoring.variables]
    keys, slices = [key for key, _ in order], [part for _, part in order]

    def filled(piece: Union[bytes, Slot, Described, Located]) -> Union[bytes, Slot, Described]:
        if not isinstance(piece, Located):
            return piece
        node = NodeDef.FromString(piece.node)
        texts = slices if piece.slices else keys
        node.attr["value"].tensor.CopyFrom(to_tensor(texts, DT_STRING))
        return bytes(GraphDef(node=[node]).SerializeToString(deterministic=True))

    return dataclasses.replace(plan, pieces=tuple(map(filled, plan.pieces)), checkpoint=prefix)
