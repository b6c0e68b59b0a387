"""Finds which nodes are inside the conditionals and loops of TensorFlow 1."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping

from .._protos import DT_RESOURCE, AttrValue
from .body import UNSET, Body, data_inputs, output_type
from .names import split
from .ops import CONTEXT_MAKERS, ENTERS, EXITS, MERGES, NEXT_ITERATIONS, SWITCHES
from .walks import topological


def has_frames(nodes: Mapping[str, Any]) -> bool:
    """Return whether there is a v1 conditional or loop (Switch or Enter)."""
    return any(node.op in CONTEXT_MAKERS for node in nodes.values())


def depths(body: Body, conditionals: bool = True) -> Dict[str, int]:
    """Return in how many v1 loops (and conditionals) each node is; 0: it runs once."""
    found: Dict[str, int] = {}
    for node in topological(body):
        around = (found.get(split(text)[0], 0) for text in node.input)
        counts = conditionals or node.op in ENTERS or node.op in EXITS
        found[node.name] = max(around, default=0) + (_step(node, body.nodes) if counts else 0)
    return found


def _step(node: Any, nodes: Mapping[str, Any]) -> int:
    if node.op in ENTERS:
        return 1
    if node.op in EXITS:
        return -1
    if node.op in SWITCHES:
        predicate = nodes[split(node.input[1])[0]]
        return 0 if predicate.op == "LoopCond" else 1
    if node.op in MERGES:
        merged = (nodes[split(text)[0]].op for text in node.input)
        return 0 if any(op in NEXT_ITERATIONS for op in merged) else -1
    return 0


def _is_invariant(text: str, nodes: Mapping[str, Any]) -> bool:
    """Return whether a tensor is a v1 loop's invariant, alive even after the last iteration."""
    node = nodes.get(split(text)[0])
    return bool(node and node.op in ENTERS and node.attr.get("is_constant", UNSET).b)


def takes_invariants_only(node: Any, nodes: Mapping[str, Any]) -> bool:
    """Return whether all data inputs of a node are loop invariants, or it has none."""
    return all(_is_invariant(text, nodes) for text in data_inputs(node))


def gate_invariants(body: Body, users: Iterable[Any]) -> None:
    """Make the loop invariants that nodes take alive only in iterations that run.

    This must happen before a node's function replaces it: nodes of the function may take only
    invariants, and would then run forever. (For the node itself,
    WhileContext._MaybeAddControlDependency prevents this.) Handles need no gate: they are removed
    before the graph runs.
    """
    for node in users if has_frames(body.nodes) else ():
        texts = data_inputs(node)
        free = [text for text in texts if _is_invariant(text, body.nodes)]
        before = [text for text in node.input if text.startswith("^")]
        before += [body.pivot(text) for text in texts if text not in free][:1]
        for text in free if before else ():
            dtype = output_type(body.nodes[split(text)[0]], 0)
            if dtype != DT_RESOURCE:
                gate = body.add(
                    "Identity", node.name + "/gate", [text] + before, T=AttrValue(type=dtype)
                )
                node.input[list(node.input).index(text)] = gate.name
