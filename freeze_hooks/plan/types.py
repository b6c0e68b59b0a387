"""A FreezePlan: the structure of a frozen graph as bytes, with gaps for values."""

from __future__ import annotations

import dataclasses
from typing import (
    Mapping,
    Optional,
    Tuple,
    Union,
)

from .._protos import DT_STRING, itemsize
from ..graph.lint import Finding
from ..graph.variables import Variable
from ..signature import Signature

LIMIT = 2**31 - 1  # bytes: protocol buffer parsers refuse a longer message


@dataclasses.dataclass(frozen=True)
class Slot:
    """A gap in a plan: a Const node that lacks the value of one variable.

    Attributes:
      variable: whose value it takes.
      node: the serialized NodeDef without its value.
      dtype: DataType number of what the node holds; narrower than the variable's with `weights=`.
    """

    variable: Variable
    node: bytes
    dtype: int

    @property
    def nbytes(self) -> Optional[int]:
        """Length of its value in the file; None where the graph does not tell."""
        return value_bytes(dataclasses.replace(self.variable, dtype=self.dtype))


@dataclasses.dataclass(frozen=True)
class Described:
    """The node, serialized, that carries the file's description: known only when it is written."""

    node: bytes


@dataclasses.dataclass(frozen=True)
class FreezePlan:
    """Write a frozen file from this and the variables' values alone, as often as wanted.

    Attributes:
      pieces: bytes, slots and the described node in file order.
      signature: inputs and outputs of the file.
      findings: what `lint` has to say of the graph.
      ops: {op type: count} in the file, functions included.
      optimize: whether each file is to be optimized when its values are known.
      check_numerics: what to do about values that are NaN or infinite: "warn", "raise", "off".
    """

    pieces: Tuple[Union[bytes, Slot, Described], ...]
    signature: Signature
    findings: Tuple[Finding, ...]
    ops: Mapping[str, int]
    optimize: bool = False
    check_numerics: str = "warn"

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """The slots in file order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Slot))

    @property
    def weight_bytes(self) -> int:
        """Bytes of all values whose shapes are known (strings count as nothing)."""
        return sum(slot.nbytes or 0 for slot in self.slots)

    @property
    def graph_bytes(self) -> int:
        """Bytes of the structure: all but the values and the description."""
        return sum(len(piece if isinstance(piece, bytes) else piece.node) for piece in self.pieces)


def value_bytes(variable: Variable) -> Optional[int]:
    """Length of a variable's value; None where the graph does not tell."""
    if variable.shape is None or variable.dtype == DT_STRING:
        return None
    count = 1
    for size in variable.shape:
        count *= size
    return count * itemsize(variable.dtype)
