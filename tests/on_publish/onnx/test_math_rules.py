"""Ops that tf2onnx lacks or converts wrongly give the same answers as TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from onnx_answers import assert_same, converted, needs_onnx

import freeze_hooks as fh

pytestmark = needs_onnx
RNG = np.random.RandomState(0)
SMALL = RNG.uniform(-0.9, 0.9, (3, 4)).astype(np.float32)
X = RNG.uniform(-4, 4, (3, 4)).astype(np.float32)
Y = RNG.uniform(-4, 4, (3, 4)).astype(np.float32)
POSITIVE = np.abs(X) + np.float32(0.01)


def test_functions_of_numbers(tmp_path):
    m = tf.math

    def functions(x, y, small, positive):
        zeros = tf.where(tf.abs(x) < 1, 0.0, x)
        found = {
            "erfc": m.erfc(x),
            "erfcinv": m.erfcinv(1 + small),
            "erfinv": m.erfinv(small),
            "ndtri": m.ndtri((1 + small) / 2),
            "expm1": m.expm1(x),
            "log1p": m.log1p(positive),
            "lgamma": m.lgamma(x),
            "lgamma of large": m.lgamma(positive * 100),
            "digamma": m.digamma(positive),
            "digamma below 0": m.digamma(x),
            "xdivy": m.xdivy(zeros, zeros),
            "xlogy": m.xlogy(zeros, tf.abs(zeros)),
            "xlog1py": m.xlog1py(zeros, tf.abs(zeros)),
            "multiply_no_nan": m.multiply_no_nan(y / zeros, zeros),
            "norm": m.reduce_euclidean_norm(x, 1, keepdims=True),
            "near": tf.raw_ops.ApproximateEqual(x=x, y=y, tolerance=2.0),
            "truncatemod": tf.raw_ops.TruncateMod(x=x, y=y),
            "gelu": tf.nn.gelu(x),
            "sigmoid loss": tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(x), x),
        }
        return {name.replace(" ", "_"): tensor for name, tensor in found.items()}

    arrays = {"x": X, "y": Y, "small": SMALL, "positive": POSITIVE}
    wanted, got = converted(functions, arrays, tmp_path)
    assert_same(got, wanted, 2e-6)


def test_near_zero_no_digits_are_lost(tmp_path):
    x = np.array([[1e-7, -1e-7, 1e-4, -1e-4]], np.float32)
    wanted, got = converted(
        lambda x: {"e": tf.math.expm1(x), "l": tf.math.log1p(x)}, {"x": x}, tmp_path
    )
    for name in wanted:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-6)


def test_whole_numbers_below_zero_are_divided_as_python_does(tmp_path):
    """tf2onnx uses ONNX's Div and Mod, which round differently."""
    arrays, kinds = {}, ("int32", "int64", "int8", "uint8")
    dividend, divisor = np.array([[7, -7, 7, -7, 6, 0]]), np.array([[2, 2, -2, -2, 3, -5]])
    for kind in kinds:
        sign = np.abs if kind == "uint8" else np.array
        arrays["x" + kind], arrays["y" + kind] = (
            sign(dividend).astype(kind),
            sign(divisor).astype(kind),
        )

    def divided(*tensors):
        found = {}
        for kind, x, y in zip(kinds, tensors[::2], tensors[1::2]):
            found["div_" + kind], found["mod_" + kind] = x // y, x % y
            if kind in ("int32", "int64"):
                found["fmod_" + kind] = tf.raw_ops.TruncateMod(x=x, y=y)
            found["not_" + kind] = tf.bitwise.invert(x)
            found["and_" + kind] = tf.bitwise.bitwise_and(x, y)
        return found

    wanted, got = converted(divided, arrays, tmp_path)
    assert wanted["div_int32"].tolist() == (dividend // divisor).tolist()
    assert_same(got, wanted)


def test_within_branches_and_loops(tmp_path):
    def steps(x):
        erfc = tf.math.erfc
        return {
            "cond": tf.cond(tf.reduce_sum(x) > -100, lambda: erfc(x), lambda: x),
            "while": tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, erfc(y)), [0, x])[1],
        }

    wanted, got = converted(steps, {"x": X}, tmp_path)
    assert_same(got, wanted, 2e-6)


