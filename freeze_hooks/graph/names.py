"""Splits, joins and finds names of nodes and tensors, as GraphDef spells them."""

from __future__ import annotations

import re
from typing import Any, Container, Dict, Iterable, List, Mapping, Sequence, Tuple, TypeVar

from ..errors import UnknownNameError, near

CONTROL = -1
T = TypeVar("T")


def split(text: str) -> Tuple[str, int]:
    """Return ("node", port) for "node", "node:1" or "^node", whose port is CONTROL."""
    if text[:1] == "^":
        return text[1:], CONTROL
    if ":" not in text:
        return text, 0
    node, _, port = text.rpartition(":")
    return node, int(port)


def join(node: str, port: int) -> str:
    """Return the spelling of a node's input: the inverse of `split`."""
    if port == CONTROL:
        return "^" + node
    return node if port == 0 else f"{node}:{port}"


def inputs_among(node: Any, known: Mapping[Tuple[str, int], T]) -> Dict[int, T]:
    """Return {index of a node's input: the value in `known`} for the inputs in `known`."""
    found = ((i, known.get(split(text))) for i, text in enumerate(node.input))
    return {i: value for i, value in found if value is not None}


def tensor_name(text: str) -> str:
    """Return the full name of a tensor: "x:0" for "x"."""
    return "{}:{}".format(*split(text))


def unique(name: str, taken: Container[str]) -> str:
    """Return `name`, or the first free one of `name_1`, `name_2`... if it is taken."""
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def node_names(names: Sequence[str], taken: Sequence[str] = ()) -> List[str]:
    """Return the names as valid node names, different from each other and from `taken`."""
    used = set(taken)
    found = []
    for name in names:
        clean = re.sub(r"[^A-Za-z0-9_./>-]", "_", name)
        clean = unique(clean if re.match(r"[A-Za-z0-9.]", clean) else "t" + clean, used)
        used.add(clean)
        found.append(clean)
    return found


def by_node_name(tensors: Mapping[str, T]) -> Dict[str, T]:
    """Return {name: tensor} with the names that `node_names` makes of the keys."""
    return dict(zip(node_names(list(tensors)), tensors.values()))


def rename(nodes: Iterable[Any], new: Mapping[str, str]) -> None:
    """Rename nodes and the inputs that refer to them, in place; `new` is {old name: new name}."""
    for node in nodes:
        node.name = new.get(node.name, node.name)
        for i, text in enumerate(node.input):
            name, port = split(text)
            if name in new:
                node.input[i] = join(new[name], port)


def unknown(kind: str, name: str, candidates: Iterable[str], more: str = "") -> UnknownNameError:
    """Return the error to raise for a name that the graph lacks, with near matches."""
    close = near(name, candidates)
    hint = (
        "did you mean {}?".format(", ".join(repr(c) for c in close))
        if close
        else ("nothing in the graph has a similar name.")
    )
    return UnknownNameError(f"{kind} {name!r} is not in the graph: {hint}{more}")
