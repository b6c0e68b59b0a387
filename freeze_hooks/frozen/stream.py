"""Writes a plan and the values of its slots as one GraphDef, one chunk at a time."""

from __future__ import annotations

import io
from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from .._protos import GraphDef, dtype_name, itemsize, numpy_dtype, to_array, to_tensor
from ..errors import FreezeError
from ..plan.types import Described, FreezePlan, Slot
from ..values.bundle_writer import BundleWriter
from ..values.linked import LinkedValues
from ..values.value import Value
from . import wire

_NARROWED = 1 << 21  # elements per step
_ALIGNED_FROM = 1 << 16  # bytes of a value whose place in the file is aligned
_SPELLED = 16  # bytes: the largest scalar of any dtype


def write(
    plan: FreezePlan,
    values: Iterator[Value],
    description: Mapping[str, Any],
    file: Any,
    stored: Union[BundleWriter, LinkedValues, None] = None,
    headers: Iterable[bytes] = (),
) -> None:
    """Write a whole frozen file.

    Args:
      plan: the file's structure.
      values: one Value for each of `plan.slots`, in their order.
      description: the file's description; JSON types only.
      file: an object with `write(buffer)`, and `bytes`, the number of bytes written so far.
      stored: takes the values of slots with a key, which are in a checkpoint.
      headers: those of a Layout for this place in the file, if there is one.

    Raises:
      FreezeError: a value's shape is not what the graph declares.
    """
    known = iter(headers)
    file.write(wire.START)
    for piece in plan.pieces:
        if isinstance(piece, Described):
            file.write(wire.described(piece.node, description))
        elif not isinstance(piece, Slot):
            assert isinstance(piece, bytes)
            file.write(piece)
        elif piece.key is not None and stored is not None:
            value = next(values)
            check_shape(piece, value)
            stored.add(piece.key, piece.dtype, value.shape, chunks_of(piece, value))
        else:
            _write_value(piece, next(values), file, file.bytes, next(known, None))


class Layout(NamedTuple):
    """What is known of a file before its values are read.

    Attributes:
      length: the number of bytes that `write` writes.
      headers: what stands before each value in the graph.
    """

    length: int
    headers: List[bytes]


def layout(plan: FreezePlan, description: Mapping[str, Any], place: int) -> Optional[Layout]:
    """Return the Layout of a file; None if only the values tell it.

    Args:
      plan, description: as in `write`.
      place: how many bytes are in the file before.
    """
    at, headers = place + len(wire.START), []
    for piece in plan.pieces:
        if isinstance(piece, Described):
            at += len(wire.described(piece.node, description))
        elif not isinstance(piece, Slot):
            assert isinstance(piece, bytes)
            at += len(piece)
        elif piece.key is None:
            shape, nbytes = piece.variable.shape, piece.nbytes
            if shape is None or nbytes is None:
                return None
            headers.append(_before_value(piece, shape, nbytes, at))
            at += len(headers[-1]) + nbytes
    return Layout(at - place, headers)


def graph_def_of(plan: FreezePlan, values: Iterator[Value]) -> Any:
    """Return a plan's GraphDef with one Value for each slot; it has no description.

    Raises:
      FreezeError: a value's shape is not what the graph declares.
    """
    graph_def = GraphDef()
    for piece in plan.pieces:
        buffer = io.BytesIO()
        if isinstance(piece, Slot):
            _write_value(piece, next(values), buffer)
        elif isinstance(piece, Described):
            buffer.write(wire.field(wire.NODE, piece.node))
        else:
            assert isinstance(piece, bytes)
            buffer.write(piece)
        graph_def.MergeFromString(buffer.getvalue())  # it appends
        if isinstance(piece, Slot):
            _spell(graph_def.node[-1].attr["value"].tensor)
    return graph_def


def _spell(tensor: Any) -> None:
    """Store small tensors as make_tensor_proto does, since programs compare them with that."""
    if 0 < len(tensor.tensor_content) <= _SPELLED:
        tensor.CopyFrom(to_tensor(to_array(tensor), tensor.dtype))


def _write_value(
    slot: Slot,
    value: Value,
    file: Any,
    place: Optional[int] = None,
    header: Optional[bytes] = None,
) -> None:
    """Write a Const.

    Args:
      place: where it begins in the file; None outside of a file.
      header: what stands before the value, if that is known.
    """
    check_shape(slot, value)
    variable = slot.variable
    if value.strings is not None:
        file.write(wire.string_const(slot.node, variable.dtype, value.shape, value.strings))
        return
    if header is None:
        count = value.nbytes // itemsize(variable.dtype)
        header = _before_value(slot, value.shape, count * itemsize(slot.dtype), place)
    file.write(header)
    for chunk in chunks_of(slot, value):
        file.write(chunk)
        del chunk  # frees its memory before the next fetch


def check_shape(slot: Slot, value: Value) -> None:
    """Check that a value has the shape that the graph declares.

    Raises:
      FreezeError: it has another one.
    """
    variable = slot.variable
    if variable.shape is not None and value.shape != variable.shape:
        raise FreezeError(
            f"variable {variable.node!r} has shape {list(value.shape)} now, "
            f"but the graph declares {list(variable.shape)}"
        )


def chunks_of(slot: Slot, value: Value) -> Iterable[Any]:
    """Return the bytes of a value in its slot's dtype."""
    same = slot.dtype == slot.variable.dtype
    return value.chunks if same else _narrowed(slot, value.chunks)


def _before_value(slot: Slot, shape: Sequence[int], nbytes: int, place: Optional[int]) -> bytes:
    header = wire.const_header(slot.node, slot.dtype, shape, nbytes)
    if place is None or nbytes < _ALIGNED_FROM:
        return header
    return wire.padding(place + len(header)) + header


def _narrowed(slot: Slot, chunks: Iterable[Any]) -> Iterator[Any]:
    """Yield the chunks in the slot's dtype, rounded to nearest, in smaller pieces."""
    wide, small = numpy_dtype(slot.variable.dtype), numpy_dtype(slot.dtype)
    for chunk in chunks:
        array = np.frombuffer(chunk, wide)
        for start in range(0, array.size, _NARROWED):
            piece = array[start : start + _NARROWED]
            with np.errstate(over="ignore"):
                made = piece.astype(small)
            beyond = ~np.isfinite(made.astype(np.float32)) & np.isfinite(piece)
            if beyond.any():
                raise FreezeError(
                    f"variable {slot.variable.node!r} holds {piece[beyond][0]:g}, which is beyond "
                    f"{dtype_name(slot.dtype)}: weights='bfloat16' has float32's range, and "
                    "weights=None changes no value"
                )
            yield made.view(np.uint8).data
