"""Answers of the model that a file is made of, from the live session or from a copy of its graph.

A copy is run where running the session's own graph would change training, or where the file has
other values than the session: averages, another graph, those of a checkpoint.
"""

from __future__ import annotations

import re
from typing import Any, Container, Dict, Iterable, Iterator, List, Mapping, Set

import numpy as np
import tensorflow as tf

from ._tf import numpy_dtype, v1
from .graph.body import HANDLES, VARIABLES
from .graph.functions import part_of
from .graph.names import split, tensor_name
from .graph.tables import Column
from .plan import FreezePlan
from .stream import Value
from .tables import initializers_of

# Stateful ops, and others that take references, which only read.
_READS = HANDLES | {
    "Variable",
    "VariableV2",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "HashTable",
    "HashTableV2",
    "MutableHashTable",
    "MutableHashTableV2",
    "MutableHashTableOfTensorsV2",
    "MutableDenseHashTableV2",
    "AnonymousHashTable",
    "LookupTableFind",
    "LookupTableFindV2",
    "LookupTableSize",
    "LookupTableSizeV2",
    "RefSwitch",
    "RefMerge",
    "RefEnter",
    "RefExit",
    "RefNextIteration",
    "RefIdentity",
}
_TRAINING_FEEDS = re.compile(
    r"(Placeholder(V2)?|IteratorGetNext(Sync)?|.*QueueDequeue.*|ReaderRead.*|Unstage)$"
)


def run_live(session: Any, plan: FreezePlan, fixed: Any, feeds: Mapping[str, Any]) -> Any:
    """{output name: array} of a session whose graph was planned; `fixed` is what was bound."""
    fed = {plan.feeds[name]: value for name, value in feeds.items()}
    return session.run(dict(plan.fetches), dict(fed, **dict(fixed)))


def only_reads(graph: Any, plan: FreezePlan, fixed: Any) -> bool:
    """Whether a session that answers changes nothing by it, and needs nothing that is not given."""
    given = set(plan.feeds.values()) | {tensor for tensor, _ in fixed}
    stack = [graph.get_tensor_by_name(tensor) for tensor in plan.fetches.values()]
    if any(tensor.dtype.base_dtype == tf.resource for tensor in stack):
        return False  # an output that is a variable itself has no value to fetch
    seen: Set[str] = set()
    ops = [tensor.op for tensor in stack if tensor.name not in given]
    while ops:
        op = ops.pop()
        if op.name in seen:
            continue
        seen.add(op.name)
        if not op_only_reads(op) or _TRAINING_FEEDS.match(op.type):
            return False
        ops += [tensor.op for tensor in op.inputs if tensor.name not in given]
        ops += op.control_inputs
    return True


def op_only_reads(op: Any) -> bool:
    """Whether an op changes nothing; of one that calls functions, only if it says so itself."""
    changes = op.op_def.is_stateful or any(arg.is_ref for arg in op.op_def.input_arg)
    return op.type in _READS or not changes


def run_copy(
    graph_def: Any,
    plan: FreezePlan,
    values: Iterator[Value],
    fixed: Any,
    feeds: Mapping[str, Any],
) -> Dict[str, Any]:
    """{output name: array} of a graph that was planned, in a session of its own.

    Args:
      graph_def: what was planned.
      plan: made of it.
      values: one for each of the plan's slots.
      fixed: pairs (tensor name, value) of what was bound.
      feeds: {input name: array}.
    """
    given = set(plan.feeds.values()) | {tensor for tensor, _ in fixed}
    wanted = {split(tensor)[0] for tensor in given.union(plan.fetches.values())}
    wanted |= {slot.variable.node for slot in plan.slots}
    part, filling = _part(graph_def, wanted)
    _let_go(part, given)
    arrays = [array_of(next(values), slot.variable.dtype) for slot in plan.slots]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(part, name="")
        with v1.Session(graph=graph) as session:
            for init in filling:
                session.run(graph.get_operation_by_name(init))
            _fill(session, plan, arrays)
            fetches = {name: _readable(graph, tensor) for name, tensor in plan.fetches.items()}
            fed = dict(_made_up(graph), **dict(fixed))
            fed.update((plan.feeds[name], value) for name, value in feeds.items())
            return dict(session.run(fetches, fed))


