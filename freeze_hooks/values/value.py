"""The value for one slot of a plan."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, List, Optional, Tuple


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
