"""The layout of the frozen files of one plan: which bytes they share, and where values differ."""

from __future__ import annotations

import dataclasses
from typing import Any, Container, Dict, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf
import xxhash
from google.protobuf.message import DecodeError

from .._protos import NodeDef
from .file_parts import Part, Value, field_at, graph_in, parts_of

_LARGE = 1 << 10  # bytes: a larger constant is fed, so that a graph needs little memory
# DataType numbers whose elements NumPy holds as the same bytes
_FEEDABLE = frozenset((1, 2, 3, 4, 5, 6, 8, 9, 10, 14, 17, 18, 19, 22, 23))
_FLOATING = frozenset((1, 2, 8, 14, 18, 19))
_DESCRIPTION = "_freeze_hooks"


@dataclasses.dataclass(frozen=True)
class Content:
    """What was read of a file.

    Attributes:
      digest: xxh3_64 of the file, in hexadecimal.
      values: {name of a Const: array} for a FedGraph; None if the file has another layout.
      start, length: where the node with the description is.
      before: the hash of the bytes before that node.
      around: of a SavedModel, its MetaGraphDef without the graph.
    """

    digest: str
    values: Optional[Mapping[str, Any]]
    start: int
    length: int
    before: Any
    around: bytes


class Layout:
    """The layout of one file; `read` reads others.

    Args:
      data: the file's bytes.
      varying: names of Consts that are parsed again in each file.
      kept: names of nodes that are not fed; None if none is fed.

    Attributes:
      fed: {name of a Const: (DataType number, shape; None for any)}.
      digests: {name of a node: a hash of its bytes} of the nodes that are not fed.

    Raises:
      ValueError: the bytes are no protocol buffer message.
    """

    def __init__(
        self, data: Any, varying: Container[str] = (), kept: Optional[Container[str]] = None
    ) -> None:
        self.fed: Dict[str, Tuple[int, Optional[Tuple[int, ...]]]] = {}
        self.digests: Dict[str, int] = {}
        # (length, a digest or a Part); the length of a Part is its value's, or 0 for a whole node
        self._spans: List[Tuple[int, Any]] = []
        self._rest: List[Tuple[int, int]] = []
        self._noted: Optional[int] = None
        same, end, around = graph_in(data)
        self._around = _hash(around)
        for part in parts_of(data, same, end):
            if part.name in varying and _is_constant(part):
                self.fed[part.name] = _dtype_of(data, part), None
                self._add(data, same, part.start, part)
                same = part.end
            elif kept is not None and part.name not in kept and _is_fed(part):
                value = part.value
                assert value is not None
                self.fed[part.name] = value.dtype, value.shape
                self._add(data, same, value.start, part, value.end - value.start)
                same = value.end
            else:
                self._rest.append((part.start, part.end))
                if part.is_described:
                    self._noted = _without_description(data[part.body : part.end])
                    self._add(data, same, part.start, part)
                    same = part.end
                else:
                    self.digests[part.name] = _hash(data[part.start : part.end])
        self._add(data, same, end, None)

    def rest(self, data: Any) -> bytes:
        """Return the file's GraphDef without the Consts that are fed."""
        return b"".join(data[start:end] for start, end in self._rest)

    def changed(self, other: Layout) -> List[str]:
        """Return the names of the nodes that are not fed and differ in another layout."""
        known = other.digests
        return [name for name, digest in self.digests.items() if known.get(name, digest) != digest]

    def read(self, data: Any) -> Content:
        """Compare a file with this layout, and find its values; they share its memory.

        Args:
          data: the file's bytes, mapped or read.
        """
        view = memoryview(data)
        values: Dict[str, Any] = {}
        start, end, around, same = 0, 0, b"", True
        try:
            place, last, around = graph_in(view)
            for size, what in self._spans:
                if not isinstance(what, Part):
                    same = _hash(view[place : place + size]) == what
                    place += size
                elif size and what.value is not None:
                    values[what.name] = _array(view[place : place + size], what.value)
                    place += size
                else:
                    begin, stop = field_at(view, place)
                    if what.is_described:
                        start, end = place, stop
                        same = _without_description(view[begin:stop]) == self._noted
                    else:
                        tensor = _parsed(view[begin:stop]).attr["value"].tensor
                        same = tensor.dtype == self.fed[what.name][0]
                        values[what.name] = tf.make_ndarray(tensor)
                    place = stop
                if not same:
                    break
            same = same and place == last and _hash(around) == self._around
        except ValueError:
            same = False
        found = xxhash.xxh3_64(view[:start])
        before = found.copy()
        found.update(view[start:])
        read = values if same else None
        return Content(found.hexdigest(), read, start, end - start, before, around)

    def _add(self, data: Any, start: int, end: int, part: Optional[Part], size: int = 0) -> None:
        if end > start:
            self._spans.append((end - start, _hash(data[start:end])))
        if part is not None:
            self._spans.append((size, part))


def _array(data: Any, value: Value) -> Any:
    dtype = tf.as_dtype(value.dtype).as_numpy_dtype
    return np.frombuffer(data, np.uint8).view(dtype).reshape(value.shape)


def _is_constant(part: Part) -> bool:
    return part.op == "Const" and not part.has_inputs and not part.is_described


def _is_fed(part: Part) -> bool:
    """Return whether a Const is fed: large ones, and arrays of weights; scalars rarely change."""
    value = part.value
    if value is None or not _is_constant(part) or value.dtype not in _FEEDABLE:
        return False
    size = value.end - value.start
    count = int(np.prod(value.shape, dtype=np.int64))
    if not size or size != count * tf.as_dtype(value.dtype).size:
        return False
    return size >= _LARGE or (bool(value.shape) and value.dtype in _FLOATING)


def _dtype_of(data: Any, part: Part) -> int:
    return int(_parsed(data[part.body : part.end]).attr["dtype"].type)


def _parsed(data: Any) -> Any:
    try:
        return NodeDef.FromString(bytes(data))
    except DecodeError as error:
        raise ValueError(str(error)) from None


def _without_description(data: Any) -> int:
    node = _parsed(data)
    del node.attr[_DESCRIPTION]
    return _hash(node.SerializeToString(deterministic=True))


def _hash(data: Any) -> int:
    return int(xxhash.xxh3_64(data).intdigest())
