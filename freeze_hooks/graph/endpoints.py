"""Where a frozen graph begins and ends: cut and bound tensors, and the names of both ends."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Container, Dict, List, Mapping, Optional, Sequence, Tuple

from .._protos import DT_RESOURCE, DT_VARIANT, AttrValue, dtype_name, to_tensor
from ..errors import FreezeError, NotFreezableError, UnknownNameError
from .body import Body, data_inputs, output_type
from .exact import exact
from .frames import depths, has_frames
from .names import join, split, tensor_name, unique, unknown
from .ops import MERGES, NEXT_ITERATIONS, PLACEHOLDERS, VARIABLES, is_source
from .variables import variables_of
from .walks import above

_MOST_SAID = 8
Shape = Optional[Tuple[Optional[int], ...]]


@dataclasses.dataclass(frozen=True)
class End:
    """A tensor at an end of the graph, and the node name it shall have in the file.

    `batch` is the static first dimension that a cut made free, if it did.
    """

    key: str
    wanted: str
    tensor: str
    dtype: int
    shape: Shape
    batch: Optional[int] = None


def resolve(nodes: Mapping[str, Any], argument: str, tensor: str) -> Tuple[str, int]:
    """(node spelling of the tensor, dtype), after making sure that the graph has it.

    Raises:
      UnknownNameError: with near matches, or with the outputs that the operation has.
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
    return _data(nodes) if argument == "inputs" else ""


def _data(nodes: Mapping[str, Any]) -> str:
    """What to say of the tensors that the graph's pipelines give."""
    found = []
    for node in nodes.values():
        if is_source(node.op) and output_type(node, 0) not in (None, DT_RESOURCE, DT_VARIANT):
            found += [join(node.name, i) for i in range(_MOST_SAID) if output_type(node, i)]
    found = list(map(tensor_name, found[:_MOST_SAID]))
    return "; its pipelines give " + ", ".join(map(repr, found)) if found else ""


def bind(
    body: Body, values: Sequence[Tuple[str, Any]], shape_of: Callable[[str], Shape]
) -> Dict[str, str]:
    """Add a constant for each bound tensor; returns {tensor: its constant}.

    Raises:
      FreezeError: a value does not fit its tensor's dtype or shape.
    """
    moved = {}
    for tensor, value in values:
        text, dtype = resolve(body.nodes, "bind", tensor)
        try:
            proto = to_tensor(exact(value, dtype, repr(tensor)), dtype)
        except FreezeError as error:
            raise FreezeError(f"bind=: {error}") from None
        except (TypeError, ValueError) as error:
            raise FreezeError(f"bind=: {tensor!r} cannot hold {value!r}: {error}") from None
        given, shape = [d.size for d in proto.tensor_shape.dim], shape_of(tensor)
        if shape is not None and not _fits(given, shape):
            raise FreezeError(f"bind=: {tensor!r} has shape {list(shape)}, its value {given}")
        const = AttrValue(tensor=proto)
        name = split(text)[0] + "/bound"
        moved[text] = body.add("Const", name, value=const, dtype=AttrValue(type=dtype)).name
    return moved


def _fits(given: List[int], shape: Tuple[Optional[int], ...]) -> bool:
    return len(given) == len(shape) and all(d in (None, g) for g, d in zip(given, shape))


def cut(
    body: Body, inputs: Any, shape_of: Callable[[str], Shape]
) -> Tuple[List[End], Dict[str, str]]:
    """Add a placeholder for each input tensor; returns the ends and {tensor: its placeholder}.

    Of a variable, what is read of it is fed, wherever that is. A pipeline's batch size does not
    bind the file: the first dimension is left open, except where the tensor is a placeholder
    already, whose shape somebody chose.
    """
    ends: List[End] = []
    moved: Dict[str, str] = {}
    variables = variables_of(body) if inputs else {}
    in_loops = depths(body, conditionals=False) if inputs and has_frames(body.nodes) else {}
    for key, tensor in inputs:
        text, dtype = resolve(body.nodes, "inputs", tensor)
        variable = variables.get(text)
        if variable is not None:  # it stays one until all that reads it is known
            wanted = key or text
            ends.append(End(wanted, wanted, text, variable.dtype, variable.shape))
            continue
        if dtype in (DT_RESOURCE, DT_VARIANT):
            raise NotFreezableError(
                f"inputs=: {tensor!r} is a {dtype_name(dtype)}, which cannot be fed"
                + _data(body.nodes)
            )
        name, port = split(text)
        if in_loops.get(name):
            raise NotFreezableError(
                f"inputs=: {tensor!r} is computed in a loop, each time anew: cut behind the loop"
            )
        shape, batch = shape_of(tensor), None
        placeholder = name
        op = body.nodes[name].op
        if op not in PLACEHOLDERS or _defaults_to_data(body, name):
            if shape and op not in PLACEHOLDERS:
                shape, batch = (None,) + shape[1:], shape[0]
            attrs = {"dtype": AttrValue(type=dtype), "shape": shape_attr(shape)}
            placeholder = body.add("Placeholder", name + "/cut", **attrs).name
            moved[text] = placeholder
        wanted = key or name
        if not key and port:
            wanted = unique(f"{name}_{port}", set(body.nodes) | {end.wanted for end in ends})
        ends.append(End(key or wanted, wanted, placeholder, dtype, shape, batch))
    return ends, moved


