"""Resizing, convolutions and colours give the same answers as TensorFlow."""

import importlib

import numpy as np
import pytest
import tensorflow as tf
from onnx_answers import assert_same, converted, needs_onnx, run

import freeze_hooks as fh

pytestmark = needs_onnx
RNG = np.random.RandomState(0)
IMAGES = RNG.uniform(0, 1, (2, 8, 9, 3)).astype(np.float32)
METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "gaussian", "mitchellcubic")


def test_resizing(tmp_path):
    def functions(images):
        found = {}
        for method in METHODS:
            for size in ((16, 18), (5, 6), (11, 7)):
                found[f"{method}_{size[0]}"] = tf.image.resize(images, size, method)
        for name in ("ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor"):
            op = getattr(tf.raw_ops, name)
            found[name] = op(images=images, size=[13, 5])
            found[name + "_corners"] = op(images=images, size=[13, 5], align_corners=True)
        found["area_corners"] = tf.raw_ops.ResizeArea(
            images=images, size=[13, 5], align_corners=True
        )
        found["smooth"] = tf.image.resize(images, (4, 5), antialias=True)
        found["whole"] = tf.image.resize(tf.cast(images * 255, tf.uint8), (5, 6))
        return found

    wanted, got = converted(functions, {"images": IMAGES}, tmp_path, verify=False)
    assert_same(got, wanted)


def test_what_is_converted_for_one_size_alone_says_so(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, None, 9, 3], name="images")])
    def resized(images):
        return {"y": tf.image.resize(images, (5, 6), "bicubic")}

    artifact = fh.freeze_function(resized, str(tmp_path / "resized.pb"))
    with pytest.raises(fh.ConversionError, match=r"ResizeBicubic.*fixed height and width"):
        fh.to_onnx()(artifact)


def test_colours_and_patches(tmp_path):
    image = tf.image

    def functions(images):
        return {
            "hsv": image.rgb_to_hsv(images),
            "rgb": image.hsv_to_rgb(images),
            "saturated": image.adjust_saturation(images, 1.7),
            "patches": image.extract_patches(
                images, [1, 3, 2, 1], [1, 2, 1, 1], [1, 1, 1, 1], "SAME"
            ),
            "spread_patches": image.extract_patches(
                images, [1, 2, 2, 1], [1, 1, 1, 1], [1, 2, 2, 1], "VALID"
            ),
        }

    images = np.concatenate([IMAGES, np.zeros_like(IMAGES[:1]), np.ones_like(IMAGES[:1])])
    images[0, 0, 0] = (0.5, 0.5, 0.2)
    wanted, got = converted(functions, {"images": images}, tmp_path)
    assert_same(got, wanted)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_with_groups_and_with_rows_left_out(rank, tmp_path):
    keras = importlib.import_module("keras")
    layers = keras.layers
    keras.utils.set_random_seed(1)
    start = keras.Input((6, 7, 5)[:rank] + (4,), name="x")
    transposed = getattr(layers, f"Conv{rank}DTranspose")
    ends = [
        getattr(layers, f"Conv{rank}D")(6, 2, groups=2, name="groups")(start),
        transposed(2, 2, strides=3, name="apart")(start),
        transposed(2, 3, strides=2, output_padding=1, name="padded")(start),
        transposed(2, 3, strides=2, padding="same", name="same")(start),
    ]
    model = keras.Model(start, dict(zip(("groups", "apart", "padded", "same"), ends)))
    x = RNG.randn(2, *start.shape[1:]).astype(np.float32)
    artifact = fh.freeze_keras_model(model, str(tmp_path / "convolutions.pb"))
    wanted = {name: value.numpy() for name, value in model(x, training=False).items()}
    assert_same(run(fh.to_onnx()(artifact), {"x": x}), wanted)
