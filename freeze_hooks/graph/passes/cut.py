"""Replaces tensors by inputs and constants, and names the inputs and outputs."""

from __future__ import annotations

from typing import Any, Callable, Container, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._protos import DT_RESOURCE, DT_VARIANT, AttrValue, dtype_name, to_tensor
from ...errors import FreezeError, NotFreezableError
from ..body import Body, output_type
from ..endpoints import End, Shape, pipeline_hint, resolve, shape_attr
from ..exact import exact
from ..frames import depths, has_frames
from ..names import join, rename, split, unique
from ..ops import PLACEHOLDERS, is_source
from ..variables import variables_of
from ..walks import above


def bind(
    body: Body, values: Sequence[Tuple[str, Any]], shape_of: Callable[[str], Shape]
) -> Dict[str, str]:
    """Add a constant for each bound tensor, and return {tensor: its constant}.

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
    """Add a placeholder for each input tensor; return the inputs and {tensor: its placeholder}.

    The input for a variable replaces all its reads. A pipeline's batch size does not bind the file:
    the first dimension is left open. Only a placeholder keeps its shape, since a user chose it.
    """
    ends: List[End] = []
    moved: Dict[str, str] = {}
    variables = variables_of(body) if inputs else {}
    in_loops = depths(body, conditionals=False) if inputs and has_frames(body.nodes) else {}
    for key, tensor in inputs:
        text, dtype = resolve(body.nodes, "inputs", tensor)
        variable = variables.get(text)
        if variable is not None:  # it stays a variable until all its reads are known
            wanted = key or text
            ends.append(End(wanted, wanted, text, variable.dtype, variable.shape))
            continue
        if dtype in (DT_RESOURCE, DT_VARIANT):
            raise NotFreezableError(
                f"inputs=: {tensor!r} is a {dtype_name(dtype)}, which cannot be fed"
                + pipeline_hint(body.nodes)
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


def _defaults_to_data(body: Body, name: str) -> bool:
    """Return whether a placeholder's default value comes from a pipeline."""
    return any(
        is_source(body.nodes[other].op) for other in above(body.nodes, body.nodes[name].input)
    )


def name_ends(
    body: Body, inputs: Sequence[End], outputs: Sequence[End], slots: Container[str]
) -> Dict[str, str]:
    """Give inputs and outputs their names in the file, and rename other nodes with these names.

    An output keeps its node if that node still computes it. If not, or if the output is a slot, an
    Identity gets the name: the first output's node also carries the file's description.

    Returns:
      {old name: new name} of every renamed node.
    """
    claims: Dict[str, str] = {end.tensor: end.wanted for end in inputs}
    groups: Dict[str, Dict[int, str]] = {}
    for end, text in zip(outputs, body.outputs):
        wanted, port = split(end.wanted)
        groups.setdefault(wanted, {})[port] = text
    for wanted, ports in groups.items():
        if len(ports) == 1 and claims.get(ports.get(0, "")) == wanted:
            continue  # an input that is also an output
        kept = all(text == join(wanted, port) for port, text in ports.items())
        if not kept or wanted in slots or claims.get(wanted, wanted) != wanted:
            claims[_alias(body, wanted, ports)] = wanted
        else:  # so that no input gets this name
            claims[wanted] = wanted
    body.outputs = [end.wanted for end in outputs]
    return _apply(body, claims)


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


def _apply(body: Body, claims: Mapping[str, str]) -> Dict[str, str]:
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
    rename(body.nodes.values(), new)
    body.nodes = {node.name: node for node in body.nodes.values()}
    return new
