"""Values of variables and lookup tables in a live session, read with TensorFlow's own ops."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Container, Dict, Iterable, Iterator, List, Tuple

import tensorflow as tf

from .. import _tf
from ..errors import FreezeError
from .op_effects import MUTABLE_TABLES
from .tensor_ends import value_type

_AT_ONCE = 64 << 20  # bytes per call of session.run; the first call of each set costs time


class LiveValues:
    """Reads some variables and mutable tables of a graph, by the names of their ops.

    Create it before the graph is finalized: it adds an op for each one that no op reads yet.
    """

    def __init__(self, graph: Any, names: Iterable[str]) -> None:
        reduced = _tf.reduced_in(graph)
        self._tables: Dict[str, List[Any]] = {}
        self._tensors: Dict[str, Any] = {}
        for name in names:
            try:
                op = graph.get_operation_by_name(name)
            except KeyError:
                continue  # it is only in the other graph, and no output needs it
            if op.type in MUTABLE_TABLES:
                self._tables[name] = _exported(graph, op)
            elif name in reduced:
                self._tensors[name] = _reduced(graph, op, reduced[name])
            else:
                self._tensors[name] = _value(graph, op)

    def read(self, session: Any, names: Container[str]) -> Iterator[Tuple[str, Any]]:
        """Yield (name, value) of these names, if initialized; a table's value: (keys, values)."""
        for group in self._groups(names):
            try:
                found = session.run([self._tensors[name] for name in group])
            except tf.errors.FailedPreconditionError:
                yield from self._one_by_one(session, group)
            else:
                yield from zip(group, found)
        for name, fetched in self._tables.items():
            if name in names:
                keys, values = session.run(list(fetched))  # of a dense table: all its buckets
                yield name, (keys, values)

    def _one_by_one(self, session: Any, names: Iterable[str]) -> Iterator[Tuple[str, Any]]:
        for name in names:
            try:
                value = session.run(self._tensors[name])
            except tf.errors.FailedPreconditionError:
                continue  # no output needs an uninitialized variable
            yield name, value

    def _groups(self, names: Container[str]) -> Iterator[List[str]]:
        group: List[str] = []
        total = 0
        for name, tensor in self._tensors.items():
            if name not in names:
                continue
            count = tensor.shape.num_elements() or 0
            nbytes = count * (0 if tensor.dtype.base_dtype == tf.string else tensor.dtype.size)
            if group and total + nbytes > _AT_ONCE:
                yield group
                group, total = [], 0
            group.append(name)
            total += nbytes
        if group:
            yield group


def _value(graph: Any, op: Any) -> Any:
    handle = op.outputs[0]
    if handle.dtype != tf.resource:
        return handle
    for user in handle.consumers():
        if user.type == "ReadVariableOp" and not user.control_inputs:
            return user.outputs[0]
    dtype = value_type(op)[0]

    def read(name: str) -> None:
        tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype, name=name)

    return _added(graph, op, "read", read)[0]


def _reduced(graph: Any, op: Any, variable: Any) -> Any:
    def read(name: str) -> None:
        tf.identity(_tf.reduction(variable), name)

    return _added(graph, op, "reduced", read)[0]


def _exported(graph: Any, op: Any) -> Any:
    handle = op.outputs[0]
    for user in handle.consumers():
        if user.type.startswith("LookupTableExport"):
            return user.outputs
    types = {f"T{k}s": tf.as_dtype(op.get_attr(f"{k}_dtype")) for k in ("key", "value")}
    resource = handle.dtype == tf.resource
    make = tf.raw_ops.LookupTableExportV2 if resource else tf.raw_ops.LookupTableExport

    def export(name: str) -> None:
        make(table_handle=handle, name=name, **types)

    return _added(graph, op, "export", export)


def _added(graph: Any, op: Any, what: str, make: Callable[[str], Any]) -> Any:
    """Return the outputs of our reading op in the graph, which is added if missing."""
    name = f"freeze_hooks/proof/{op.name}/{what}"
    try:
        return graph.get_operation_by_name(name).outputs
    except KeyError:
        pass
    if graph.finalized:
        raise FreezeError(
            f"verify= needs an op that reads {op.name!r}, and none can be added to a finalized "
            "graph; freeze a session of the graph once before it is finalized"
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(graph.as_default())
        stack.enter_context(graph.control_dependencies(None))
        stack.enter_context(graph.name_scope(None))
        stack.enter_context(graph.colocate_with(op, ignore_existing=True))
        make(name)
    return graph.get_operation_by_name(name).outputs
