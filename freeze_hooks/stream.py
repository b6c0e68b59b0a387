"""Writes a plan and the values of its slots as one GraphDef, never holding more than a chunk."""

from __future__ import annotations

import dataclasses
import io
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Tuple

from . import wire
from ._tf import GraphDef, v1
from .errors import FreezeError
from .plan import Described, FreezePlan, Slot

_SPELLED = 16  # bytes: a scalar of any dtype


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


def write(
    plan: FreezePlan, values: Iterator[Value], description: Mapping[str, Any], file: Any
) -> None:
    """Write a whole frozen file.

    Args:
      plan: the structure.
      values: one Value for each of `plan.slots`, in their order.
      description: what the file says of itself; JSON types only.
      file: has `write(buffer)`.

    Raises:
      FreezeError: a value's shape is not what the graph declares.
    """
    file.write(wire.START)
    for piece in plan.pieces:
        if isinstance(piece, bytes):
            file.write(piece)
        elif isinstance(piece, Described):
            file.write(wire.described(piece.node, description))
        else:
            _write_value(piece, next(values), file)


def graph_def_of(plan: FreezePlan, values: Iterator[Value]) -> Any:
    """The GraphDef that a plan makes of one Value for each of its slots, without a description.

    Raises:
      FreezeError: a value's shape is not what the graph declares.
    """
    graph_def = GraphDef()
    for piece in plan.pieces:
        buffer = io.BytesIO()
        if isinstance(piece, bytes):
            buffer.write(piece)
        elif isinstance(piece, Described):
            buffer.write(wire.field(wire.NODE, piece.node))
        else:
            _write_value(piece, next(values), buffer)
        graph_def.MergeFromString(buffer.getvalue())  # which appends
        if isinstance(piece, Slot):
            _spell(graph_def.node[-1].attr["value"].tensor)
    return graph_def


def _spell(tensor: Any) -> None:
    """Spell small tensors as make_tensor_proto does, which is what programs compare with."""
    if 0 < len(tensor.tensor_content) <= _SPELLED:
        tensor.CopyFrom(v1.make_tensor_proto(v1.make_ndarray(tensor), dtype=tensor.dtype))


def held(values: Iterator[Value]) -> Iterator[Value]:
    """Take all values now, to be used later; each is let go as the next is asked for."""
    taken = [dataclasses.replace(value, chunks=list(value.chunks)) for value in values]
    taken.reverse()

    def release() -> Iterator[Value]:
        while taken:
            yield taken.pop()

    return release()


def _write_value(slot: Slot, value: Value, file: Any) -> None:
    variable = slot.variable
    if variable.shape is not None and value.shape != variable.shape:
        raise FreezeError(
            f"variable {variable.node!r} has shape {list(value.shape)} now, "
            f"but the graph declares {list(variable.shape)}"
        )
    if value.strings is not None:
        file.write(wire.string_const(slot.node, variable.dtype, value.shape, value.strings))
        return
    file.write(wire.const_header(slot.node, variable.dtype, value.shape, value.nbytes))
    for chunk in value.chunks:
        file.write(chunk)
        del chunk  # else it stays alive while the next one is fetched
