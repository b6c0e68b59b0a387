"""Writes a V2 checkpoint directly as its files, one piece of a tensor at a time.

SaveV2 takes whole tensors. The format is defined in tensor_bundle.cc; `bundle.py` reads it. Here
all tensors are in one data file, and the index is a leveldb table (doc/table_format.md) of one
block.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, Iterable, List, Sequence, Tuple

import google_crc32c
import numpy as np

from .._protos import BundleEntry, BundleHeader
from .bundle import FOOTER, MAGIC, VERSION, masked

_PLAIN_BLOCK = b"\0"  # the type of a block that is not compressed
_TRAILER = 5  # bytes of a block's type and checksum
DATA = "variables.data-00000-of-00001"
INDEX = "variables.index"


class BundleWriter:
    """Adds tensors to the data file of a checkpoint, and then makes its index.

    Args:
      file: the data file: an object with `write(buffer)`, and `bytes`, the bytes written so far.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._entries: Dict[bytes, bytes] = {}

    def add(self, key: str, dtype: int, shape: Sequence[int], chunks: Iterable[Any]) -> None:
        """Write one tensor.

        Args:
          key: its name in the checkpoint.
          dtype: a DataType number; not DT_STRING.
          shape: its dimensions.
          chunks: its bytes in row-major order, as buffers.
        """
        entry = BundleEntry(dtype=dtype, offset=self._file.bytes)
        for size in shape:
            entry.shape.dim.add(size=size)
        crc = 0
        for chunk in chunks:
            self._file.write(chunk)
            # google_crc32c takes no memoryview; bytes would be a copy
            crc = google_crc32c.extend(crc, np.frombuffer(chunk, np.uint8))
            del chunk  # frees its memory before the next fetch
        entry.size = self._file.bytes - entry.offset
        entry.crc32c = masked(crc)
        self._entries[key.encode()] = entry.SerializeToString()

    def index(self) -> bytes:
        """Return the content of the index file."""
        header = BundleHeader(num_shards=1)
        header.version.producer = VERSION
        entries = {b"": header.SerializeToString(), **self._entries}
        return _table(sorted(entries.items()))


def _table(entries: List[Tuple[bytes, bytes]]) -> bytes:
    """Return a leveldb table of these (key, value) pairs, which are sorted."""
    data = _block(entries)
    blocks, meta_at = data, len(data)
    meta = _block([])
    blocks += meta
    index_at = len(blocks)
    index = _block([(entries[-1][0], _handle(0, len(data) - _TRAILER))])
    handles = _handle(meta_at, len(meta) - _TRAILER) + _handle(index_at, len(index) - _TRAILER)
    footer = handles.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC)
    return blocks + index + footer


def _block(entries: Sequence[Tuple[bytes, bytes]]) -> bytes:
    """Return a block: its entries share no prefixes, so that each one is a restart point."""
    block, restarts = bytearray(), []
    for key, value in entries:
        restarts.append(len(block))
        block += b"\0" + _varint(len(key)) + _varint(len(value)) + key + value
    restarts = restarts or [0]  # a table's reader expects one
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)) + _PLAIN_BLOCK
    return bytes(block) + struct.pack("<I", masked(google_crc32c.value(bytes(block))))


def _handle(offset: int, size: int) -> bytes:
    return _varint(offset) + _varint(size)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
