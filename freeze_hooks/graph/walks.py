"""Walks through a graph: what stands before a node, what behind it, and in which order."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Set, Tuple

from .body import Body
from .names import CONTROL, split
from .ops import MERGES, NEXT_ITERATIONS


def all_nodes(graph_def: Any) -> Iterator[Any]:
    """The nodes of a GraphDef, then those of its functions."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def above(
    nodes: Mapping[str, Any], inputs: Iterable[str], data_only: bool = False
) -> Dict[str, None]:
    """Names of all nodes that stand before these inputs, each once.

    Args:
      nodes: the nodes by name; those that it lacks are left out.
      inputs: where to begin.
      data_only: whether not to follow control inputs.
    """
    stack = [name for name, _ in map(split, inputs) if name in nodes]
    seen = dict.fromkeys(stack)
    while stack:
        for text in nodes[stack.pop()].input:
            name, port = split(text)
            if name not in seen and name in nodes and not (data_only and port == CONTROL):
                seen[name] = None
                stack.append(name)
    return seen


def below(nodes: Mapping[str, Any], names: Iterable[str], data_only: bool = False) -> Set[str]:
    """Names of all nodes that take something of the named ones, directly or through others."""
    users = consumers(nodes, data_only)
    stack = list(names)
    found: Set[str] = set()
    while stack:
        for user, _ in users.get(stack.pop(), ()):
            if user.name not in found:
                found.add(user.name)
                stack.append(user.name)
    return found


def consumers(
    nodes: Mapping[str, Any], data_only: bool = False
) -> Dict[str, List[Tuple[Any, int]]]:
    """Which (node, input index) pairs use each node, by the node's name."""
    users: Dict[str, List[Tuple[Any, int]]] = {}
    for node in nodes.values():
        for i, text in enumerate(node.input):
            name, port = split(text)
            if not (data_only and port == CONTROL):
                users.setdefault(name, []).append((node, i))
    return users


def topological(body: Body) -> List[Any]:
    """The nodes, each after all its inputs; a v1 loop's back edge alone points forward."""
    done: Dict[str, Any] = {}
    opened = set()
    for root in [split(text)[0] for text in body.outputs] + list(body.nodes):
        stack = [] if root in done else [root]
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            node = body.nodes[name]
            opened.add(name)
            before = [split(text)[0] for text in node.input]
            pending = [other for other in reversed(before) if other not in opened]
            if pending and node.op in MERGES:
                pending = [o for o in pending if body.nodes[o].op not in NEXT_ITERATIONS]
            if pending:
                stack.extend(pending)
                continue
            done[name] = node
            stack.pop()
    return list(done.values())
