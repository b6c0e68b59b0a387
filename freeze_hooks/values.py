"""Values of variables from a live session, a bounded number of bytes at a time."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterator, List, Optional, Sequence

import numpy as np
import tensorflow as tf

from ._tf import v1
from .errors import FreezeError
from .graph.variables import Variable
from .plan import value_bytes
from .stream import Value

# The fastest of 1 to 64 MiB on TensorFlow 1.15 and 2.21: still in the processor's cache when it is
# hashed and written, and small enough that malloc hands out the same pages again.
CHUNK_BYTES = 8 << 20
_SCOPE = "freeze_hooks"
_FLOATING = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_INTEGER = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
_SLICEABLE = frozenset(_FLOATING + _INTEGER)  # dtypes with a Slice kernel in every version


@dataclasses.dataclass(frozen=True)
class _Source:
    variable: Variable
    whole: Any  # the tensor to fetch
    part: Optional[Any]  # the same, flat, from `begin` on for `size` elements
    nbytes: Optional[int]


class SessionValues:
    """Reads variables of one graph from its sessions.

    Make it before the graph is finalized: it then adds the ops that read a resource variable and
    slice a large one, each once a graph. In a finalized graph it uses the reads that are there,
    and fetches large variables whole.

    Raises:
      FreezeError: a resource variable has no read op in a finalized graph.
    """

    def __init__(self, graph: Any, variables: Sequence[Variable]) -> None:
        self._begin, self._size = None, None
        if not graph.finalized:
            self._begin = _once(graph, "begin", lambda name: v1.placeholder(tf.int64, [1], name))
            self._size = _once(graph, "size", lambda name: v1.placeholder(tf.int64, [1], name))
        self._sources = [self._source(graph, variable) for variable in variables]

    def _source(self, graph: Any, variable: Variable) -> _Source:
        whole = _reader(graph, variable)
        nbytes = value_bytes(variable)
        part = None
        dtype = whole.dtype.base_dtype.name
        if nbytes is not None and nbytes > CHUNK_BYTES and dtype in _SLICEABLE:
            part = self._slice(graph, variable, whole)
        return _Source(variable, whole, part, nbytes)

    def _slice(self, graph: Any, variable: Variable, whole: Any) -> Optional[Any]:
        if graph.finalized:
            return _existing(graph, variable.node + "/part")

        def make(name: str) -> Any:
            flat = tf.reshape(whole, [-1])
            return tf.slice(flat, self._begin, self._size, name)

        with graph.colocate_with(whole.op, ignore_existing=True):
            return _once(graph, variable.node + "/part", make)

    def read(self, session: Any) -> Iterator[Value]:
        """The values, in the order of the variables; each must be used before the next is asked.

        Holds at most CHUNK_BYTES at once, or the largest variable that cannot be sliced.
        """
        group: List[_Source] = []
        pending = 0
        for source in self._sources:
            alone = source.nbytes is None or source.nbytes > CHUNK_BYTES
            if group and (alone or pending + (source.nbytes or 0) > CHUNK_BYTES):
                yield from _fetch(session, group)
                group, pending = [], 0
            if alone:
                yield (
                    self._large(session, source)
                    if source.part is not None
                    else next(_fetch(session, [source]))
                )
            else:
                group.append(source)
                pending += source.nbytes or 0
        if group:
            yield from _fetch(session, group)

    def _large(self, session: Any, source: _Source) -> Value:
        assert source.nbytes is not None and source.variable.shape is not None
        return Value(source.variable.shape, source.nbytes, self._parts(session, source))

    def _parts(self, session: Any, source: _Source) -> Iterator[Any]:
        width = source.whole.dtype.base_dtype.size
        total, step = (source.nbytes or 0) // width, CHUNK_BYTES // width
        for begin in range(0, total, step):
            feeds = {self._begin: [begin], self._size: [min(step, total - begin)]}
            yield as_bytes(session.run(source.part, feeds))


def _fetch(session: Any, sources: Sequence[_Source]) -> Iterator[Value]:
    arrays = session.run([source.whole for source in sources])
    arrays.reverse()
    while arrays:
        yield as_value(arrays.pop())


def as_value(array: Any) -> Value:
    """A whole array (or a string scalar's bytes) as a Value; its memory is shared."""
    if isinstance(array, bytes):  # a NumPy array of them would drop zero bytes at the end
        return Value((), 0, strings=[array])
    array = np.asarray(array, order="C")
    if array.dtype.kind in "OSU":
        flat = [s if isinstance(s, bytes) else str(s).encode() for s in array.reshape(-1).tolist()]
        return Value(array.shape, 0, strings=flat)
    return Value(array.shape, array.nbytes, iter([as_bytes(array)]))


def as_bytes(array: Any) -> Any:
    """The memory of an array of any dtype as one flat buffer; no copy where it is contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _reader(graph: Any, variable: Variable) -> Any:
    handle = graph.get_tensor_by_name(variable.node + ":0")
    if not variable.resource:
        return handle
    dtype = tf.as_dtype(variable.dtype)
    if not graph.finalized:
        with graph.colocate_with(handle.op, ignore_existing=True):
            return _once(
                graph,
                variable.node + "/read",
                lambda name: tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype, name=name),
            )
    for user in handle.consumers():
        if user.type == "ReadVariableOp" and not user.control_inputs:
            return user.outputs[0]
    raise FreezeError(
        f"variable {variable.node!r} has no read op, and none can be added to a finalized graph; "
        "freeze a session of the graph once before it is finalized"
    )


def _once(graph: Any, name: str, make: Callable[[str], Any]) -> Any:
    found = _existing(graph, name)
    if found is not None:
        return found
    with graph.as_default(), graph.control_dependencies(None), graph.name_scope(None):
        return make(f"{_SCOPE}/{name}")


def _existing(graph: Any, name: str) -> Optional[Any]:
    try:
        return graph.get_tensor_by_name(f"{_SCOPE}/{name}:0")
    except KeyError:
        return None
