"""Rules for functions that tf2onnx lacks, and for integer divisions that it rounds wrongly."""

from __future__ import annotations

import functools
import math
from typing import Any

import tensorflow as tf

from .plain_ops import Rule
from .refused import cannot
from .registry import Rules

RULES = Rules()


def _in_float32(rule: Rule) -> Rule:
    """Compute in float32, since ONNX Runtime has no other kernels; refuse float64."""

    @functools.wraps(rule)
    def wrapped(node: Any, *tensors: Any) -> Any:
        dtype = tensors[0].dtype
        if dtype == tf.float64:
            raise cannot(
                node,
                "it exists only for float32, and this one is float64: "
                "compute it in float32 in the model",
            )
        if dtype == tf.float32:
            return rule(node, *tensors)
        return tf.cast(rule(node, *(tf.cast(tensor, tf.float32) for tensor in tensors)), dtype)

    return wrapped


@RULES.of("Erf")
def _erf(node: Any, x: Any) -> Any:
    return None if x.dtype == tf.float32 else _in_float32(lambda _, y: tf.math.erf(y))(node, x)


@RULES.of("Erfc")
@_in_float32
def _erfc(node: Any, x: Any) -> Any:
    return 1.0 - tf.math.erf(x)


@RULES.of("Expm1")
@_in_float32
def _expm1(node: Any, x: Any) -> Any:
    half = tf.tanh(tf.clip_by_value(x, -1.0, 1.0) / 2.0)  # near 0, exp(x) - 1 loses digits
    return tf.where(tf.abs(x) < 0.5, 2.0 * half / (1.0 - half), tf.exp(x) - 1.0)


@RULES.of("Log1p")
@_in_float32
def _log1p(node: Any, x: Any) -> Any:
    near = tf.clip_by_value(x, -0.5, 0.5)
    return tf.where(tf.abs(x) < 0.5, 2.0 * tf.atanh(near / (near + 2.0)), tf.math.log(1.0 + x))


# Lanczos's approximation with g = 7
_LANCZOS = (
    676.5203681218851,
    -1259.1392167224028,
    771.32342877765313,
    -176.61502916214059,
    12.507343278686905,
    -0.13857109526572012,
    9.9843695780195716e-6,
    1.5056327351493116e-7,
)
_G = 7.0


@RULES.of("Lgamma")
@_in_float32
def _lgamma(node: Any, x: Any) -> Any:
    reflected = x < 0.5
    z = tf.where(reflected, 1.0 - x, x) - 1.0
    series = 0.99999999999980993 + tf.add_n([c / (z + k) for k, c in enumerate(_LANCZOS, 1)])
    t = z + _G + 0.5
    # (z + 0.5) * log(t) - t loses digits for large z, so compute log(t) from t / (g + 0.5)
    log_t = math.log(_G + 0.5) + tf.math.log(1.0 + z / (_G + 0.5))
    upper = 0.5 * math.log(2 * math.pi) + (z + 0.5) * log_t - t + tf.math.log(series)
    down = x - tf.floor(x)
    sine = tf.abs(tf.sin(math.pi * tf.minimum(down, 1.0 - down)))
    below = math.log(math.pi) - tf.math.log(sine) - upper
    return tf.where(reflected, below, upper)


@RULES.of("Digamma")
@_in_float32
def _digamma(node: Any, x: Any) -> Any:
    reflected = x < 0.5
    z = tf.where(reflected, 1.0 - x, x)
    steps = [1.0 / (z + float(k)) for k in range(6)]  # the series is exact enough from z + 6 on
    far = z + 6.0
    square = 1.0 / (far * far)
    tail = square * (1 / 12 - square * (1 / 120 - square / 252))
    upper = tf.math.log(far) - 0.5 / far - tail - tf.add_n(steps)
    down = x - tf.floor(x)
    below = upper - math.pi / tf.tan(math.pi * down)
    return tf.where(reflected, below, upper)


# Giles's polynomials of w = -log(1 - x * x), near 0 and in the tails
_POLYNOMIALS = (
    (2.81022636e-08, -0.000200214257),
    (3.43273939e-07, 0.000100950558),
    (-3.5233877e-06, 0.00134934322),
    (-4.39150654e-06, -0.00367342844),
    (0.00021858087, 0.00573950773),
    (-0.00125372503, -0.0076224613),
    (-0.00417768164, 0.00943887047),
    (0.246640727, 1.00167406),
    (1.50140941, 2.83297682),
)


