"""The tensors of the user's graph that belong to a file's inputs and outputs."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from ..signature import Signature, TensorInfo

Wanted = Sequence[Tuple[Optional[str], str]]


@dataclasses.dataclass(frozen=True)
class Ends:
    """Tensors of a graph, by their names in a file.

    Attributes:
      inputs: {input name of the file: full tensor name in the graph}.
      outputs: {output name of the file: full tensor name in the graph}.
      fixed: {full tensor name: value} of tensors that are constants in the file (`bind=`).
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    fixed: Mapping[str, Any]


def ends_of(signature: Signature, inputs: Optional[Wanted], outputs: Wanted, fixed: Any) -> Ends:
    """Return the ends that a user asked for.

    `inputs` and `outputs` are pairs (name or None, full tensor name), as in FreezeSpec. An end
    without a name is called after its tensor. All further inputs of the file are placeholders.
    """
    cut = {key or _input_name(tensor): tensor for key, tensor in inputs or ()}
    asked = {key or _output_name(tensor): tensor for key, tensor in outputs}
    return Ends(
        {info.name: cut.get(info.name, info.name + ":0") for info in signature.inputs},
        {info.name: asked[info.name] for info in signature.outputs},
        dict(fixed),
    )


def _input_name(tensor: str) -> str:
    node, _, port = tensor.rpartition(":")
    return node if port == "0" else f"{node}_{port}"


def _output_name(tensor: str) -> str:
    return tensor[:-2] if tensor.endswith(":0") else tensor


def taken_by(graph: Any, ends: Ends) -> List[TensorInfo]:
    """Return the inputs with the dtypes and shapes that the tf.Graph itself has for them."""
    return [_taken(name, graph.get_tensor_by_name(t)) for name, t in ends.inputs.items()]


def _taken(name: str, tensor: Any) -> TensorInfo:
    dtype, shape = tensor.dtype.base_dtype, tensor.shape
    if dtype.name == "resource":  # a variable that is cut off: its value is fed
        dtype, shape = value_type(tensor.op)
    dims = None if shape.rank is None else tuple(shape.as_list())
    return TensorInfo(name, tensor.name, dtype.base_dtype.name, dims)


def value_type(variable: Any) -> Tuple[Any, Any]:
    """Return (dtype, tf.TensorShape) of a variable's value, from its op."""
    return tf.as_dtype(variable.get_attr("dtype")), tf.TensorShape(variable.get_attr("shape"))


def optional_in(graph: Any, ends: Ends) -> List[str]:
    """Return the names of inputs that have a default value, and so need no feed."""
    types = {name: graph.get_tensor_by_name(t).op.type for name, t in ends.inputs.items()}
    return [name for name, kind in types.items() if kind == "PlaceholderWithDefault"]
