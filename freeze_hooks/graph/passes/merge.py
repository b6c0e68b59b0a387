"""Merges two graphs into one that has their common part once."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Mapping, Set, Tuple

from ..body import Body
from ..names import rename, split, unique
from ..ops import ENTERS

_FRAME = "frame_name"


def merge(
    body: Body, other: Body, prefix: str, same_value: Callable[[str], bool]
) -> Dict[str, str]:
    """Add the nodes of another graph to a graph, in place; what both compute is computed once.

    Two nodes become one if they have the same name, op and attributes, and their inputs are one
    too. Other nodes with equal names differ afterwards: those of `other` get a prefix.

    Args:
      body: the graph to change.
      other: the graph to add; its nodes are renamed.
      prefix: what stands before a new name, with "/".
      same_value: whether a node of this name, which lacks its value in both, has one value.

    Returns:
      {name in `other`: name in `body`} of the renamed nodes.
    """
    apart = _apart(body, other, same_value)
    taken = {*body.nodes, *other.nodes}
    new: Dict[str, str] = {}
    for name in sorted(apart):
        new[name] = unique(f"{prefix}/{name}", taken)
        taken.add(new[name])
    _rename_frames(body, other, apart)
    added = [node for name, node in other.nodes.items() if name in apart or name not in body.nodes]
    rename(added, new)
    body.nodes.update((node.name, node) for node in added)
    kept = [new.get(name, name) for name in other.effects]
    body.keep(*(name for name in kept if name not in body.effects))
    return new


def _apart(body: Body, other: Body, same_value: Callable[[str], bool]) -> Set[str]:
    """Return the names that stand for different things in the two graphs."""
    common = [name for name in other.nodes if name in body.nodes]
    users = _users(other)
    apart = {
        name
        for name in common
        if not same_value(name) or _key(body.nodes[name]) != _key(other.nodes[name])
    }
    frames = [(enters, _below(enters, users)) for enters in _frames(other).values()]
    while True:
        apart = {name for name in _below(apart, users) if name in body.nodes}
        split_up = [
            enters
            for enters, inside in frames
            if not enters <= apart and not apart.isdisjoint(inside)
        ]
        if not split_up:
            return apart
        for enters in split_up:  # a loop is in both graphs as a whole, or apart as a whole
            apart |= enters & set(common)
            frames = [frame for frame in frames if frame[0] is not enters]


def _rename_frames(body: Body, other: Body, apart: Set[str]) -> None:
    """Give loops of `other` that are not in `body` names that no loop there has."""
    taken, shared = set(_frames(body)), set()
    for frame, enters in _frames(other).items():
        if any(name in body.nodes and name not in apart for name in enters):
            shared.add(frame)
    for frame, enters in _frames(other).items():
        if frame in taken and frame not in shared:  # two loops of one name would run as one
            name = unique(frame, taken)
            taken.add(name)
            for enter in enters:
                other.nodes[enter].attr[_FRAME].s = name.encode()


def _frames(body: Body) -> Dict[str, Set[str]]:
    """Return {name of a loop: the nodes that enter it}."""
    frames: Dict[str, Set[str]] = {}
    for name, node in body.nodes.items():
        if node.op in ENTERS:
            frames.setdefault(node.attr[_FRAME].s.decode(), set()).add(name)
    return frames


def _key(node: Any) -> Tuple[Any, ...]:
    """Return what a node computes; other attributes only tell where it is from."""
    attrs = sorted(
        (key, value.SerializeToString(deterministic=True))
        for key, value in node.attr.items()
        if key[:1] != "_"
    )
    return node.op, list(node.input), attrs


def _users(body: Body) -> Dict[str, List[str]]:
    users: Dict[str, List[str]] = {}
    for name, node in body.nodes.items():
        for text in node.input:
            users.setdefault(split(text)[0], []).append(name)
    return users


def _below(names: Iterable[str], users: Mapping[str, List[str]]) -> Set[str]:
    """Return the names, and those of all nodes that need one of them."""
    found, left = set(names), list(names)
    while left:
        for user in users.get(left.pop(), ()):
            if user not in found:
                found.add(user)
                left.append(user)
    return found
