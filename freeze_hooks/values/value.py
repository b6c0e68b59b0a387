"""What fills one slot of a plan."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Iterator, List, Optional, Tuple


@dataclasses.dataclass(frozen=True)
class Value:
    """What fills one slot.

    Attributes:
      shape: the value's dimensions.
      nbytes: its length, row-major.
      chunks: its bytes, in order, as buffers.
      strings: its elements instead, where its dtype is string.
    """

    shape: Tuple[int, ...]
    nbytes: int
    chunks: Iterable[Any] = ()
    strings: Optional[List[bytes]] = None


def held(values: Iterator[Value]) -> Iterator[Value]:
    """Take all values now, to be used later; each is let go as the next is asked for."""
    taken = [dataclasses.replace(value, chunks=list(value.chunks)) for value in values]
    taken.reverse()

    def release() -> Iterator[Value]:
        while taken:
            yield taken.pop()

    return release()
