"""The difference of two answers, and the scale of a relative tolerance."""

from __future__ import annotations

from typing import Any, List

import numpy as np


def difference(one: Any, other: Any) -> float:
    """Return the greatest difference of two arrays' elements; NaN equals NaN.

    It is infinite if the shapes differ, or elements that are not numbers. If two floating arrays
    have different dtypes, the wider is rounded to the narrower first.
    """
    one, other = _numbers(one), _numbers(other)
    if one.shape != other.shape:
        return float("inf")
    if one.dtype.kind in "OSUb" or other.dtype.kind in "OSUb":
        return 0.0 if np.array_equal(_texts(one), _texts(other)) else float("inf")
    if one.dtype != other.dtype:
        narrow = min(one.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
        one, other = one.astype(narrow), other.astype(narrow)
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    one, other = one.astype(wide), other.astype(wide)
    unlike = (one != other) & ~(np.isnan(one) & np.isnan(other))
    if not unlike.any():
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(one[unlike] - other[unlike])
    return float("inf") if np.isnan(apart).any() else float(apart.max())


def _numbers(array: Any) -> Any:
    """Return an array of plain numbers; NumPy sees quantized dtypes as structures."""
    array = np.asarray(array)
    return array.view(array.dtype[0]) if array.dtype.names else array


def _texts(array: Any) -> List[Any]:
    flat = array.reshape(-1).tolist()
    return [text.encode() if isinstance(text, str) else text for text in flat]


def scale(live: Any) -> float:
    """Return the scale of a relative tolerance; 0 if the dtype is not floating."""
    live = _numbers(live)
    if live.dtype.kind in "OSUbiu" or not live.size:
        return 0.0
    size = np.abs(live.astype(np.complex128))
    return float(max(1.0, size[np.isfinite(size)].max(initial=0.0)))
