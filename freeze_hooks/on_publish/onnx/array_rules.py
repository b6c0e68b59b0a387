"""Rules for ops on indices, shapes and orders."""

from __future__ import annotations

from typing import Any, List

import tensorflow as tf

from .refused import cannot
from .registry import Rules

RULES = Rules()


@RULES.of("OneHot")
def _one_hot(node: Any, indices: Any, depth: Any, on: Any, off: Any) -> Any:
    """ONNX counts negative indices from the end; TensorFlow gives such a row only `off` values."""
    axis = node.attr["axis"].i
    if indices.dtype not in (tf.int32, tf.int64):
        indices = tf.cast(indices, tf.int32)
    places = tf.cast(tf.range(depth), indices.dtype)
    if axis >= 0:
        if indices.shape.rank is None:
            raise cannot(node, "the rank of its indices is unknown: set it with tf.ensure_shape")
        places = tf.reshape(places, [-1] + [1] * (indices.shape.rank - axis))
    return tf.where(tf.equal(tf.expand_dims(indices, axis), places), on, off)


@RULES.of("Bucketize")
def _bucketize(node: Any, x: Any) -> Any:
    boundaries = list(node.attr["boundaries"].list.f)
    if not boundaries:
        return tf.zeros_like(x, tf.int32)
    x = x if x.dtype.is_floating else tf.cast(x, tf.float32)
    above = tf.expand_dims(x, -1) >= tf.constant(boundaries, x.dtype)
    return tf.reduce_sum(tf.cast(above, tf.int32), -1)


@RULES.of("LowerBound")
def _lower_bound(node: Any, rows: Any, values: Any) -> Any:
    below = tf.expand_dims(rows, 1) < tf.expand_dims(values, 2)
    return _count(node, below)


@RULES.of("UpperBound")
def _upper_bound(node: Any, rows: Any, values: Any) -> Any:
    below = tf.expand_dims(rows, 1) <= tf.expand_dims(values, 2)
    return _count(node, below)


def _count(node: Any, below: Any) -> Any:
    return tf.reduce_sum(tf.cast(below, tf.as_dtype(node.attr["out_type"].type)), -1)


@RULES.of("ShapeN")
def _shape_n(node: Any, *tensors: Any) -> Any:
    out_type = tf.as_dtype(node.attr["out_type"].type)
    return [tf.shape(tensor, out_type=out_type) for tensor in tensors]


@RULES.of("ReverseV2")
def _reverse(node: Any, x: Any, axes: Any) -> Any:
    known = tf.get_static_value(axes)
    if known is None:
        raise cannot(node, "its axes are not constant: make them constants")
    all_, back = slice(None), slice(None, None, -1)
    for axis in known.tolist():
        from_end = (Ellipsis, back) + (all_,) * (-axis - 1)
        x = x[from_end if axis < 0 else (all_,) * axis + (back,)]
    return tf.identity(x)


@RULES.of("BroadcastArgs")
def _broadcast_args(node: Any, one: Any, other: Any) -> Any:
    lengths = [shape.shape[0] for shape in (one, other)]
    if None in lengths:
        raise cannot(node, "the ranks of its operands are unknown")
    longest = max(lengths)
    one, other = (
        tf.concat([tf.ones([longest - length], shape.dtype), shape], 0)
        for length, shape in zip(lengths, (one, other))
    )
    return tf.where(tf.equal(one, tf.ones([], one.dtype)), other, one)


@RULES.of("Cross")
def _cross(node: Any, a: Any, b: Any) -> Any:
    a0, a1, a2 = (a[..., i] for i in range(3))
    b0, b1, b2 = (b[..., i] for i in range(3))
    return tf.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1)


@RULES.of("InvertPermutation")
def _invert_permutation(node: Any, x: Any) -> Any:
    places = tf.cast(tf.range(tf.shape(x)[0]), x.dtype)
    return tf.tensor_scatter_nd_update(tf.zeros_like(x), tf.expand_dims(x, -1), places)


@RULES.of("UnravelIndex")
def _unravel_index(node: Any, indices: Any, dims: Any) -> Any:
    if dims.shape.rank != 1 or dims.shape[0] is None:
        raise cannot(node, "the number of its dimensions is unknown")
    found: List[Any] = []
    for place in reversed(range(dims.shape[0])):
        found.insert(0, indices % dims[place])
        indices = indices // dims[place]
    return tf.stack(found)


@RULES.of("InTopK", "InTopKV2")
def _in_top_k(node: Any, predictions: Any, targets: Any, k: Any = None) -> Any:
    k = tf.cast(k, tf.int32) if node.op == "InTopKV2" else tf.constant(node.attr["k"].i)
    classes = tf.cast(tf.shape(predictions)[1], targets.dtype)
    inside = tf.logical_and(targets >= tf.zeros([], targets.dtype), targets < classes)
    places = tf.where(inside, targets, tf.zeros_like(targets))
    own = tf.gather(predictions, tf.expand_dims(places, 1), batch_dims=1)
    above = tf.reduce_sum(tf.cast(predictions > own, tf.int32), 1)
    known = tf.logical_and(inside, tf.math.is_finite(own[:, 0]))
    return tf.logical_and(known, above < k)


@RULES.of("NthElement")
def _nth_element(node: Any, x: Any, n: Any) -> Any:
    direction = "DESCENDING" if node.attr["reverse"].b else "ASCENDING"
    return tf.gather(tf.sort(x, direction=direction), n, axis=-1)


@RULES.of("PreventGradient")
def _prevent_gradient(node: Any, x: Any) -> Any:
    return tf.identity(x)


@RULES.of("AsString")
def _as_string(node: Any, x: Any) -> Any:
    if x.dtype.is_floating:
        raise cannot(node, "ONNX Runtime writes floating numbers differently from TensorFlow")
    return None


@RULES.of("Case", "StatelessCase")
def _case(node: Any, *tensors: Any) -> Any:
    raise cannot(node, "tf2onnx does not support tf.switch_case: use tf.cond")
