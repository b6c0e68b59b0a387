"""The graph of a TF.js model: its nodes as JSON, and the list of its weights."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from google.protobuf import json_format

from ..._protos import GraphDef, NodeDef, dtype_name
from ...graph.tfjs import STORED
from ...plan.types import Described, FreezePlan, Slot
from ...signature import Signature
from .graph_wrapper import signature_def

_BYTES = {"float32": 4, "int32": 4, "bool": 1, "complex64": 8, "float16": 2}


@dataclasses.dataclass(frozen=True)
class Weight:
    """One Const of a graph.

    Attributes:
      name: its node's name.
      dtype: TensorFlow's name of its dtype.
      stored: the dtype of its bytes in the shards: float16 or one of TF.js.
      source: the gap for its value, or its value as a TensorProto.
    """

    name: str
    dtype: str
    stored: str
    source: Union[Slot, Any]

    @property
    def shape(self) -> Optional[Tuple[int, ...]]:
        """Its dimensions; None if only its value tells them."""
        if isinstance(self.source, Slot):
            return self.source.variable.shape
        return tuple(dim.size for dim in self.source.tensor_shape.dim)

    @property
    def itemsize(self) -> int:
        """The number of bytes of an element in the shards."""
        return _BYTES[self.stored]

    def noted(self, shape: Sequence[int]) -> Dict[str, Any]:
        """Return its entry of the manifest."""
        entry: Dict[str, Any] = {
            "name": self.name,
            "shape": list(shape),
            "dtype": STORED[self.dtype],
        }
        if self.stored == "float16":
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        return entry


def graph_and_weights(plan: FreezePlan) -> Tuple[Any, List[Weight]]:
    """Return a plan's GraphDef without the values of its Consts, and the Consts in its order."""
    graph_def = GraphDef()
    weights: List[Weight] = []
    for piece in plan.pieces:
        if isinstance(piece, Slot):
            node = NodeDef.FromString(piece.node)
            name = dtype_name(node.attr["dtype"].type)
            small = piece.dtype != node.attr["dtype"].type
            stored = dtype_name(piece.dtype) if small else STORED[name]
            weights.append(Weight(node.name, name, stored, piece))
            graph_def.node.add().CopyFrom(_without_content(node, piece.variable.shape))
        else:
            part = _parsed(piece)
            for node in part.node:
                if node.op == "Const":
                    tensor = node.attr["value"].tensor
                    name = dtype_name(tensor.dtype)
                    held = type(tensor)()
                    held.CopyFrom(tensor)
                    weights.append(Weight(node.name, name, STORED[name], held))
                    shape = [dim.size for dim in tensor.tensor_shape.dim]
                    node = _without_content(node, shape)
                graph_def.node.add().CopyFrom(node)
            if part.HasField("versions"):
                graph_def.versions.CopyFrom(part.versions)
    return graph_def, weights


def _parsed(piece: Any) -> Any:
    if isinstance(piece, Described):
        return GraphDef(node=[NodeDef.FromString(piece.node)])
    assert isinstance(piece, bytes)
    return GraphDef.FromString(piece)


def _without_content(node: Any, shape: Optional[Sequence[int]]) -> Any:
    """Return a Const whose tensor has a dtype and a shape, and no elements."""
    bare = NodeDef()
    bare.CopyFrom(node)
    tensor = bare.attr["value"].tensor
    tensor.Clear()
    tensor.dtype = bare.attr["dtype"].type
    tensor.tensor_shape.SetInParent()
    for size in shape or ():
        tensor.tensor_shape.dim.add(size=size)
    return bare


def as_json(graph_def: Any) -> Dict[str, Any]:
    """Return a GraphDef as TF.js reads it."""
    found: Dict[str, Any] = json_format.MessageToDict(graph_def)
    return found


def ends_as_json(signature: Signature) -> Dict[str, Any]:
    """Return a signature as TF.js reads it, its inputs and outputs in their order."""
    found = signature_def(signature)
    return {
        side: {info.name: json_format.MessageToDict(ends[info.name]) for info in infos}
        for side, ends, infos in (
            ("inputs", found.inputs, signature.inputs),
            ("outputs", found.outputs, signature.outputs),
        )
    }
