"""Names the functions of a file after their content, and merges equal functions."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from ..body import Body
from ..functions import referenced

_COUNTED = re.compile(r"(_frozen)?(_\d+)?$")


def named_by_content(
    nodes: Iterable[Any], functions: Sequence[Any], bodies: Sequence[Body]
) -> Tuple[List[Any], List[Body]]:
    """Rename functions after their content, in place; return each once, with its body.

    A program may import two files into one graph. The graph has one library, in which functions
    with equal names must be equal.
    """
    _name_by_content(nodes, functions)
    once = {f.signature.name: (f, body) for f, body in zip(functions, bodies)}
    return [f for f, _ in once.values()], [body for _, body in once.values()]


def _name_by_content(nodes: Iterable[Any], functions: Sequence[Any]) -> None:
    defs = {f.signature.name: f for f in functions}
    new: Dict[str, str] = {}
    named: Dict[bytes, str] = {}

    def name(old: str) -> None:
        definition = defs[old]
        new[old] = old  # this ends a recursion
        for inner in (n for node in definition.node_def for n in referenced(node)):
            if inner in defs and inner not in new:
                name(inner)
        for node in definition.node_def:
            _refer(node, new)
        definition.signature.name = ""
        digest = hashlib.sha256(definition.SerializeToString(deterministic=True)).digest()
        stem = _COUNTED.sub("", old)
        new[old] = named.setdefault(digest, f"{stem}_frozen_{int.from_bytes(digest[:6], 'big')}")
        definition.signature.name = new[old]

    for old in sorted(defs):
        if old not in new:
            name(old)
    for node in nodes if new else ():
        _refer(node, new)


def _refer(node: Any, new: Mapping[str, str]) -> None:
    if node.op in new:
        node.op = new[node.op]
    for value in node.attr.values():
        for func in [value.func] if value.HasField("func") else value.list.func:
            func.name = new.get(func.name, func.name)
