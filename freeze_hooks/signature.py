"""What a frozen file is fed and what it answers."""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple

Shape = Optional[Tuple[Optional[int], ...]]


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """One input or output of a frozen file.

    Attributes:
      name: its key in `load_frozen(path)(key=...)` and in what that returns.
      tensor: its full name in the file, such as "probs:0".
      dtype: TensorFlow's name of its dtype, such as "float32".
      shape: its dimensions, None for an unknown one; None for an unknown rank.
    """

    name: str
    tensor: str
    dtype: str
    shape: Shape


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a frozen file is fed and what it answers."""

    inputs: Tuple[TensorInfo, ...]
    outputs: Tuple[TensorInfo, ...]
