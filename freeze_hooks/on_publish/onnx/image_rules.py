"""Rules for ops on images, such as resizing, colours, patches and convolutions."""

from __future__ import annotations

from typing import Any, Callable, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..._tf import v1
from .refused import cannot
from .registry import Rules

RULES = Rules()
_MOST = 1 << 24  # elements: the limit for a matrix in the file


@RULES.of("ResizeBilinear")
def _bilinear(node: Any, images: Any, size: Any) -> Any:
    return _in_float32("ResizeBilinear", node, images, size)


@RULES.of("ResizeBicubic")
def _bicubic(node: Any, images: Any, size: Any) -> Any:
    return _by_matrices(node, images, size, _like("ResizeBicubic", node))


@RULES.of("ResizeArea")
def _area(node: Any, images: Any, size: Any) -> Any:
    return _by_matrices(node, images, size, _like("ResizeArea", node))


def _like(op: str, node: Any) -> Callable[..., Any]:
    """Return a function of images and a size that calls the op with the node's attributes."""
    names = ("align_corners", "half_pixel_centers")
    attrs = {name: node.attr[name].b for name in names if name in node.attr}
    return lambda images, size, axis: getattr(tf.raw_ops, op)(images=images, size=size, **attrs)


def _in_float32(op: str, node: Any, images: Any, size: Any) -> Any:
    if images.dtype == tf.float32:
        return None
    return _like(op, node)(tf.cast(images, tf.float32), size, None)


@RULES.of("ScaleAndTranslate")
def _scale_and_translate(node: Any, images: Any, size: Any, scale: Any, shift: Any) -> Any:
    known = tf.get_static_value(scale), tf.get_static_value(shift)
    if known[0] is None or known[1] is None:
        raise cannot(node, "its scale is not constant; " + _FIXED)
    attrs = {
        "kernel_type": node.attr["kernel_type"].s.decode(),
        "antialias": node.attr["antialias"].b,
    }

    def along(images: Any, size: Any, axis: int) -> Any:
        scales, shifts = np.ones(2, np.float32), np.zeros(2, np.float32)
        scales[0], shifts[0] = known[0][axis], known[1][axis]
        return tf.raw_ops.ScaleAndTranslate(
            images=images, size=size, scale=scales, translation=shifts, **attrs
        )

    return _by_matrices(node, images, size, along)


_FIXED = (
    "it can be converted only for images of one size: freeze it with a fixed height and width, "
    "input_signature="
)


def _by_matrices(node: Any, images: Any, size: Any, resize: Callable[..., Any]) -> Any:
    """Resize with a matrix for each axis: TensorFlow's results for unit vectors are its columns."""
    wanted, given = tf.get_static_value(size), images.shape[1:3].as_list()
    if wanted is None or None in given:
        raise cannot(node, _FIXED)
    rows, columns = (
        _matrix(node, int(old), int(new), axis, resize)
        for axis, (old, new) in enumerate(zip(given, wanted))
    )
    images = tf.cast(images, tf.float32)
    shape = tf.shape(images)
    flat = tf.reshape(images, tf.stack([shape[0], given[0], -1]))
    flat = tf.reshape(tf.matmul(rows, flat), tf.stack([shape[0], wanted[0], given[1], -1]))
    return tf.matmul(columns, flat)


def _matrix(node: Any, old: int, new: int, axis: int, resize: Callable[..., Any]) -> Any:
    if old * new > _MOST:
        raise cannot(node, f"a matrix from {old} to {new} pixels is too large for the file")
    with tf.Graph().as_default():
        units = tf.eye(old)[None, :, None, :]  # an image: channel i is 1 in row i, else 0
        made = resize(units, [new, 1], axis)
        with v1.Session() as session:
            return session.run(made)[0, :, 0, :]


