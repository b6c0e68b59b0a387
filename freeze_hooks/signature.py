"""The inputs and outputs of a frozen file, and the names of their parts."""

from __future__ import annotations

import dataclasses
from typing import List, Optional, Tuple

Shape = Optional[Tuple[Optional[int], ...]]


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """Read it in a Signature or a FrozenModel: one input or output of a frozen file.

    Attributes:
      name: its key in `load_frozen(path)(key=...)`, or in the result of that call.
      tensor: its full tensor name in the file, such as "probs:0".
      dtype: TensorFlow's name of its dtype, such as "float32".
      shape: its dimensions, with None for an unknown one; None if the rank is unknown.
    """

    name: str
    tensor: str
    dtype: str
    shape: Shape


@dataclasses.dataclass(frozen=True)
class Signature:
    """Read it as `fh.inspect(path).signature`: the inputs and outputs of a frozen file."""

    inputs: Tuple[TensorInfo, ...]
    outputs: Tuple[TensorInfo, ...]


def ragged_parts(count: int) -> List[str]:
    """Return the names of the parts of a ragged tensor with `count` parts."""
    return ["values", *map(splits_name, range(count - 1))]


def splits_name(depth: int) -> str:
    """Return the name of the row splits of a ragged dimension; the outermost has depth 0."""
    return f"row_splits_{depth}" if depth else "row_splits"