@RULES.of("Erfinv")
@_in_float32
def _erfinv(node: Any, x: Any) -> Any:
    w = -tf.math.log((1.0 - x) * (1.0 + x))
    near = w < 5.0
    v = tf.where(near, w - 2.5, tf.sqrt(tf.maximum(w, 5.0)) - 3.0)
    polynomial = tf.zeros_like(x)
    for middle, tail in _POLYNOMIALS:
        polynomial = tf.where(near, middle, tail) + polynomial * v
    beyond = tf.where(tf.abs(x) > 1.0, math.nan, x * math.inf)
    return tf.where(tf.abs(x) >= 1.0, beyond, polynomial * x)


@RULES.of("Ndtri")
@_in_float32
def _ndtri(node: Any, x: Any) -> Any:
    return math.sqrt(2.0) * tf.math.erfinv(2.0 * x - 1.0)


@RULES.of("MulNoNan")
def _mul_no_nan(node: Any, x: Any, y: Any) -> Any:
    return tf.where(tf.equal(y, tf.zeros([], y.dtype)), tf.zeros([], x.dtype), x * y)


@RULES.of("Xdivy")
def _xdivy(node: Any, x: Any, y: Any) -> Any:
    return _unless_zero(x, x / y)


@RULES.of("Xlogy")
def _xlogy(node: Any, x: Any, y: Any) -> Any:
    return _unless_zero(x, x * tf.math.log(y))


@RULES.of("Xlog1py")
def _xlog1py(node: Any, x: Any, y: Any) -> Any:
    return _unless_zero(x, x * tf.math.log1p(y))


def _unless_zero(x: Any, value: Any) -> Any:
    zero = tf.zeros([], x.dtype)
    return tf.where(tf.equal(x, zero), zero, value)


@RULES.of("FloorDiv")
def _floor_div(node: Any, x: Any, y: Any) -> Any:
    if not x.dtype.is_integer:
        return None
    return _floored(x, y)[0]


@RULES.of("FloorMod")
def _floor_mod(node: Any, x: Any, y: Any) -> Any:
    if not x.dtype.is_integer:
        return None
    return _floored(x, y)[1]


def _floored(x: Any, y: Any) -> Any:
    """Return (quotient rounded down, remainder); tf2onnx rounds towards zero."""
    quotient = tf.raw_ops.TruncateDiv(x=x, y=y)
    remainder = x - quotient * y
    if x.dtype.is_unsigned:
        return quotient, remainder
    zero = tf.zeros([], x.dtype)
    unlike = tf.math.logical_xor(remainder < zero, y < zero)
    down = tf.logical_and(tf.not_equal(remainder, zero), unlike)
    one = tf.cast(down, x.dtype)
    return quotient - one, remainder + one * y


@RULES.of("TruncateMod")
def _truncate_mod(node: Any, x: Any, y: Any) -> Any:
    if not x.dtype.is_integer:
        return tf.sign(x) * tf.math.floormod(tf.abs(x), tf.abs(y))
    return x - tf.raw_ops.TruncateDiv(x=x, y=y) * y


@RULES.of("ApproximateEqual")
def _approximate_equal(node: Any, x: Any, y: Any) -> Any:
    return tf.abs(x - y) < tf.cast(node.attr["tolerance"].f, x.dtype)


@RULES.of("Invert")
def _invert(node: Any, x: Any) -> Any:
    if x.dtype == tf.bool:
        return tf.logical_not(x)
    most = x.dtype.max if x.dtype.is_unsigned else -1
    return tf.constant(most, x.dtype) - x


@RULES.of("EuclideanNorm")
def _euclidean_norm(node: Any, x: Any, axis: Any) -> Any:
    kept = node.attr["keep_dims"].b
    return tf.sqrt(tf.reduce_sum(x * tf.math.conj(x), axis, keepdims=kept))


@RULES.of("Equal", "NotEqual")
def _equal(node: Any, x: Any, y: Any) -> Any:
    if x.dtype == tf.string:
        raise cannot(
            node,
            "ONNX compares strings differently: cut the file after them, with inputs=, or use a "
            "table, tf.lookup.StaticHashTable",
        )
    return None
