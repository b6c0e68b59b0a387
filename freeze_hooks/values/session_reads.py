"""Reads values of variables from a live session, a limited number of bytes at a time."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Iterator, List, Optional, Sequence

import numpy as np
import tensorflow as tf

from .. import _tf
from .._tf import v1
from ..errors import FreezeError
from ..graph.tables import Column
from ..graph.variables import Variable
from ..plan.types import value_bytes
from .static_tables import sorted_entries
from .value import Value

# Smaller variables are fetched together: for each new set of fetches, TensorFlow optimizes the
# whole graph again (0.4 s for 24,000 nodes).
SLICED_BYTES = 8 << 20
GROUP_BYTES = 24 << 20
# The fastest of 1 to 64 MiB on TensorFlow 1.15 and 2.21: a chunk stays in the processor's cache
# until it is hashed and written, and malloc reuses the same pages for the next.
CHUNK_BYTES = 8 << 20
_SCOPE = "freeze_hooks"
_SPARSE = re.compile(r"Resource(Gather|Scatter|Sparse|StridedSlice)")
_HANDING_ON = ("Identity", "Switch", "Enter", "Merge")
_FLOATING = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_INTEGER = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
_SLICEABLE = frozenset(_FLOATING + _INTEGER)  # all versions have a Slice kernel for these


@dataclasses.dataclass(frozen=True)
class _Source:
    variable: Variable
    whole: Any  # the tensor to fetch
    nbytes: Optional[int]
    part: Optional[Any] = None  # a tensor of `size` units of it, from unit `begin` on
    unit: int = 0  # bytes: a row or an element


class SessionValues:
    """Reads variables of one graph from its sessions.

    Create it before the graph is finalized. It then adds ops that read resource variables and
    slice large ones, once per graph. In a finalized graph it uses existing read ops and fetches
    large variables whole.

    Attributes:
      reduces: whether a value is a reduction over replicas, as in the checkpoint. Such a value
        differs from the ones that the replicas compute with.

    Raises:
      FreezeError: a resource variable has no read op in a finalized graph.
    """

    def __init__(self, graph: Any, variables: Sequence[Variable]) -> None:
        self._graph = graph
        self._begin = self._vector("begin")
        self._size = self._vector("size")
        reduced = _tf.reduced_in(graph)
        self._sources = [self._source(v, reduced.get(v.node)) for v in variables]
        self.reduces = any(variable.node in reduced for variable in variables)

    def _vector(self, name: str) -> Any:
        return _once(self._graph, name, lambda full: v1.placeholder(tf.int64, [1], full))

    def _source(self, variable: Variable, reduced: Any) -> _Source:
        handle = self._graph.get_tensor_by_name(variable.node + ":0")
        if isinstance(variable, Column):
            return _Source(variable, _exported(self._graph, handle, variable), None)
        whole = _reader(self._graph, handle, variable, reduced)
        nbytes = value_bytes(variable)
        dtype = whole.dtype.base_dtype
        if nbytes is None or nbytes <= SLICED_BYTES or dtype.name not in _SLICEABLE:
            return _Source(variable, whole, nbytes)
        assert variable.shape is not None
        row = nbytes // variable.shape[0]
        if row <= CHUNK_BYTES and reduced is None and _is_sparse(handle):
            rows = _colocated(self._graph, handle, "rows", lambda n: self._gather(handle, dtype, n))
            return _Source(variable, whole, nbytes, rows, row)
        part = _colocated(self._graph, handle, "part", lambda n: self._slice(whole, n))
        return _Source(variable, whole, nbytes, part, dtype.size)

    def _slice(self, whole: Any, name: str) -> Any:
        return tf.slice(tf.reshape(whole, [-1]), self._begin, self._size, name)

    def _gather(self, handle: Any, dtype: Any, name: str) -> Any:
        rows = tf.range(self._begin[0], self._begin[0] + self._size[0])
        return tf.raw_ops.ResourceGather(resource=handle, indices=rows, dtype=dtype, name=name)

    def read(self, session: Any, which: slice = slice(None)) -> Iterator[Value]:
        """Yield the values, in the order of the variables; use each before you ask for the next.

        It holds at most GROUP_BYTES, or the largest variable that cannot be sliced.
        """
        group: List[_Source] = []
        pending = 0
        columns: List[Any] = []
        for source in self._sources[which]:
            if isinstance(source.variable, Column):
                if source.variable.which == 0:  # the column of values follows, from the same run
                    table = self._graph.get_operation_by_name(source.variable.node)
                    columns = _entries(table, session.run(source.whole))
                yield as_value(columns[source.variable.which])
                continue
            alone = source.nbytes is None or source.nbytes > SLICED_BYTES
            if group and (alone or pending + (source.nbytes or 0) > GROUP_BYTES):
                yield from _fetch(session, group)
                group, pending = [], 0
            if source.part is not None:
                assert source.nbytes is not None and source.variable.shape is not None
                yield Value(source.variable.shape, source.nbytes, self._parts(session, source))
            elif alone:
                yield from _fetch(session, [source])
            else:
                group.append(source)
                pending += source.nbytes or 0
        if group:
            yield from _fetch(session, group)

    def take(self, session: Any) -> Iterator[Value]:
        """Yield the values in the same order, all fetched in one run, between training steps."""
        sources = dict(enumerate(self._sources))
        columns: List[Any] = []
        fetched = session.run(
            {i: s.whole for i, s in sources.items() if not _is_second(s.variable)}
        )
        for i, source in sources.items():
            if not isinstance(source.variable, Column):
                yield as_value(fetched.pop(i))
                continue
            if source.variable.which == 0:
                table = self._graph.get_operation_by_name(source.variable.node)
                columns = _entries(table, fetched.pop(i))
            yield as_value(columns[source.variable.which])

    def _parts(self, session: Any, source: _Source) -> Iterator[Any]:
        total, step = (source.nbytes or 0) // source.unit, CHUNK_BYTES // source.unit
        for begin in range(0, total, step):
            feeds = {self._begin: [begin], self._size: [min(step, total - begin)]}
            yield as_bytes(session.run(source.part, feeds))


def _is_second(variable: Variable) -> bool:
    """Return whether it is a table's column of values; the fetch of the keys includes it."""
    return isinstance(variable, Column) and variable.which == 1


