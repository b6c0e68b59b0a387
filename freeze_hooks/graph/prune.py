"""Pruning: keeps only what the outputs of a graph need. Most passes begin and end with it."""

from __future__ import annotations

import dataclasses
from typing import AbstractSet, Any, Dict, Iterable, List, Mapping, Optional

from .._protos import DT_RESOURCE, NodeDef
from ..errors import NotFreezableError
from .body import UNSET, Body, data_inputs, follow
from .frames import depths, has_frames, takes_invariants_only
from .names import CONTROL, split
from .ops import MUTABLE_TABLES, PIVOTS, STACK_ORDER, STACK_POPS, SWITCHES, TENSOR_FILLS, VARIABLES
from .walks import above


def prune(
    body: Body,
    moved: Optional[Mapping[str, str]] = None,
    keep_order: bool = False,
    in_place: bool = False,
) -> Body:
    """Return a copy with only what the outputs need, and with tensors in `moved` replaced.

    With `in_place`, it has the body's own nodes, changed, and the body must not be used again.

    Control inputs are dropped: in a file for inference they would only run updates, summaries,
    savers and asserts. These stay:
    - in a v1 conditional or loop, those of a node whose data inputs do not tell to which branch or
      iteration it belongs (ControlFlowContext pivots);
    - with `keep_order`, those of nodes that take a variable, since its value may depend on what ran
      before, of `waiting` nodes, and of all nodes before them: TensorFlow omits a control input if
      a data input gives the same order (Graph._control_dependencies_for_inputs);
    - those from the initialization of a lookup table, and from `awaited` nodes;
    - if outputs need gradients of a v1 loop, those of its stacks, since only control inputs keep
      these in order, and of all nodes before them.
    """
    moved = moved or {}
    outputs = [follow(text, moved) for text in body.outputs]
    effects = body.effects if keep_order else ()
    pivots = _Pivots(body) if has_frames(body.nodes) else None
    stacks = pivots is not None and _needs_stacks(body, outputs, effects)
    ordered_ops = STACK_ORDER if stacks else frozenset()
    awaited_ops = TENSOR_FILLS | ordered_ops
    wanted: Dict[str, Optional[List[str]]] = {}  # {node: its new inputs; None: they stay}
    stack = [(split(text)[0], False) for text in reversed(outputs)]
    stack += [(name, True) for name in effects]
    whole = set()  # nodes that keep all their inputs, since a read may wait for them
    while stack:
        name, waited_for = stack.pop()
        if name in whole or (name in wanted and not waited_for):
            continue
        node = body.nodes.get(name)
        if node is None:
            raise NotFreezableError(f"the graph is broken: a node needs {name!r}, which it lacks")
        inputs = list(node.input)
        controls = [text for text in inputs if text[:1] == "^"]
        keeps = (stacks and node.op in ordered_ops) or (
            keep_order and (name in body.waiting or takes_variable(node, body.nodes))
        )
        if waited_for:
            whole.add(name)
        elif controls and not keeps:
            inputs = [text for text in inputs if text[:1] != "^"]
            inputs += [text for text in controls if _is_awaited(text[1:], body, awaited_ops)]
            if pivots is not None and takes_invariants_only(node, body.nodes):
                inputs += pivots.of(node)
        if moved:
            inputs = [follow(text, moved) for text in inputs]
        wanted[name] = inputs if moved or controls else None
        for text in inputs:
            source, port = split(text)
            ordered = keep_order and port == CONTROL
            stack.append((source, waited_for or keeps or ordered))
    nodes = {name: node for name, node in body.nodes.items() if name in wanted}
    if not in_place:
        nodes = {name: _copy(node) for name, node in nodes.items()}
    for name, kept in wanted.items():
        if kept is not None:
            del nodes[name].input[:]
            nodes[name].input.extend(kept)
    return dataclasses.replace(body, nodes=nodes, outputs=outputs, effects=effects)


def takes_variable(node: Any, nodes: Mapping[str, Any]) -> bool:
    """Return whether a node takes a variable itself: a reference or a handle, not its value."""
    for text in data_inputs(node):
        source = nodes.get(split(text)[0])
        if source is not None and (
            source.op in VARIABLES
            or source.op in MUTABLE_TABLES
            or source.op.startswith("Ref")
            or source.attr.get("T", UNSET).type == DT_RESOURCE
        ):
            return True
    return False


def _is_awaited(name: str, body: Body, ops: AbstractSet[str]) -> bool:
    return name in body.awaited or (name in body.nodes and body.nodes[name].op in ops)


def _needs_stacks(body: Body, outputs: Iterable[str], effects: Iterable[str]) -> bool:
    """Return whether the outputs take values from a v1 loop's stack, as its gradients do.

    A loop of a training graph always pushes, even if nothing pops.
    """
    if not any(node.op in STACK_POPS for node in body.nodes.values()):
        return False
    needed = above(body.nodes, [*outputs, *effects], data_only=True)
    return any(body.nodes[name].op in STACK_POPS for name in needed)


def _copy(node: Any) -> Any:
    copy = NodeDef()
    copy.CopyFrom(node)
    return copy


class _Pivots:
    """Finds the control inputs that tell the branch or frame of a node."""

    def __init__(self, body: Body) -> None:
        self._nodes = body.nodes
        self._depth = depths(body)

    def of(self, node: Any) -> List[str]:
        """Return a node's control inputs to keep; side effects are replaced by their pivots."""
        found: Dict[str, None] = {}
        stack = [text[1:] for text in node.input if text.startswith("^")]
        seen = set(stack)
        while stack:
            name = stack.pop()
            if self._depth[name] <= 0:
                continue
            source = self._nodes[name]
            if source.op in PIVOTS or source.op in SWITCHES:
                found["^" + name] = None
                continue
            for text in source.input:
                before = split(text)[0]
                if before not in seen and self._nodes[before].op not in SWITCHES:
                    seen.add(before)
                    stack.append(before)
        return list(found)
