"""The inputs and outputs of a frozen graph: find them, check them, and give them names."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from .._protos import DT_RESOURCE, DT_VARIANT, AttrValue
from ..errors import NotFreezableError, UnknownNameError
from .body import Body, data_inputs, output_type
from .frames import depths, has_frames
from .names import join, split, tensor_name, unique, unknown
from .ops import MERGES, NEXT_ITERATIONS, PLACEHOLDERS, VARIABLES, is_source
from .walks import above

_MOST_SAID = 8
Shape = Optional[Tuple[Optional[int], ...]]


@dataclasses.dataclass(frozen=True)
class End:
    """An input or output of the graph, and the node name that it gets in the file.

    `batch` is the static first dimension that inputs= opened, or None.
    """

    key: str
    wanted: str
    tensor: str
    dtype: int
    shape: Shape
    batch: Optional[int] = None


def resolve(nodes: Mapping[str, Any], argument: str, tensor: str) -> Tuple[str, int]:
    """Return (the tensor as GraphDef spells it, dtype).

    Raises:
      UnknownNameError: the graph lacks it; names near matches, or the outputs of the operation.
    """
    name, port = split(tensor)
    if argument == "inputs" and _is_variable(f"{name}/part_0", nodes):
        parts = [n for n in nodes if n.startswith(name + "/part_") and _is_variable(n, nodes)]
        raise UnknownNameError(
            f"{argument}=: variable {name!r} is kept in parts, which are variables of their own: "
            f"name each of {', '.join(map(repr, parts))}"
        )
    if name not in nodes:
        raise unknown(f"{argument}=:", name, nodes, _hint(nodes, argument, name))
    dtype = output_type(nodes[name], port)
    if dtype is None:
        count = 0
        while output_type(nodes[name], count) is not None:
            count += 1
        has = ", ".join(f"{name}:{i}" for i in range(count)) or "none"
        raise UnknownNameError(
            f"{argument}=: {tensor!r} is not an output of {nodes[name].op} {name!r}, "
            f"whose outputs are: {has}"
        )
    return join(name, port), dtype


def _is_variable(name: str, nodes: Mapping[str, Any]) -> bool:
    return name in nodes and nodes[name].op in VARIABLES


def _hint(nodes: Mapping[str, Any], argument: str, name: str) -> str:
    owner = name.rpartition("/")[0]
    if _is_variable(owner, nodes):
        return f" The variable itself is {owner!r}"
    return pipeline_hint(nodes) if argument == "inputs" else ""


def pipeline_hint(nodes: Mapping[str, Any]) -> str:
    """Return the part of a message that lists the tensors of the graph's pipelines."""
    found = []
    for node in nodes.values():
        if is_source(node.op) and output_type(node, 0) not in (None, DT_RESOURCE, DT_VARIANT):
            found += [join(node.name, i) for i in range(_MOST_SAID) if output_type(node, i)]
    found = list(map(tensor_name, found[:_MOST_SAID]))
    return "; its pipelines give " + ", ".join(map(repr, found)) if found else ""


def refuse_unguarded(body: Body, inputs: Sequence[End]) -> None:
    """Check that no input replaces a tensor inside a branch of a v1 conditional.

    Raises:
      NotFreezableError: an input does; its value would be used whether or not the branch is taken.
    """
    cuts = {end.tensor: end for end in inputs if end.tensor in body.nodes}
    found = depths(body) if cuts and has_frames(body.nodes) else {}
    for node in body.nodes.values() if found else ():
        inputs_of = [split(text)[0] for text in data_inputs(node)]
        if node.op not in MERGES or any(body.nodes[n].op in NEXT_ITERATIONS for n in inputs_of):
            continue
        for name in (n for n in inputs_of if found[n] <= 0):
            fed = sorted(cuts.keys() & above(body.nodes, [name]).keys())
            if fed:
                raise NotFreezableError(
                    f"inputs=: {cuts[fed[0]].key!r} is computed in a branch of a conditional: cut "
                    f"behind it, at {tensor_name(node.name)!r}, or bind= what decides it"
                )


def shape_attr(shape: Shape) -> Any:
    """Return a shape as the attribute of a placeholder."""
    value = AttrValue()
    if shape is None:
        value.shape.unknown_rank = True
    else:
        value.shape.SetInParent()
        for dim in shape:
            value.shape.dim.add(size=-1 if dim is None else dim)
    return value


def placeholders(body: Body, known: Sequence[End]) -> List[End]:
    """Return the placeholders of a graph that are not among the known inputs."""
    named = {end.tensor for end in known}
    found = []
    for node in body.nodes.values():
        if node.op in PLACEHOLDERS and node.name not in named:
            shape: Shape = None
            if "shape" in node.attr and not node.attr["shape"].shape.unknown_rank:
                dims = node.attr["shape"].shape.dim
                shape = tuple(None if d.size < 0 else d.size for d in dims)
            dtype = output_type(node, 0)
            assert dtype is not None
            found.append(End(node.name, node.name, node.name, dtype, shape))
    return found


def fit_to_inputs(outputs: Sequence[End], inputs: Sequence[End], texts: Sequence[str]) -> List[End]:
    """Return the outputs as they are in a file with these inputs.

    An output whose first dimension was a batch size that inputs= opened has an open one too. An
    output that has the name of an input gets a node with another name, since only a signature can
    have a name twice. An output that is the input itself needs no other node.

    Args:
      texts: the outputs' tensors in the graph.
    """
    batches = {end.batch for end in inputs if end.batch}
    own = {end.wanted: end.tensor for end in inputs}
    taken = {*own, *(split(end.wanted)[0] for end in outputs)}
    found = []
    for end, text in zip(outputs, texts):
        if end.shape and end.shape[0] in batches:
            end = dataclasses.replace(end, shape=(None,) + end.shape[1:])
        name = split(end.wanted)[0]
        if name in own and text != own[name]:
            end = dataclasses.replace(end, wanted=unique(name, taken))
            taken.add(end.wanted)
        found.append(end)
    return found
