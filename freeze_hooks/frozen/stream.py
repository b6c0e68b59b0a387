"""Writes a plan and the values of its slots as one GraphDef, one chunk at a time."""

from __future__ import annotations

import io
from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence, Union

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
) -> None:
    """Write a whole frozen file.

    Args:
      plan: the file's structure.
      values: one Value for each of `plan.slots`, in their order.
      description: the file's description; JSON types only.
      file: an object with `write(buffer)`, and `bytes`, the number of bytes written so far.
      stored: takes the values of slots with a key, which are in a checkpoint.

    Raises:
      FreezeError: a value's shape is not what the graph declares.
    """
    file.write(wire.START)
    for piece in plan.pieces:
        if isinstance(piece, Described):
            file.write(wire.described(piece.node, description))
        elif not isinstance(piece, Slot):
            assert isinstance(piece, bytes)
            file.write(piece)
        elif piece.key is not None and stored is not None:
            value = next(values)
            _check_shape(piece, value)
            stored.add(piece.key, piece.dtype, value.shape, _chunks(piece, value))
        else:
            _write_value(piece, next(values), file, file.bytes)


def length(plan: FreezePlan, description: Mapping[str, Any], place: int) -> Optional[int]:
    """Return the number of bytes that `write` writes; None if only the values tell it.

    Args:
      plan, description: as in `write`.
      place: how many bytes are in the file before.
    """
    at = place + len(wire.START)
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
            at += len(_before_value(piece, shape, nbytes, at)) + nbytes
    return at - place


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


def _write_value(slot: Slot, value: Value, file: Any, place: Optional[int] = None) -> None:
    """Write a Const; `place` is where it begins in the file, or None outside of a file."""
    _check_shape(slot, value)
    variable = slot.variable
    if value.strings is not None:
        file.write(wire.string_const(slot.node, variable.dtype, value.shape, value.strings))
        return
    count = value.nbytes // itemsize(variable.dtype)
    nbytes = count * itemsize(slot.dtype)
    file.write(_before_value(slot, value.shape, nbytes, place))
    for chunk in _chunks(slot, value):
        file.write(chunk)
        del chunk  # frees its memory before the next fetch


def _check_shape(slot: Slot, value: Value) -> None:
    variable = slot.variable
    if variable.shape is not None and value.shape != variable.shape:
        raise FreezeError(
            f"variable {variable.node!r} has shape {list(value.shape)} now, "
            f"but the graph declares {list(variable.shape)}"
        )


def _chunks(slot: Slot, value: Value) -> Iterable[Any]:
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
