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
from ..graph.passes.restored_variables import Restoring
from ..graph.variables import Variable
from ..signature import Signature
from .formats import PB, Format

LIMIT = 2**31 - 1  # bytes: protocol buffer parsers refuse a longer message


@dataclasses.dataclass(frozen=True)
class Slot:
    """A gap in a plan: a Const node that lacks the value of one variable.

    Attributes:
      variable: the variable that gives the value.
      node: the serialized NodeDef without its value.
      dtype: DataType number of the value in the file; with `weights=` narrower than the variable's.
      key: None, or the value's key in a SavedModel's checkpoint. There, the value is not in the
        graph, and the graph has a variable in place of the Const.
    """

    variable: Variable
    node: bytes
    dtype: int
    key: Optional[str] = None

    @property
    def nbytes(self) -> Optional[int]:
        """Number of bytes of the value in the file; None if the graph does not tell."""
        return value_bytes(self.variable, self.dtype)


@dataclasses.dataclass(frozen=True)
class Described:
    """The serialized node that carries the file's description, which is known only at the save."""

    node: bytes


@dataclasses.dataclass(frozen=True)
class Located:
    """A gap in a plan: a Const that says where a checkpoint has the variables; see `located`.

    Attributes:
      node: the serialized NodeDef; its value is not used.
      slices: whether it holds slices of the tensors, and not their keys.
    """

    node: bytes
    slices: bool


@dataclasses.dataclass(frozen=True)
class FreezePlan:
    """The compiled structure of frozen files; each file adds the variables' values.

    Attributes:
      pieces: bytes and gaps in file order.
      signature: inputs and outputs of the file.
      findings: the problems that `lint` found in the graph.
      ops: {op type: count} in the file, including functions.
      optimize: whether to optimize each file once its values are known.
      check_numerics: what to do about NaN and infinity: "warn", "raise" or "off".
      format: the format of the files.
      restoring: the names of the ops that restore a SavedModel's variables; None without any.
      checkpoint: the prefix of the checkpoint whose files become the SavedModel's; None: its
        variables are written.
    """

    pieces: Tuple[Union[bytes, Slot, Described, Located], ...]
    signature: Signature
    findings: Tuple[Finding, ...]
    ops: Mapping[str, int]
    optimize: bool = False
    check_numerics: str = "warn"
    format: Format = PB
    restoring: Optional[Restoring] = None
    checkpoint: Optional[str] = None

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """The slots in file order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Slot))

    @property
    def weight_bytes(self) -> int:
        """Number of bytes of all values with known shapes (strings count as 0)."""
        return sum(slot.nbytes or 0 for slot in self.slots)

    @property
    def inner_bytes(self) -> int:
        """Number of bytes of the values that are in the graph, and not in a checkpoint."""
        return sum(slot.nbytes or 0 for slot in self.slots if slot.key is None)

    @property
    def graph_bytes(self) -> int:
        """Number of bytes of the structure: all but the values and the description."""
        return sum(len(piece if isinstance(piece, bytes) else piece.node) for piece in self.pieces)


def value_bytes(variable: Variable, dtype: Optional[int] = None) -> Optional[int]:
    """Return the number of bytes of a variable's value; None if the graph does not tell.

    `dtype` is that of the value in the file, if it is not the variable's.
    """
    dtype = variable.dtype if dtype is None else dtype
    if variable.shape is None or dtype == DT_STRING:
        return None
    count = 1
    for size in variable.shape:
        count *= size
    return count * itemsize(dtype)
