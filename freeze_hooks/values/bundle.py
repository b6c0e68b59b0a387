"""Reads tensors of a V2 checkpoint in pieces, directly from its data files.

TensorFlow's reader gives only whole tensors. The format is defined in tensor_bundle.cc:
`PREFIX.index` is a leveldb table (doc/table_format.md) of BundleEntryProtos by key. Each entry says
where its tensor is in `PREFIX.data-...`.
"""

from __future__ import annotations

import functools
import operator
import struct
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import google_crc32c
from google.protobuf.message import DecodeError

from .._protos import (
    DATA_TYPES,
    DT_RESOURCE,
    DT_STRING,
    DT_VARIANT,
    MOST_DIMS,
    BundleEntry,
    BundleHeader,
    itemsize,
    parse,
)
from ..errors import InvalidFileError
from ..storage.filesystem import filesystem_of, read

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
# bytes per read: with 8 MiB, malloc asks for new memory each time, and reading took 4 times as long
_PIECE = 2 << 20
_MOST_OF_KEYS = 1 << 28  # bytes; prefix compression lets a small file claim huge keys
_CRC = 4  # bytes
VERSION = 1  # of the format, kTensorBundleVersion
_SLICE = b"\0"  # how the keys of slices begin, which are not UTF-8
_LITTLE = 0  # BundleHeaderProto.Endianness
_MOST_ELEMENTS = (1 << 63) - 1
_NO_LENGTH = (DT_STRING, DT_RESOURCE, DT_VARIANT)  # dtypes whose shape tells no length
_BROKEN = (LookupError, ValueError, struct.error, DecodeError, MemoryError)


class Bundle:
    """The tensors of a checkpoint that are stored in one piece in its data files.

    All others (arrays of strings, slices of partitioned variables, format V1) are left to
    TensorFlow's reader.

    Attributes:
      shapes: {key: dimensions} of all that is in the checkpoint, also of what is left to
        TensorFlow's reader; None if that reader alone can open it.
      dtypes: {key: DataType number} of the same.

    Raises:
      InvalidFileError: the index is broken. Some broken indexes make TensorFlow's reader end the
        process, so create a Bundle before that reader opens the checkpoint.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._shards = 0
        self._entries: Mapping[str, Any] = {}
        self._texts: Mapping[str, Any] = {}
        self.shapes: Optional[Dict[str, Tuple[int, ...]]] = None
        self.dtypes: Dict[str, int] = {}
        try:
            data = read(prefix + ".index")
        except OSError:
            return  # format V1, or an error that TensorFlow's reader reports
        try:
            self._read(data)
        except _BROKEN as error:
            raise InvalidFileError(
                f"{prefix}: not a checkpoint that can be read: {prefix}.index is cut short or "
                f"broken: {error!r}"
            ) from None

    def _read(self, data: bytes) -> None:
        table, length = {}, 0
        for key, value in _table(data):
            table[key] = value
            length += len(key)
            if length > _MOST_OF_KEYS:
                raise ValueError(f"it claims over {_MOST_OF_KEYS:,} bytes of keys")
        header = parse(BundleHeader(), table.pop(b""))
        entries = {key: parse(BundleEntry(), value) for key, value in table.items()}
        for key, entry in entries.items():
            _check(key, entry)
        if header.endianness != _LITTLE or header.version.min_consumer > VERSION:
            return
        self._shards = header.num_shards
        own = {k.decode(): entry for k, entry in entries.items() if not k.startswith(_SLICE)}
        self.shapes = {k: tuple(dim.size for dim in entry.shape.dim) for k, entry in own.items()}
        self.dtypes = {key: int(entry.dtype) for key, entry in own.items()}
        whole = {key: entry for key, entry in own.items() if not entry.slices}
        self._entries = {k: e for k, e in whole.items() if e.dtype != DT_STRING and _is_whole(e)}
        self._texts = {
            key: entry
            for key, entry in whole.items()
            if entry.dtype == DT_STRING and not entry.shape.dim
        }

    def find(self, key: str) -> Optional[Tuple[Tuple[int, ...], int, Iterator[Any]]]:
        """Return (shape, length in bytes, iterator over its bytes); None if it is not in here.

        Raises:
          InvalidFileError: a data file is cut short or changed; raised by the iterator.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        shape = tuple(dim.size for dim in entry.shape.dim)
        return shape, int(entry.size), self._pieces(key, entry)

    def data_endings(self) -> List[str]:
        """Return what follows the prefix in the names of the data files."""
        return [_ending(shard, self._shards) for shard in range(self._shards)]

    def refuse_cut(self, key: Optional[str] = None) -> None:
        """Check that the data files are as long as the index says; or long enough for one key.

        Raises:
          InvalidFileError: one is shorter, or missing. TensorFlow would make room for all that is
            claimed.
        """
        ends: Dict[str, int] = {}
        held = {**self._entries, **self._texts}
        for entry in held.values() if key is None else filter(None, [held.get(key)]):
            path = self._path(entry)
            ends[path] = max(ends.get(path, 0), entry.offset + entry.size)
        for path, end in ends.items():
            try:
                size = filesystem_of(path).size(path)
            except OSError as error:
                raise InvalidFileError(f"{path} is missing or cannot be read: {error}") from None
            if size < end:
                raise InvalidFileError(f"{path} is cut short: {size:,} bytes of {end:,}")

    def size(self, key: str) -> int:
        """Return a tensor's length in bytes; 0 if it is not in here."""
        return int(self._entries[key].size) if key in self._entries else 0

    def text(self, key: str) -> Optional[bytes]:
        """Return a scalar of strings; None if it is not in here.

        Raises:
          InvalidFileError: a data file is cut short or changed.
        """
        entry = self._texts.get(key)
        if entry is None:
            return None
        path = self._path(entry)
        try:
            with filesystem_of(path).opened(path) as file:
                file.seek(entry.offset)
                data = file.read(entry.size)
            return _text(data, entry)
        except (OSError, *_BROKEN) as error:
            raise InvalidFileError(
                f"{path} is cut short or changed: {key!r} cannot be read: {error}"
            ) from None

    def _path(self, entry: Any) -> str:
        return self._prefix + _ending(entry.shard_id, self._shards)

    def _pieces(self, key: str, entry: Any) -> Iterator[Any]:
        path = self._path(entry)
        left, crc = int(entry.size), 0
        try:
            with filesystem_of(path).opened(path) as file:
                file.seek(entry.offset)
                while left:
                    piece = file.read(min(left, _PIECE))
                    if len(piece) < min(left, _PIECE):
                        break
                    crc = google_crc32c.extend(crc, piece)
                    left -= len(piece)
                    yield piece
                    del piece  # frees its memory before the next read
        except OSError as error:
            raise InvalidFileError(
                f"{path} is cut short or cannot be read, at {key!r}: {error}"
            ) from None
        if left or masked(crc) != entry.crc32c:
            raise InvalidFileError(f"{path} is cut short or changed: {key!r} is not what was saved")


