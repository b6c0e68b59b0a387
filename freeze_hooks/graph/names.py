"""Names of nodes and tensors, as GraphDef spells them."""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable, Mapping, Tuple, TypeVar

from ..errors import UnknownNameError, near

CONTROL = -1
T = TypeVar("T")


def split(text: str) -> Tuple[str, int]:
    """("node", port) of "node", "node:1" or "^node", whose port is CONTROL."""
    if text[:1] == "^":
        return text[1:], CONTROL
    if ":" not in text:
        return text, 0
    node, _, port = text.rpartition(":")
    return node, int(port)


def join(node: str, port: int) -> str:
    """The spelling of a node's input: the inverse of `split`."""
    if port == CONTROL:
        return "^" + node
    return node if port == 0 else f"{node}:{port}"


def inputs_among(node: Any, known: Mapping[Tuple[str, int], T]) -> Dict[int, T]:
    """{index of a node's input: what is known of that tensor}, where something is."""
    found = ((i, known.get(split(text))) for i, text in enumerate(node.input))
    return {i: value for i, value in found if value is not None}


def tensor_name(text: str) -> str:
    """The full name of a tensor: "x" is "x:0"."""
    return "{}:{}".format(*split(text))


def unique(name: str, taken: Container[str]) -> str:
    """`name`, or `name_1`, `name_2`... where it is taken."""
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def rename(nodes: Iterable[Any], new: Mapping[str, str]) -> None:
    """Give nodes their names in `new`, also where they are inputs of others, in place."""
    for node in nodes:
        node.name = new.get(node.name, node.name)
        for i, text in enumerate(node.input):
            name, port = split(text)
            if name in new:
                node.input[i] = join(new[name], port)


def unknown(kind: str, name: str, candidates: Iterable[str], more: str = "") -> UnknownNameError:
    """The error to raise for a name that is not there."""
    close = near(name, candidates)
    hint = (
        "did you mean {}?".format(", ".join(repr(c) for c in close))
        if close
        else ("nothing in the graph has a similar name.")
    )
    return UnknownNameError(f"{kind} {name!r} is not in the graph: {hint}{more}")
