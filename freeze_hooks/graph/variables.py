"""Finds a graph's variables, and the nodes that pass them on or change them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from .._protos import DT_RESOURCE
from .body import Body, widths
from .op_registry import op_def
from .ops import (
    HANDING_ON,
    HANDLES,
    READS,
    VARIABLES,
    plain_op,
)


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable that a frozen graph needs: its node in the training graph, dtype and shape."""

    node: str
    dtype: int
    shape: Optional[Tuple[int, ...]]  # None if the graph does not tell
    resource: bool


Carried = Dict[Tuple[str, int], Variable]
Kept = Optional[Callable[[str], bool]]


def variables_of(body: Body) -> Dict[str, Variable]:
    """Return the variables among a graph's nodes, by name."""
    return {
        node.name: Variable(
            node.name, node.attr["dtype"].type, static(node.attr["shape"].shape), node.op in HANDLES
        )
        for node in body.nodes.values()
        if node.op in VARIABLES
    }


def static(shape: Any) -> Optional[Tuple[int, ...]]:
    """Return the dimensions of a TensorShapeProto; None unless all are known."""
    if shape.unknown_rank or any(dim.size < 0 for dim in shape.dim):
        return None
    return tuple(dim.size for dim in shape.dim)


def hands_on(node: Any, variable: Variable) -> bool:
    """Return whether a node only passes on the variable itself, not its value."""
    return plain_op(node.op) in HANDING_ON and (variable.resource or node.op.startswith("Ref"))


def handed(node: Any) -> List[Tuple[str, int]]:
    """Return the outputs through which a node passes on a variable."""
    return [(node.name, port) for port in ((0, 1) if plain_op(node.op) == "Switch" else (0,))]


def changes(node: Any, given: Mapping[int, Variable]) -> bool:
    """Return whether a node does more than read its variables, {index of its input: variable}."""
    if node.op in READS:
        return False
    return any(variable.resource or _wants_ref(node, i) for i, variable in given.items())


def may_change(ops: Iterable[str]) -> bool:
    """Return whether ops of these types may change a variable or table, or call such ops."""
    return any(map(_may_change, set(ops)))


@functools.lru_cache(maxsize=None)
def _may_change(op: str) -> bool:
    if op in READS or op in VARIABLES:
        return False
    definition = op_def(op)
    if definition is None or any("func" in attr.type for attr in definition.attr):
        return True
    if op.startswith("Ref") and plain_op(op) in HANDING_ON:
        return False
    return any(
        arg.is_ref or arg.type == DT_RESOURCE or (definition.is_stateful and arg.type_list_attr)
        for arg in definition.input_arg
    )


def _wants_ref(node: Any, index: int) -> bool:
    definition = op_def(node.op)
    for arg in definition.input_arg if definition else ():
        index -= len(widths(arg, node.attr))
        if index < 0:
            return bool(arg.is_ref)
    return False
