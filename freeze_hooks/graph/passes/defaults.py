"""Restores attributes that a graph was stored without because they have default values."""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable, Iterator, Optional, Tuple

from ..._protos import GraphDef
from ..op_registry import op_def


def add_defaults(graph_def: Any) -> None:
    """Add the missing default attributes to all nodes, including those of functions, in place."""
    for node, lacked in _lacking(graph_def):
        for name, value in lacked.items():
            node.attr[name].CopyFrom(value)


def with_defaults(graph_def: Any) -> Any:
    """Return the graph if no default attribute is missing, else a copy that has them all."""
    if next(_lacking(graph_def), None) is None:
        return graph_def
    copy = GraphDef()
    copy.CopyFrom(graph_def)
    add_defaults(copy)
    return copy


def _lacking(graph_def: Any) -> Iterator[Tuple[Any, Dict[str, Any]]]:
    """Yield each node that lacks attributes, and the missing attributes."""
    functions = {function.signature.name for function in graph_def.library.function}
    known: Dict[str, Dict[str, Any]] = {}  # by op
    for nodes in (graph_def.node, *(f.node_def for f in graph_def.library.function)):
        yield from _lacking_among(nodes, functions, known)


def _lacking_among(
    nodes: Iterable[Any], functions: Container[str], known: Dict[str, Dict[str, Any]]
) -> Iterator[Tuple[Any, Dict[str, Any]]]:
    for node in nodes:
        defaults = known.get(node.op)
        if defaults is None:
            defaults = known[node.op] = _defaults(None if node.op in functions else op_def(node.op))
        if not defaults:
            continue
        attr = node.attr
        for name in defaults:
            if name not in attr:
                yield node, {name: defaults[name] for name in defaults if name not in attr}
                break


def _defaults(definition: Optional[Any]) -> Dict[str, Any]:
    attrs = definition.attr if definition is not None else ()
    return {attr.name: attr.default_value for attr in attrs if attr.HasField("default_value")}
