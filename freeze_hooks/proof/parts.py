"""Cuts a part out of a GraphDef, so that it can run by itself."""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable, List, Mapping, Set

from .._protos import GraphDef
from .op_effects import FILLS, STATIC_TABLES, VARIABLES, is_fed_in_training


def node_of(text: str) -> str:
    """Return the node's name in a tensor name or in a node's input text."""
    return text.lstrip("^").partition(":")[0]


def part_of(graph_def: Any, wanted: Iterable[str]) -> Any:
    """Return a GraphDef of the nodes that `wanted` need and the functions that they call.

    The nodes have no device and no colocation any more.
    """
    nodes = {node.name: node for node in graph_def.node}
    needed = above(nodes, wanted)
    part = GraphDef(versions=graph_def.versions)
    part.node.extend(node for node in graph_def.node if node.name in needed)
    _add_functions(part, graph_def.library)
    for node in part.node:
        node.device = ""
        node.attr.pop("_class", None)
        if node.op in VARIABLES and not node.attr["shared_name"].s:
            # without a name of its own, all such variables would share one value
            node.attr["shared_name"].s = node.name.encode()
    return part


def above(nodes: Mapping[str, Any], wanted: Iterable[str]) -> Set[str]:
    """Return the names of `wanted` and of all nodes that they need."""
    stack, seen = list(wanted), set()
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += map(node_of, nodes[name].input)
    return seen


def filling(graph_def: Any, needed: Container[str]) -> List[str]:
    """Return the names of the ops that fill the static tables among `needed`."""
    nodes = {node.name: node for node in graph_def.node}
    found = []
    for node in graph_def.node:
        if node.op in FILLS:
            table = nodes[node_of(node.input[0])]
            while table.op == "Identity":
                table = nodes[node_of(table.input[0])]
            if table.op in STATIC_TABLES and table.name in needed:
                found.append(node.name)
    return found


def let_go(part: Any, given: Container[str]) -> None:
    """Remove control inputs that depend on training-only feeds, such as an assertion on labels."""
    users: Dict[str, List[str]] = {}
    for node in part.node:
        for text in node.input:
            if text[:1] != "^" and _tensor(text) not in given:
                users.setdefault(node_of(text), []).append(node.name)
    stack = [node.name for node in part.node if is_fed_in_training(node.op)]
    reached = set(stack)
    while stack:
        fresh = [name for name in users.get(stack.pop(), ()) if name not in reached]
        reached.update(fresh)
        stack += fresh
    for node in part.node:
        kept = [text for text in node.input if text[:1] != "^" or text[1:] not in reached]
        if len(kept) < len(node.input):
            del node.input[:]
            node.input.extend(kept)


def _tensor(text: str) -> str:
    return text if ":" in text else text + ":0"


def calling(graph: Any, ops: Iterable[Any]) -> Any:
    """Return a GraphDef of some ops of a tf.Graph, and of the functions that they call."""
    part = GraphDef(node=[op.node_def for op in ops])
    _add_functions(part, graph.as_graph_def().library)
    return part


def _add_functions(part: Any, library: Any) -> None:
    functions = {function.signature.name: function for function in library.function}
    gradients = {gradient.function_name: gradient for gradient in library.gradient}
    stack: List[Any] = list(part.node)
    seen: Set[str] = set()
    while stack:
        node = stack.pop()
        names = {node.op} | set(_functions_in(node))
        for name in sorted((names & set(functions)) - seen):
            seen.add(name)
            stack.extend(functions[name].node_def)
    part.library.function.extend(functions[name] for name in sorted(seen))
    part.library.gradient.extend(gradients[name] for name in sorted(seen & set(gradients)))


def _functions_in(node: Any) -> Iterable[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func if value.HasField("list") else ():
            yield function.name
