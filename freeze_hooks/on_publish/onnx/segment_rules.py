"""Rules for sums over repeated indices: ONNX's own ops keep only one of each index, or fail."""

from __future__ import annotations

from typing import Any, Tuple

import tensorflow as tf

from .refused import cannot
from .registry import Rules

RULES = Rules()


@RULES.of("ScatterNd")
def _scatter_nd(node: Any, indices: Any, updates: Any, shape: Any) -> Any:
    if updates.dtype in (tf.string, tf.bool):
        return None
    return tf.tensor_scatter_nd_add(tf.zeros(shape, updates.dtype), indices, updates)


@RULES.of("UnsortedSegmentSum")
def _sum(node: Any, data: Any, ids: Any, count: Any) -> Any:
    data, ids, rows = _flat(node, data, ids, count)
    scattered = tf.tensor_scatter_nd_add(tf.zeros(rows, data.dtype), ids, data)
    return scattered[:-1]


@RULES.of("UnsortedSegmentMax")
def _max(node: Any, data: Any, ids: Any, count: Any) -> Any:
    data, ids, rows = _flat(node, data, ids, count)
    lowest = tf.fill(rows, tf.constant(data.dtype.min, data.dtype))
    return tf.tensor_scatter_nd_max(lowest, ids, data)[:-1]


@RULES.of("UnsortedSegmentMin")
def _min(node: Any, data: Any, ids: Any, count: Any) -> Any:
    data, ids, rows = _flat(node, data, ids, count)
    greatest = tf.fill(rows, tf.constant(data.dtype.max, data.dtype))
    return tf.tensor_scatter_nd_min(greatest, ids, data)[:-1]


@RULES.of("UnsortedSegmentProd")
def _prod(node: Any, data: Any, ids: Any, count: Any) -> Any:
    data, ids, _ = _flat(node, data, ids, count)
    own = tf.equal(tf.expand_dims(tf.range(tf.cast(count, ids.dtype)), 1), ids[:, 0])
    own = tf.reshape(own, tf.concat([tf.shape(own), tf.ones_like(tf.shape(data)[1:])], 0))
    return tf.reduce_prod(tf.where(own, data[None], tf.ones([], data.dtype)), 1)


def _flat(node: Any, data: Any, ids: Any, count: Any) -> Tuple[Any, Any, Any]:
    """Return (rows of data, [rows, 1] indices, shape of the result with an extra last row).

    Rows with a negative index go into the extra row, since TensorFlow drops them.
    """
    if ids.shape.rank is None:
        raise cannot(node, "the rank of its ids is unknown: set it with tf.ensure_shape")
    rest = tf.shape(data)[ids.shape.rank :]
    if ids.shape.rank != 1:
        data = tf.reshape(data, tf.concat([[-1], rest], 0))
        ids = tf.reshape(ids, [-1])
    last = tf.cast(count, ids.dtype)
    ids = tf.where(ids < tf.zeros([], ids.dtype), last, ids)
    rows = tf.concat([tf.reshape(tf.cast(count, tf.int32) + 1, [1]), rest], 0)
    return data, tf.expand_dims(ids, 1), rows


@RULES.of("SegmentSum")
def _sorted_sum(node: Any, data: Any, ids: Any) -> Any:
    return tf.math.unsorted_segment_sum(data, ids, _segments(ids))


@RULES.of("SegmentMean")
def _sorted_mean(node: Any, data: Any, ids: Any) -> Any:
    total = tf.math.unsorted_segment_sum(data, ids, _segments(ids))
    return total / tf.cast(tf.maximum(_sizes(data, ids), 1), data.dtype)


@RULES.of("SegmentMax")
def _sorted_max(node: Any, data: Any, ids: Any) -> Any:
    return _or_zero(tf.math.unsorted_segment_max(data, ids, _segments(ids)), data, ids)


@RULES.of("SegmentMin")
def _sorted_min(node: Any, data: Any, ids: Any) -> Any:
    return _or_zero(tf.math.unsorted_segment_min(data, ids, _segments(ids)), data, ids)


@RULES.of("SegmentProd")
def _sorted_prod(node: Any, data: Any, ids: Any) -> Any:
    return tf.math.unsorted_segment_prod(data, ids, _segments(ids))


def _segments(ids: Any) -> Any:
    return tf.reduce_max(tf.concat([ids, [tf.constant(-1, ids.dtype)]], 0)) + 1


def _sizes(data: Any, ids: Any) -> Any:
    """Return the number of rows of each segment, in a shape that broadcasts over the result."""
    found = tf.math.unsorted_segment_sum(tf.ones_like(ids, tf.int32), ids, _segments(ids))
    return tf.reshape(found, tf.concat([[-1], tf.ones_like(tf.shape(data)[1:])], 0))


def _or_zero(found: Any, data: Any, ids: Any) -> Any:
    return tf.where(_sizes(data, ids) > 0, found, tf.zeros([], data.dtype))


@RULES.of("DenseBincount")
def _dense_bincount(node: Any, x: Any, size: Any, weights: Any) -> Any:
    dtype = weights.dtype
    weighted = weights.shape.num_elements() != 0
    places = tf.equal(tf.expand_dims(x, -1), tf.range(size))
    if node.attr["binary_output"].b:
        return tf.cast(tf.reduce_any(places, -2), dtype)
    counted = tf.cast(places, dtype)
    if weighted:
        counted *= tf.expand_dims(weights, -1)
    return tf.reduce_sum(counted, -2)


@RULES.of("Bincount")
def _bincount(node: Any, x: Any, size: Any, weights: Any) -> Any:
    flat = tf.reshape(x, [-1])
    weighted = weights.shape.num_elements() != 0
    data = tf.reshape(weights, [-1]) if weighted else tf.ones_like(flat, weights.dtype)
    outside = tf.where(flat < size, flat, tf.constant(-1, flat.dtype))
    return tf.math.unsorted_segment_sum(data, outside, size)


@RULES.of("HistogramFixedWidth")
def _histogram(node: Any, values: Any, ends: Any, bins: Any) -> Any:
    width = (ends[1] - ends[0]) / tf.cast(bins, values.dtype)
    place = tf.cast(tf.floor((tf.reshape(values, [-1]) - ends[0]) / width), tf.int32)
    place = tf.clip_by_value(place, 0, bins - 1)
    dtype = tf.as_dtype(node.attr["dtype"].type)
    return tf.math.unsorted_segment_sum(tf.ones_like(place, dtype), place, bins)


@RULES.of("SparseTensorDenseMatMul")
def _sparse_matmul(node: Any, indices: Any, values: Any, shape: Any, dense: Any) -> Any:
    row, column = (1, 0) if node.attr["adjoint_a"].b else (0, 1)
    dense = tf.transpose(dense) if node.attr["adjoint_b"].b else dense
    products = tf.expand_dims(values, 1) * tf.gather(dense, indices[:, column])
    count = tf.cast(shape[row], tf.int32)
    return tf.math.unsorted_segment_sum(products, indices[:, row], count)