def refuse_unguarded(body: Body, inputs: Sequence[End]) -> None:
    """Make sure that no input stands for what a v1 conditional computes in one of its branches.

    Raises:
      NotFreezableError: it would go into the result whether or not the branch is taken.
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


def _defaults_to_data(body: Body, name: str) -> bool:
    """Whether what a placeholder holds, where it is not fed, comes from a pipeline."""
    return any(
        is_source(body.nodes[other].op) for other in above(body.nodes, body.nodes[name].input)
    )


def shape_attr(shape: Shape) -> Any:
    """A shape as an attribute of a placeholder."""
    value = AttrValue()
    if shape is None:
        value.shape.unknown_rank = True
    else:
        value.shape.SetInParent()
        for dim in shape:
            value.shape.dim.add(size=-1 if dim is None else dim)
    return value


def placeholders(body: Body, known: Sequence[End]) -> List[End]:
    """The placeholders of a graph that are not among the known ends."""
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
    """The outputs as they are in a file that has these inputs.

    The first dimension of an output is open where it was a batch size that an input has let go. One
    that is called as an input is has a node of another name: only a signature can have a name
    twice. An output that is that input itself needs no other node.

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


def name_ends(
    body: Body, inputs: Sequence[End], outputs: Sequence[End], slots: Container[str]
) -> Dict[str, str]:
    """Give both ends of the graph the names they shall have; other nodes step aside.

    An output keeps its node where that is still what it was; else an Identity takes the name,
    also where the output is a slot, since the file's description stands on the first output.

    Returns:
      {old: new} of every node that was renamed.
    """
    claims: Dict[str, str] = {end.tensor: end.wanted for end in inputs}
    groups: Dict[str, Dict[int, str]] = {}
    for end, text in zip(outputs, body.outputs):
        wanted, port = split(end.wanted)
        groups.setdefault(wanted, {})[port] = text
    for wanted, ports in groups.items():
        if len(ports) == 1 and claims.get(ports.get(0, "")) == wanted:
            continue  # an input that is an output too
        kept = all(text == join(wanted, port) for port, text in ports.items())
        if not kept or wanted in slots or claims.get(wanted, wanted) != wanted:
            claims[_alias(body, wanted, ports)] = wanted
        else:  # else an input of this name would take its place
            claims[wanted] = wanted
    body.outputs = [end.wanted for end in outputs]
    return _rename(body, claims)


def _alias(body: Body, wanted: str, ports: Mapping[int, str]) -> str:
    texts = [ports.get(port, next(iter(ports.values()))) for port in range(max(ports) + 1)]
    types = []
    for text in texts:
        name, port = split(text)
        types.append(output_type(body.nodes[name], port))
    value = AttrValue()
    if len(texts) == 1:
        value.type = types[0]
        return str(body.add("Identity", wanted, texts, T=value).name)
    value.list.type.extend(types)
    return str(body.add("IdentityN", wanted, texts, T=value).name)


def _rename(body: Body, claims: Mapping[str, str]) -> Dict[str, str]:
    wanted = list(claims.values())
    for name in wanted:
        if wanted.count(name) > 1:
            raise FreezeError(f"two inputs or outputs would both be named {name!r} in the file")
    new = {old: name for old, name in claims.items() if old != name}
    taken = set(body.nodes) | set(wanted)
    for name in wanted:
        if name in body.nodes and name not in claims:
            new[name] = unique(name, taken)
            taken.add(new[name])
    if not new:
        return {}
    for node in body.nodes.values():
        node.name = new.get(node.name, node.name)
        for i, text in enumerate(node.input):
            name, port = split(text)
            if name in new:
                node.input[i] = join(new[name], port)
    body.nodes = {node.name: node for node in body.nodes.values()}
    return new
