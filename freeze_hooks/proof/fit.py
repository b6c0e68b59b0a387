"""Checks that a file's inputs can hold the model's feeds: no number is cut off or rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

_TEXTS = "OSU"


def array_of(value: Any) -> Any:
    """Return a value as an array; strings as objects, since NumPy's strings lose zero bytes."""
    array = np.asarray(value)
    return np.array(value, object) if array.dtype.kind in "SU" else array


def held(value: Any, dtype: Any) -> Any:
    """Return a value as an array of a tf.DType.

    Floating numbers are rounded to a narrower floating dtype, as TensorFlow does with its feeds.
    No other value may change.

    Raises:
      ValueError: the dtype cannot hold the value.
    """
    array, wanted = array_of(value), np.dtype(dtype.as_numpy_dtype)
    if (array.dtype.kind in _TEXTS) != (dtype == tf.string):
        raise ValueError(f"{array.dtype} is no {dtype.name}")
    if dtype == tf.string or array.dtype == wanted:
        return array
    with np.errstate(all="ignore"):
        cast = np.asarray(array.real if wanted.kind not in "c" else array).astype(wanted)
        back = cast.astype(array.dtype)
        same = (back == array) | ((back != back) & (array != array))
        if _is_floating(array.dtype) and _is_floating(wanted):
            same = same | np.isfinite(back.astype(np.float64))
        elif array.dtype.kind == "c" and wanted.kind == "c":
            same = same | np.isfinite(back)
        same = np.asarray(same) & _in_range(array, wanted)
    if not same.all():
        lost = array[~np.broadcast_to(same, array.shape)].reshape(-1)[0]
        raise ValueError(f"{dtype.name} cannot hold {lost!s} ({array.dtype})")
    return cast


def _in_range(array: Any, wanted: Any) -> Any:
    """Return where whole numbers are in range; casting -1 to uint64 and back would hide that."""
    if array.dtype.kind in "iu" and wanted.kind in "iu":
        limits = np.iinfo(wanted)
        if not array.size or (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            return True
        flat = [limits.min <= item <= limits.max for item in array.reshape(-1).tolist()]
        return np.array(flat, bool).reshape(array.shape)
    if array.dtype.kind == "f" and wanted.kind == "u":
        return array >= 0
    return True


def _is_floating(dtype: Any) -> bool:
    return dtype.kind == "f" or (dtype.kind == "V" and tf.as_dtype(dtype).is_floating)
