"""Walks through a graph: nodes before others, nodes after others, and nodes in order."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Set, Tuple

from .body import Body
from .names import CONTROL, split
from .ops import MERGES, NEXT_ITERATIONS


def all_nodes(graph_def: Any) -> Iterator[Any]:
    """Yield the nodes of a GraphDef, then those of its functions."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def above(
    nodes: Mapping[str, Any], inputs: Iterable[str], data_only: bool = False
) -> Dict[str, None]:
    """Return the names of all nodes that these inputs depend on, each once.

    Args:
      nodes: the nodes by name; other nodes are left out.
      inputs: the inputs to start from; their own nodes are included.
      data_only: whether to ignore control inputs.
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
    """Return the names of all nodes that depend on the named ones."""
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
    """Return {node's name: (node, input index) pairs that use it}."""
    users: Dict[str, List[Tuple[Any, int]]] = {}
    for node in nodes.values():
        for i, text in enumerate(node.input):
            name, port = split(text)
            if not (data_only and port == CONTROL):
                users.setdefault(name, []).append((node, i))
    return users


def topological(body: Body) -> List[Any]:
    """Return the nodes, each after all its inputs, except for back edges of v1 loops."""
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
