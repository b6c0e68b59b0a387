"""The layout of the frozen files of one plan: which bytes they share, and where values differ."""

from __future__ import annotations

import dataclasses
from typing import Any, Container, Dict, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf
import xxhash

from .._protos import NodeDef
from .file_parts import Part, parts_of, varint

_ALIGNED = 64  # bytes: TensorFlow takes arrays that begin at a multiple of it without a copy
_OWN = 1 << 16  # bytes: a larger value gets memory of its own
_AT_ONCE = 1 << 20  # bytes to hash while they are in the processor's cache
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
    """

    digest: str
    values: Optional[Mapping[str, Any]]
    start: int
    length: int
    before: Any


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
        self._spans: List[Tuple[int, Any]] = []  # (length, a digest or a Part)
        self._rest: List[Tuple[int, int]] = []
        self._noted: Optional[int] = None
        same = 0
        for part in parts_of(data):
            if part.name in varying and _is_constant(part):
                self.fed[part.name] = _dtype_of(data, part), None
                self._add(data, same, part.start, part)
                same = part.end
            elif kept is not None and part.name not in kept and _is_fed(part):
                assert part.value is not None
                self.fed[part.name] = part.value.dtype, part.value.shape
                self._add(data, same, part.value.start, part)
                same = part.value.end
            else:
                self._rest.append((part.start, part.end))
                if part.is_described:
                    self._noted = _without_description(data[part.body : part.end])
                    self._add(data, same, part.start, part)
                    same = part.end
                else:
                    self.digests[part.name] = _hash(data[part.start : part.end])
        self._add(data, same, len(data), None)

    def rest(self, data: Any) -> bytes:
        """Return the file's GraphDef without the Consts that are fed."""
        return b"".join(data[start:end] for start, end in self._rest)

    def changed(self, other: Layout) -> List[str]:
        """Return the names of the nodes that are not fed and differ in another layout."""
        known = other.digests
        return [name for name, digest in self.digests.items() if known.get(name, digest) != digest]

    def read(self, file: Any) -> Content:
        """Read a whole file, and compare it with this layout.

        Args:
          file: a file that is open to read, at its beginning.
        """
        reading = Reading(file)
        values: Dict[str, Any] = {}
        start, length, before, same = 0, 0, reading.hash.copy(), True
        try:
            for size, what in self._spans:
                if not isinstance(what, Part):
                    same = _hash(reading.take(size)) == what
                elif what.is_described:
                    start, before = reading.at, reading.hash.copy()
                    same = _without_description(reading.field()) == self._noted
                    length = reading.at - start
                elif self.fed[what.name][1] is None:
                    tensor = NodeDef.FromString(reading.field()).attr["value"].tensor
                    same = tensor.dtype == self.fed[what.name][0]
                    values[what.name] = tf.make_ndarray(tensor)
                else:
                    values[what.name] = _array(reading, what)
                if not same:
                    break
        except ValueError:
            same = False
        same = not reading.finish() and same
        return Content(reading.hash.hexdigest(), values if same else None, start, length, before)

    def _add(self, data: Any, start: int, end: int, part: Optional[Part]) -> None:
        if end > start:
            self._spans.append((end - start, _hash(data[start:end])))
        if part is not None:
            self._spans.append((0, part))


class Reading:
    """Reads a file from its beginning to its end, and hashes it.

    Attributes:
      at: the number of bytes so far.
      hash: their xxh3_64.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.at = 0
        self.hash = xxhash.xxh3_64()

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        Raises:
          ValueError: the file ends before.
        """
        data: bytes = self._file.read(length)
        self._count(data)
        if len(data) < length:
            raise ValueError(f"it ends after {self.at} bytes")
        return data

    def array(self, length: int) -> Any:
        """Return the next bytes in an array; a large one begins where TensorFlow needs no copy."""
        if length < _OWN:
            return np.frombuffer(self.take(length), np.uint8)
        room = np.empty(length + _ALIGNED, np.uint8)
        array = room[-room.ctypes.data % _ALIGNED :][:length]
        for place in range(0, length, _AT_ONCE):
            self._fill(array[place : place + _AT_ONCE].data)
        return array

    def field(self) -> bytes:
        """Return the content of the next field, which has a length."""
        self.take(1)
        number = b""
        while not number or number[-1] & 0x80:
            number += self.take(1)
        return self.take(varint(number, 0)[0])

    def finish(self) -> bool:
        """Read the rest, and return whether there is one."""
        before = self.at
        for data in iter(lambda: self._file.read(_AT_ONCE), b""):
            self._count(data)
        return self.at > before

    def _fill(self, view: Any) -> None:
        into = getattr(self._file, "readinto", None)
        if into is None:  # of a remote file
            view[:] = self._file.read(len(view))
        else:
            done = 0
            while done < len(view):
                count = into(view[done:])
                if not count:
                    raise ValueError(f"it ends after {self.at + done} bytes")
                done += count
        self._count(view)

    def _count(self, data: Any) -> None:
        self.hash.update(data)
        self.at += len(data)


def _array(reading: Reading, part: Part) -> Any:
    value = part.value
    assert value is not None
    dtype = tf.as_dtype(value.dtype).as_numpy_dtype
    return reading.array(value.end - value.start).view(dtype).reshape(value.shape)


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
    return int(NodeDef.FromString(bytes(data[part.body : part.end])).attr["dtype"].type)


def _without_description(data: Any) -> int:
    node = NodeDef.FromString(bytes(data))
    del node.attr[_DESCRIPTION]
    return _hash(node.SerializeToString(deterministic=True))


def _hash(data: Any) -> int:
    return int(xxhash.xxh3_64(data).intdigest())