def _let_go(part: Any, given: Container[str]) -> None:
    """Have nothing wait for what only the training is fed, as for an assertion on labels."""
    users: Dict[str, List[str]] = {}
    for node in part.node:
        for text in node.input:
            if text[:1] != "^" and tensor_name(text) not in given:
                users.setdefault(split(text)[0], []).append(node.name)
    stack = [node.name for node in part.node if _TRAINING_FEEDS.match(node.op)]
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


def _made_up(graph: Any) -> Dict[str, Any]:
    """Values for what only the training is fed, as in a branch that is bound not to be taken."""
    found = {}
    for op in graph.get_operations():
        for tensor in op.outputs if _TRAINING_FEEDS.match(op.type) else ():
            shape = tensor.shape.as_list() if tensor.shape.rank else []
            sizes = [1 if size is None else size for size in shape]
            if tensor.dtype == tf.string:
                found[tensor.name] = np.full(sizes, b"", object)
            elif graph.is_feedable(tensor):
                found[tensor.name] = np.zeros(sizes, tensor.dtype.as_numpy_dtype)
    return found


def _part(graph_def: Any, wanted: Iterable[str]) -> Any:
    """The nodes that some need, and those among them that fill static tables."""
    nodes = {node.name: node for node in graph_def.node}
    needed = _above(nodes, wanted)
    found = initializers_of(graph_def)
    filling = [init for name in sorted(needed) for init in found.get(name, ())]
    needed |= _above(nodes, filling)
    part = part_of(graph_def, [node for node in graph_def.node if node.name in needed])
    for node in part.node:
        if node.op in HANDLES and not node.attr["shared_name"].s:
            node.attr["shared_name"].s = node.name.encode()  # else all of them are one variable
    return part, filling


def _above(nodes: Mapping[str, Any], wanted: Iterable[str]) -> Set[str]:
    stack, seen = list(wanted), set()
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += [split(text)[0] for text in nodes[name].input]
    return seen


def _fill(session: Any, plan: FreezePlan, arrays: Iterable[Any]) -> None:
    """Give the variables and mutable tables their values; variables that no one reads, zeros."""
    graph, given = session.graph, set()
    keys: Any = None
    for slot, array in zip(plan.slots, arrays):
        variable = slot.variable
        handle = graph.get_tensor_by_name(variable.node + ":0")
        given.add(variable.node)
        if not isinstance(variable, Column):
            _assign(session, handle, tf.as_dtype(variable.dtype), array)
        elif variable.which == 0:
            keys = array
        else:
            _import(session, handle, variable, keys, array)
    for op in graph.get_operations():
        if op.type in VARIABLES and op.name not in given:
            shape = tf.TensorShape(op.get_attr("shape"))
            if shape.is_fully_defined() and op.get_attr("dtype") != tf.string:
                dtype = op.get_attr("dtype")
                zeros = np.zeros(shape.as_list(), dtype.as_numpy_dtype)
                _assign(session, op.outputs[0], dtype, zeros)


def _assign(session: Any, handle: Any, dtype: Any, array: Any) -> None:
    value = v1.placeholder(dtype)
    if handle.dtype == tf.resource:
        assign = tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    else:
        assign = tf.raw_ops.Assign(ref=handle, value=value, validate_shape=False).op
    session.run(assign, {value: array})


def _import(session: Any, handle: Any, column: Column, keys: Any, values: Any) -> None:
    fed = [v1.placeholder(tf.as_dtype(d)) for d in (column.key_dtype, column.value_dtype)]
    resource = handle.dtype == tf.resource
    op = tf.raw_ops.LookupTableImportV2 if resource else tf.raw_ops.LookupTableImport
    session.run(op(table_handle=handle, keys=fed[0], values=fed[1]), dict(zip(fed, (keys, values))))


def _readable(graph: Any, tensor: str) -> Any:
    found = graph.get_tensor_by_name(tensor_name(tensor))
    if found.dtype.base_dtype != tf.resource:
        return found
    dtype = found.op.get_attr("dtype")
    return tf.raw_ops.ReadVariableOp(resource=found, dtype=dtype)


def array_of(value: Value, dtype: int) -> Any:
    """A Value as an array."""
    if value.strings is not None:
        found = np.empty(len(value.strings), object)
        found[:] = value.strings
        return found.reshape(value.shape)
    chunks: List[Any] = [bytes(chunk) for chunk in value.chunks]
    return np.frombuffer(b"".join(chunks), numpy_dtype(dtype)).reshape(value.shape)
