"""Looks for NaN and infinity in the values that go into a file."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterable, Iterator

import numpy as np

from .._protos import dtype_name
from ..errors import NotFiniteError
from ..plan.types import FreezePlan
from .value import Value

_PIECE = 1 << 20  # bytes: a piece stays in the processor's cache while it is checked
_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80}  # all these bits are set in NaN and infinity
_VIEWS = {"float32": "f4", "float64": "f8", "complex64": "f4", "complex128": "f8"}


def watched(
    plan: FreezePlan, values: Iterator[Value], how: str, found: Dict[str, str]
) -> Iterator[Value]:
    """Yield the values of a plan's slots; check the bytes while they are read.

    Args:
      how: "warn" fills `found`, "raise" raises at the first, "off" does not check.
      found: gets {variable: "NaN" or "infinity"}.

    Raises:
      NotFiniteError: with "raise", while the chunks of a value are read.
    """
    for slot in plan.slots:
        value = next(values)
        name, dtype = slot.variable.node, dtype_name(slot.variable.dtype)
        if how != "off" and value.strings is None and (dtype in _VIEWS or dtype in _EXPONENT):
            looked = _looked(value.chunks, name, dtype, how, found)
            value = dataclasses.replace(value, chunks=looked)
            del looked
        yield value
        del value  # frees its memory before the next fetch


def _looked(
    chunks: Iterable[Any], name: str, dtype: str, how: str, found: Dict[str, str]
) -> Iterator[Any]:
    for chunk in chunks:
        if name not in found:
            kind = _not_finite(np.frombuffer(chunk, np.uint8), dtype)
            if kind and how == "raise":
                raise NotFiniteError(
                    f"variable {name!r} holds {kind}, and check_numerics='raise': no file of such "
                    "values is written"
                )
            if kind:
                found[name] = kind
        yield chunk
        del chunk  # frees its memory before the next fetch


def _not_finite(data: Any, dtype: str) -> str:
    """Return "NaN" or "infinity" if bytes of this dtype hold one, else ""."""
    for start in range(0, data.size, _PIECE):
        piece = data[start : start + _PIECE]
        if dtype in _EXPONENT:
            bits, mask = piece.view(np.uint16), _EXPONENT[dtype]
            odd = bits[(bits & mask) == mask]
            if odd.size:
                return "NaN" if (odd & (0x7FFF ^ mask)).any() else "infinity"
        else:
            numbers = piece.view(_VIEWS[dtype])
            if not np.isfinite(numbers).all():
                return "NaN" if np.isnan(numbers).any() else "infinity"
    return ""
