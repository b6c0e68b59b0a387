"""The value for one slot of a plan."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Iterator, List, Optional, Tuple

import numpy as np

# The fastest of 1 to 64 MiB on TensorFlow 1.15 and 2.21: a chunk stays in the processor's cache
# until it is hashed and written, and malloc reuses the same pages for the next.
CHUNK_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class Value:
    """The value for one slot.

    Attributes:
      shape: its dimensions.
      nbytes: its length in bytes.
      chunks: its bytes in row-major order, as buffers.
      strings: its elements, if its dtype is string; there are no chunks then.
    """

    shape: Tuple[int, ...]
    nbytes: int
    chunks: Iterable[Any] = ()
    strings: Optional[List[bytes]] = None


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