def _fetch(session: Any, sources: Sequence[_Source]) -> Iterator[Value]:
    arrays = session.run([source.whole for source in sources])
    arrays.reverse()
    while arrays:
        yield as_value(arrays.pop())


def as_value(array: Any) -> Value:
    """Return a whole array (or a string scalar's bytes) as a Value; both share the memory."""
    if isinstance(array, bytes):  # NumPy's strings drop zero bytes at the end
        return Value((), 0, strings=[array])
    array = np.asarray(array, order="C")
    if array.dtype.kind in "OSU":
        flat = [s if isinstance(s, bytes) else str(s).encode() for s in array.reshape(-1).tolist()]
        return Value(array.shape, 0, strings=flat)
    return Value(array.shape, array.nbytes, _pieces(as_bytes(array)))


def _pieces(data: Any) -> Iterator[Any]:
    """Yield a buffer in pieces: one is written while the next is checked and hashed."""
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def as_bytes(array: Any) -> Any:
    """Return an array's memory as a flat buffer, for any dtype; no copy if it is contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _reader(graph: Any, handle: Any, variable: Variable, reduced: Any) -> Any:
    if not variable.resource:
        return handle
    dtype = tf.as_dtype(variable.dtype)

    def read(name: str) -> Any:
        return tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype, name=name)

    def reduce(name: str) -> Any:
        return tf.identity(_tf.reduction(reduced), name)

    added = (
        _colocated(graph, handle, "read", read)
        if reduced is None
        else _once(graph, f"{handle.op.name}/reduced", reduce)
    )
    if added is not None:
        return added
    for user in handle.consumers() if reduced is None else ():
        if user.type == "ReadVariableOp" and not user.control_inputs:
            return user.outputs[0]
    raise FreezeError(
        f"variable {variable.node!r} has no read op, and none can be added to a finalized graph; "
        "freeze a session of the graph once before it is finalized"
    )


def _exported(graph: Any, handle: Any, column: Column) -> List[Any]:
    """Return the fetches for a mutable table: keys, values, and a dense table's two marker keys."""

    def export(name: str) -> Any:
        types = (tf.as_dtype(column.key_dtype), tf.as_dtype(column.value_dtype))
        of_resource = handle.dtype == tf.resource
        op = tf.raw_ops.LookupTableExportV2 if of_resource else tf.raw_ops.LookupTableExport
        return op(table_handle=handle, Tkeys=types[0], Tvalues=types[1], name=name)[0]

    keys = _colocated(graph, handle, "export", export)
    if keys is None:
        exports = [
            op.outputs[0] for op in handle.consumers() if op.type.startswith("LookupTableExport")
        ]
        if not exports:
            raise FreezeError(
                f"lookup table {column.node!r} is not exported anywhere, and an export op cannot "
                "be added to a finalized graph; freeze a session of the graph once before it is "
                "finalized"
            )
        keys = exports[0]
    return [*keys.op.outputs, *handle.op.inputs]


def _entries(table: Any, fetched: Sequence[Any]) -> List[Any]:
    """Return [keys, values] of a table, sorted, without the free buckets of a dense table."""
    keys, values, *markers = fetched
    if markers:  # a dense table exports scalars with shape [1]
        count = len(keys)
        dims = [dim.size for dim in table.get_attr("value_shape").dim]
        keys = keys.reshape([count, *np.shape(markers[0])])
        values = values.reshape([count, *dims])
        taken = np.ones(count, bool)
        for marker in markers if count else ():
            taken &= ~(keys == np.asarray(marker, keys.dtype)).reshape(count, -1).all(axis=1)
        keys, values = keys[taken], values[taken]
    return list(sorted_entries(keys, values))


def _is_sparse(handle: Any) -> bool:
    """Return whether the graph gathers or scatters rows of a resource variable.

    After the first such op, TensorFlow copies the whole variable at each dense read
    (copy_on_read_mode in resource_variable_ops.cc), so gathering it is cheaper. All other
    variables must not be gathered, since that would switch them to this mode too.
    """
    stack, seen = [handle], {handle.name}
    while stack:
        for user in stack.pop().consumers():
            if _SPARSE.match(user.type):
                return True
            if user.type in _HANDING_ON:
                fresh = [tensor for tensor in user.outputs if tensor.name not in seen]
                seen.update(tensor.name for tensor in fresh)
                stack.extend(fresh)
    return False


def _colocated(graph: Any, handle: Any, name: str, make: Callable[[str], Any]) -> Any:
    with graph.colocate_with(handle.op, ignore_existing=True):
        return _once(graph, f"{handle.op.name}/{name}", make)


def _once(graph: Any, name: str, make: Callable[[str], Any]) -> Any:
    """Return our tensor of this name in the graph, added if missing; None if it cannot be added."""
    full = f"{_SCOPE}/{name}"
    try:
        return graph.get_tensor_by_name(full + ":0")
    except KeyError:
        pass
    if graph.finalized:
        return None
    with graph.as_default(), graph.control_dependencies(None), graph.name_scope(None):
        return make(full)
