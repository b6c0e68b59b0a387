"""Fourier transforms along the last axis, as products with matrices of sines and cosines."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np
import tensorflow as tf

_MOST = 4096  # points: the matrices go into the file


class Pair(NamedTuple):
    """A complex tensor as two real tensors."""

    real: Any
    imaginary: Any


def _waves(points: int, frequencies: int, rows: int, dtype: Any) -> Tuple[Any, Any]:
    """Return cosine and sine of each point and frequency, [rows, frequencies]."""
    turns = np.outer(np.arange(rows), np.arange(frequencies)) % points
    angles = 2 * np.pi * turns / points
    cosine, sine = (np.where(np.abs(w) < 1e-12, 0, w) for w in (np.cos(angles), np.sin(angles)))
    return cosine.astype(dtype), sine.astype(dtype)


def _rfft(node: Any, x: Any, length: Any) -> Any:
    points, size = _points(length), x.shape[-1] if x.shape.rank else None
    if points is None or size is None:
        return None
    rows = min(points, size)  # the op pads with zeros or cuts off
    cosine, sine = _waves(points, points // 2 + 1, rows, x.dtype.as_numpy_dtype)
    x = x[..., :rows]
    return Pair(_times(x, cosine), 0.0 - _times(x, sine))  # "-x" gives -0, of which an angle is -pi


def _irfft(node: Any, x: Pair, length: Any) -> Any:
    points, size = _points(length), x.real.shape[-1] if x.real.shape.rank else None
    if points is None or size is None:
        return None
    rows = min(points // 2 + 1, size)
    cosine, sine = _waves(points, points, rows, x.real.dtype.as_numpy_dtype)
    weights = np.full([rows, 1], 2.0 / points, cosine.dtype)
    weights[0] /= 2
    if points % 2 == 0 and rows == points // 2 + 1:
        weights[-1] /= 2  # the highest frequency occurs only once, too
    real, imaginary = (part[..., :rows] for part in x)
    return _times(real, weights * cosine) - _times(imaginary, weights * sine)


def _fft(node: Any, x: Pair) -> Any:
    points = x.real.shape[-1] if x.real.shape.rank else None
    if points is None or points > _MOST:
        return None
    cosine, sine = _waves(points, points, points, x.real.dtype.as_numpy_dtype)
    real = _times(x.real, cosine) + _times(x.imaginary, sine)
    return Pair(real, _times(x.imaginary, cosine) - _times(x.real, sine))


def _ifft(node: Any, x: Pair) -> Any:
    """Compute it with _fft: conjugate the input, then conjugate and scale the result."""
    found = _fft(node, Pair(x.real, -x.imaginary))
    if found is None:
        return None
    points = tf.cast(tf.shape(x.real)[-1], x.real.dtype)
    return Pair(found.real / points, -found.imaginary / points)


def _times(x: Any, matrix: Any) -> Any:
    return tf.linalg.matmul(x, matrix) if x.shape.rank > 1 else tf.linalg.matvec(matrix.T, x)


def _points(length: Any) -> Any:
    known = tf.get_static_value(length)
    return int(known[0]) if known is not None and known[0] <= _MOST else None


TRANSFORMS: Dict[str, Callable[..., Any]] = {
    "RFFT": _rfft,
    "IRFFT": _irfft,
    "FFT": _fft,
    "IFFT": _ifft,
}
