"""The inputs and outputs of a frozen file, and the names of their parts."""

from __future__ import annotations

import dataclasses
from typing import Iterable, List, Mapping, Optional, Tuple, TypeVar

from .errors import UnknownNameError, near

T = TypeVar("T")
Shape = Optional[Tuple[Optional[int], ...]]
SERVING = "serving_default"  # the key of a file's main signature


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


def chosen(signatures: Mapping[str, T], key: str, path: str) -> T:
    """Return the signature of a file that has this key.

    Raises:
      UnknownNameError: there is none; names near matches.
    """
    if key not in signatures:
        close = near(key, signatures) or list(signatures)
        raise UnknownNameError(
            f"{path} has no signature {key!r}: did you mean {', '.join(map(repr, close))}?"
        )
    return signatures[key]


def input_tensors(signatures: Iterable[Signature]) -> List[str]:
    """Return the full names of the tensors to feed, each once."""
    return list(dict.fromkeys(info.tensor for each in signatures for info in each.inputs))


def output_tensors(signatures: Iterable[Signature]) -> List[str]:
    """Return the full names of the tensors that are answers, each once."""
    return list(dict.fromkeys(info.tensor for each in signatures for info in each.outputs))


def with_others(main: Signature, others: Mapping[str, Signature]) -> Mapping[str, Signature]:
    """Return all signatures of a file by key, the main one first."""
    return {SERVING: main, **others}


def ragged_parts(count: int) -> List[str]:
    """Return the names of the parts of a ragged tensor with `count` parts."""
    return ["values", *map(splits_name, range(count - 1))]


def splits_name(depth: int) -> str:
    """Return the name of the row splits of a ragged dimension; the outermost has depth 0."""
    return f"row_splits_{depth}" if depth else "row_splits"