def _ending(shard: int, shards: int) -> str:
    return f".data-{shard:05d}-of-{shards:05d}"


def _check(key: bytes, entry: Any) -> None:
    sizes = [dim.size for dim in entry.shape.dim]
    slices = [extent for piece in entry.slices for extent in piece.extent]
    if (
        entry.dtype not in DATA_TYPES
        or len(sizes) > MOST_DIMS
        or any(size < 0 for size in sizes)
        or _count(max(size, 1) for size in sizes) > _MOST_ELEMENTS
        or entry.offset < 0
        or entry.size < 0
        or any(len(piece.extent) != len(sizes) for piece in entry.slices)
        or any(extent.start < 0 or extent.length < 0 for extent in slices)
        or not (slices or entry.dtype in _NO_LENGTH or _is_whole(entry))
    ):
        raise ValueError(f"{key[:200]!r} has a type, shape or place that no tensor can have")


def _is_whole(entry: Any) -> bool:
    if entry.dtype in (DT_RESOURCE, DT_VARIANT):
        return False
    count = _count(dim.size for dim in entry.shape.dim)
    return bool(count * itemsize(entry.dtype) == entry.size)


def _count(sizes: Iterable[int]) -> int:
    return functools.reduce(operator.mul, sizes, 1)


def _text(data: bytes, entry: Any) -> bytes:
    """Return the one string in an entry's data: its length, a checksum of that, its bytes."""
    length, position = _varint(data, 0)
    text = data[position + _CRC :]
    crc = google_crc32c.value(struct.pack("<I" if length < 1 << 32 else "<Q", length))
    if data[position : position + _CRC] != struct.pack("<I", masked(crc)):
        raise ValueError("its length is not what was saved")
    crc = google_crc32c.extend(crc, data[position:])
    if len(data) != entry.size or len(text) != length or masked(crc) != entry.crc32c:
        raise ValueError("it is not what was saved")
    return text


def masked(crc: int) -> int:
    """Return a checksum in the form in which files store it (crc32c.h)."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def is_table(path: str) -> bool:
    """Return whether a file ends as a leveldb table does.

    Raises:
      OSError: it cannot be read.
    """
    files = filesystem_of(path)
    size = files.size(path)
    with files.opened(path) as file:
        file.seek(max(0, size - 8))
        return bool(file.read(8) == struct.pack("<Q", MAGIC))


def _table(data: bytes) -> Iterator[Tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of a leveldb table."""
    if struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise ValueError("not a table")
    footer = data[-FOOTER:]
    _, position = _handle(footer, 0)  # the meta index comes first
    (offset, size), _ = _handle(footer, position)
    end = 0
    for _, value in _block(data, offset, size):
        (start, length), _ = _handle(value, 0)
        if start < end:  # a small file could list the same block a million times
            raise ValueError("blocks that are not in order")
        end = start + length
        yield from _block(data, start, length)


def _block(data: bytes, offset: int, size: int) -> Iterator[Tuple[bytes, bytes]]:
    if data[offset + size] != 0:
        raise ValueError("a compressed block, which TensorFlow does not write")
    block, end = data[offset : offset + size], offset + size + 1
    crc = google_crc32c.value(data[offset:end])
    if data[end : end + _CRC] != struct.pack("<I", masked(crc)):
        raise ValueError("a block that is not what was written")
    end = len(block) - 4 * (1 + struct.unpack("<I", block[-4:])[0])
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length


def _handle(data: bytes, position: int) -> Tuple[Tuple[int, int], int]:
    """Return ((offset, size) of a block, position in `data` after them)."""
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return (offset, size), position


def _varint(data: bytes, position: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
