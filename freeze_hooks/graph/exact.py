"""Converts values to arrays of a tensor's dtype; refuses what a cast would cut off or round."""

from __future__ import annotations

import numbers
from typing import Any, Callable

import numpy as np

from ..errors import FreezeError

# a float dtype holds all whole numbers up to 2**bits; other float dtypes count as 0 bits
_WHOLE_BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
_PARTS = {"complex64": "float32", "complex128": "float64"}


def exact(value: Any, dtype: Any, name: str) -> np.ndarray:
    """Return a value as an array of a dtype, which is a tf.DType, a name or a number.

    Only floating numbers are rounded, to a narrower floating dtype. Whole numbers stay equal, and
    no finite number becomes infinite.

    Raises:
      FreezeError: the dtype cannot hold an element; names `name` and the first such element.
    """
    array, dtype = np.asarray(value), _as_dtype(dtype)
    if dtype.name == "string":
        return _texts(value, array, dtype, name)
    if not (dtype.is_bool or dtype.is_integer or dtype.is_floating or dtype.is_complex):
        return np.asarray(value, dtype.as_numpy_dtype)  # quantized dtypes are NumPy structures
    with np.errstate(all="ignore"):
        return _held(_numbers(array, dtype, name), dtype, name)


def _as_dtype(dtype: Any) -> Any:
    import tensorflow as tf

    return tf.as_dtype(dtype)


def _texts(value: Any, array: Any, dtype: Any, name: str) -> np.ndarray:
    if array.dtype.kind in "SU" or not array.size:
        array = np.array(value, dtype=object)  # NumPy's text dtypes drop zero bytes at the end
    is_text = _each(array, lambda item: isinstance(item, (str, bytes)))
    _check(array, is_text if array.dtype == object else False, dtype, name)
    return array


def _numbers(array: Any, dtype: Any, name: str) -> np.ndarray:
    """Return the same numbers in one of NumPy's own dtypes, or as Python ints."""
    if array.dtype == object:
        _check(array, _each(array, lambda item: isinstance(item, numbers.Number)), dtype, name)
        plain = np.array(array.tolist())
        if plain.dtype != object or _each(plain, _is_whole).all():
            return plain
        return plain.astype(np.float64)
    if array.dtype.kind in "biuc" or array.dtype in (np.float64, np.float32, np.float16):
        return array
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array
    try:
        known = _as_dtype(array.dtype)  # such as bfloat16 and int4, which NumPy lacks
    except TypeError:
        known = None
    _check(array, known is not None and (known.is_floating or known.is_integer), dtype, name)
    return array.astype(np.float64 if known.is_floating else np.int64)


def _held(array: Any, dtype: Any, name: str) -> np.ndarray:
    to = dtype.as_numpy_dtype
    is_complex = array.dtype.kind == "c"
    if dtype.is_complex:
        parts = (array.real, array.imag) if is_complex else (array, np.zeros((), np.int8))
        joined = np.empty(array.shape, to)
        joined.real, joined.imag = (
            _held(part, _as_dtype(_PARTS[dtype.name]), f"each part of {name}") for part in parts
        )
        return joined
    if is_complex:
        _check(array, array.imag == 0, dtype, name)
        array = array.real
    if dtype.is_bool:
        kept = (array == 0) | (array == 1)
    elif dtype.is_integer:
        kept = _is_within(array, dtype)
    elif array.dtype.kind == "f":
        kept = np.isfinite(array.astype(to).astype(np.float64)) | ~np.isfinite(array)
    else:
        kept = _is_whole_in(array, dtype)
    _check(array, kept, dtype, name)
    return array.astype(to)


def _is_within(array: Any, dtype: Any) -> Any:
    """Return where numbers are whole and in an integer dtype's range."""
    low, high = int(dtype.min), int(dtype.max)
    if array.dtype == object:
        return _each(array, lambda item: low <= item <= high)
    if array.dtype.kind == "f":  # a float holds high + 1, a power of 2
        return (array == np.trunc(array)) & (array >= float(low)) & (array < float(high + 1))
    if not array.size or (low <= int(array.min()) and int(array.max()) <= high):
        return True
    return _each(array, lambda item: low <= int(item) <= high)


def _is_whole_in(array: Any, dtype: Any) -> Any:
    """Return where a floating dtype holds a whole number exactly."""
    most = 1 << _WHOLE_BITS.get(dtype.name, 0)
    if not array.size or (-most <= int(array.min()) and int(array.max()) <= most):
        return True

    def is_held(item: Any) -> bool:
        try:
            return float(np.array(item).astype(dtype.as_numpy_dtype)) == int(item)
        except OverflowError:  # larger than any float
            return False

    return _each(array, is_held)


def _is_whole(item: Any) -> bool:
    return isinstance(item, numbers.Integral)


def _each(array: Any, test: Callable[[Any], bool]) -> np.ndarray:
    return np.array([test(item) for item in array.reshape(-1)], bool).reshape(array.shape)


def _check(array: Any, kept: Any, dtype: Any, name: str) -> None:
    """Raise FreezeError unless `kept` is true for all elements of an array."""
    kept = np.broadcast_to(kept, array.shape)
    if kept.all():
        return
    place = tuple(int(i) for i in np.argwhere(~kept)[0])
    item = array[place]
    shown = repr(item.item() if isinstance(item, np.generic) else item)
    where = f" (at {list(place)})" if place else ""
    raise FreezeError(
        f"{name} is {dtype.name}, which cannot hold {shown[:80]}{where}{_advice(item)}"
    )


def _advice(item: Any) -> str:
    is_number = isinstance(item, (numbers.Number, np.number))
    return ": cast it before, if that is meant" if is_number else ""