@RULES.of("RGBToHSV")
def _rgb_to_hsv(node: Any, images: Any) -> Any:
    red, green, blue = (images[..., i] for i in range(3))
    value, low = tf.reduce_max(images, -1), tf.reduce_min(images, -1)
    spread = value - low
    safe = tf.where(spread > 0, spread, tf.ones_like(spread))
    hue = tf.where(
        tf.equal(red, value),
        (green - blue) / safe,
        tf.where(tf.equal(green, value), 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    hue = tf.where(spread > 0, hue / 6.0, tf.zeros_like(hue))
    saturation = tf.where(value > 0, spread / tf.where(value > 0, value, 1.0), 0.0)
    return tf.stack([tf.where(hue < 0, hue + 1.0, hue), saturation, value], -1)


@RULES.of("HSVToRGB")
def _hsv_to_rgb(node: Any, images: Any) -> Any:
    hue, saturation, value = (images[..., i] for i in range(3))
    channels = []
    for offset, side in ((3.0, 1.0), (2.0, -1.0), (4.0, -1.0)):
        share = side * (tf.abs(hue * 6.0 - offset) - (1.0 if side > 0 else 2.0))
        channels.append(value * (1.0 - saturation + saturation * tf.clip_by_value(share, 0.0, 1.0)))
    return tf.stack(channels, -1)


@RULES.of("AdjustSaturation")
def _adjust_saturation(node: Any, images: Any, factor: Any) -> Any:
    hsv = tf.image.rgb_to_hsv(images)
    saturation = tf.clip_by_value(hsv[..., 1] * factor, 0.0, 1.0)
    return tf.image.hsv_to_rgb(tf.stack([hsv[..., 0], saturation, hsv[..., 2]], -1))


@RULES.of("ExtractImagePatches")
def _extract_patches(node: Any, images: Any) -> Any:
    """A convolution of each channel with unit kernels."""
    channels = images.shape[3]
    if channels is None:
        raise cannot(node, "the number of channels is unknown: set it with tf.ensure_shape")
    height, width = list(node.attr["ksizes"].list.i)[1:3]
    count = height * width
    units = np.eye(count, dtype=np.float32).reshape(height, width, 1, count)
    kernel = np.tile(units, [1, 1, channels, 1])
    strides, rates = (list(node.attr[name].list.i) for name in ("strides", "rates"))
    padding = node.attr["padding"].s.decode()
    found = tf.nn.depthwise_conv2d(
        tf.cast(images, tf.float32), kernel, strides, padding, dilations=rates[1:3]
    )
    shape = tf.shape(found)
    found = tf.reshape(found, tf.concat([shape[:3], [channels, count]], 0))
    found = tf.transpose(found, [0, 1, 2, 4, 3])
    return tf.cast(tf.reshape(found, tf.concat([shape[:3], [channels * count]], 0)), images.dtype)


@RULES.of("NonMaxSuppressionV5")
def _soft_suppression(node: Any, boxes: Any, scores: Any, *more: Any) -> Any:
    sigma = tf.get_static_value(more[-1])
    if sigma is None or float(sigma) != 0.0:
        raise cannot(node, "ONNX has no soft suppression: use soft_nms_sigma=0")
    return None


@RULES.of("Conv3D")
def _grouped_conv3d(node: Any, images: Any, kernel: Any) -> Any:
    """tf2onnx ignores groups; TensorFlow derives their number from the kernel's channels."""
    channels, each = images.shape[-1], kernel.shape[-2]
    if node.attr["data_format"].s == b"NCDHW" or channels is None or channels == each:
        return None
    groups = channels // each
    attrs = {
        "strides": list(node.attr["strides"].list.i),
        "padding": node.attr["padding"].s.decode(),
        "dilations": list(node.attr["dilations"].list.i),
    }
    pairs = zip(tf.split(images, groups, -1), tf.split(kernel, groups, -1))
    return tf.concat([tf.nn.conv3d(part, own, **attrs) for part, own in pairs], -1)


@RULES.of("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def _transposed_conv(node: Any, sizes: Any, kernel: Any, gradient: Any) -> Any:
    """Pad the kernel with zeros if it does not reach the last rows: pads cannot be negative."""
    if node.attr["data_format"].s[-1:] != b"C":
        return None
    rank = kernel.shape.rank - 2
    strides = list(node.attr["strides"].list.i)[1:-1]
    wanted = _constant_sizes(sizes, rank)
    missing = _missing(strides, kernel.shape[:rank], wanted, gradient.shape[1:-1])
    same = node.attr["padding"].s == b"SAME"  # it pads nothing if it leaves out rows
    if max(missing) <= 0 or (same and min(missing) < 0):
        return None
    kernel = tf.pad(kernel, [[0, max(more, 0)] for more in missing] + [[0, 0], [0, 0]])
    attrs = {"strides": list(node.attr["strides"].list.i), "padding": "VALID"}
    transposed = tf.nn.conv2d_transpose if rank == 2 else tf.nn.conv3d_transpose
    return transposed(gradient, kernel, sizes, **attrs)


def _constant_sizes(sizes: Any, rank: int) -> Sequence[Any]:
    known = tf.get_static_value(sizes, partial=True)
    return [None] * rank if known is None else [known[i + 1] for i in range(rank)]


def _missing(
    strides: Sequence[int], kernel: Any, wanted: Sequence[Any], given: Any
) -> Tuple[int, ...]:
    """Return how many rows and columns of the result the kernel does not reach."""
    found = []
    for stride, own, size, old in zip(strides, kernel, wanted, given):
        if size is None or old is None:
            found.append(stride - int(own))  # the result's size that Keras asks for
        else:
            found.append(int(size) - (int(old) - 1) * stride - int(own))
    return tuple(found)