def test_what_is_not_chosen_does_not_come_through(tmp_path):
    """tf2onnx multiplies both sides by 0 or 1, but NaN or infinity times 0 is NaN."""
    kinds = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8", "int16", "bool")

    def chosen(x):
        found = {
            "log": tf.where(x > 0, tf.math.log(x), 0.0),
            "sqrt": tf.where(x < 0, x, tf.sqrt(x)),
            "divided": tf.where(tf.equal(x, 0), 0.0, 1 / x),
            "masked": tf.where(x > 1, x, np.float32(-np.inf)),
            "rows": tf.raw_ops.Select(condition=x[:, 0] > 0, x=tf.math.log(x), y=x),
            "broadcast": tf.where(x[:, :1] > 0, x[None], [[1.0, 2.0, 3.0, 4.0]]),
            "text": tf.where(x > 0, "above", "below"),
        }
        for kind in kinds:
            y = tf.cast(x, kind)
            found[kind] = tf.where(x > 0, y, tf.zeros_like(y))
        return found

    x = np.where(np.abs(X) < 1, 0, X).astype(np.float32)
    wanted, got = converted(chosen, {"x": x}, tmp_path)
    wanted["text"] = wanted["text"].astype(str).astype(object)
    assert_same(got, wanted)


def table(keys, values, default):
    init = tf.lookup.KeyValueTensorInitializer(keys, values)
    return tf.lookup.StaticHashTable(init, default)


def test_lookup_tables(tmp_path):
    whole, texts = np.array([[1, 7], [3, -1]], np.int64), np.array([["b"], ["ü"]], object)
    long_, short = tf.int64, tf.int32
    tables = {
        "text_to_id": table(tf.constant(["a", "b", "ü"]), tf.constant([5, 6, 7], long_), -1),
        "text_to_float": table(tf.constant(["a", "b"]), tf.constant([0.5, 0.25]), 9.0),
        "id_to_text": table(tf.constant([1, 3], long_), tf.constant(["one", "ö"]), "?"),
        "id_to_double": table(tf.constant([1, 3], long_), tf.constant([0.1, 0.2], tf.float64), 0.0),
        "short": table(tf.constant([1, 3], short), tf.constant([10, 30], short), 0),
    }

    def functions(ids, texts):
        asked = {"text": texts, "id": ids, "short": tf.cast(ids, short)}
        found = {name: t.lookup(asked[name.split("_")[0]]) for name, t in tables.items()}
        return dict(found, size=tables["text_to_id"].size() + ids[0, 0])

    wanted, got = converted(functions, {"ids": whole, "texts": texts}, tmp_path)
    wanted["id_to_text"] = np.vectorize(bytes.decode, otypes=[object])(wanted["id_to_text"])
    assert_same(got, wanted)


def test_texts_are_not_compared(tmp_path):
    with pytest.raises(fh.ConversionError, match=r"op Equal, node .*compares strings differently"):
        converted(lambda x: {"y": x == "a"}, {"x": np.array(["a"], object)}, tmp_path)


def test_quantization_that_is_simulated(tmp_path):
    quant = tf.quantization

    def functions(x):
        low, high = tf.constant([-1.0, -3.0, 0.0, -0.5]), tf.constant([1.0, 2.0, 4.0, 0.1])
        return {
            "even": quant.fake_quant_with_min_max_args(x, -1, 1),
            "uneven": quant.fake_quant_with_min_max_args(x, -0.7, 1.3),
            "narrow": quant.fake_quant_with_min_max_vars(x, -2.0, 3.0, narrow_range=True),
            "few": quant.fake_quant_with_min_max_vars(x, -2.0, 3.0, num_bits=4),
            "channels": quant.fake_quant_with_min_max_vars_per_channel(x, low, high),
        }

    wanted, got = converted(functions, {"x": X}, tmp_path)
    assert_same(got, wanted)


def test_gradients(tmp_path):
    """Gradients such as those of a saliency map."""
    nn, m = tf.nn, tf.math
    kinds = (nn.relu, nn.relu6, nn.elu, nn.leaky_relu, nn.softplus, m.sigmoid, m.tanh, m.sqrt)
    kinds += (m.rsqrt, m.reciprocal)

    def functions(x):
        x = tf.abs(x) - 1e-3
        return {f.__name__: tf.gradients(tf.reduce_sum(f(x)), x)[0] for f in kinds}

    wanted, got = converted(functions, {"x": X}, tmp_path)
    assert_same(got, wanted)
