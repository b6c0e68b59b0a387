"""to_onnx: the promises about its files, and its errors for models that it cannot convert."""

import importlib
import os

import numpy as np
import pytest
import tensorflow as tf
from onnx_answers import assert_same, needs_onnx, run
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1
pytestmark = needs_onnx
RNG = np.random.RandomState(0)


def keras_model(*layers, shape=(5, 4)):
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input(shape, name="x"), *layers])


def test_exact_gelu(tmp_path):
    keras = importlib.import_module("keras")
    model = keras_model(keras.layers.Dense(3, activation="gelu"))
    x = RNG.randn(3, 5, 4).astype(np.float32)
    artifact = fh.freeze_keras_model(model, str(tmp_path / "gelu.pb"))
    (got,) = run(fh.to_onnx()(artifact), {"x": x}).values()
    np.testing.assert_allclose(got, model(x, training=False), atol=1e-6)


@pytest.mark.parametrize("kind", ["Conv1D", "LSTM"])
def test_mixed_bfloat16_runs_in_float32(kind, tmp_path):
    keras = importlib.import_module("keras")
    layer = {
        "Conv1D": lambda: keras.layers.Conv1D(3, 2, dtype="mixed_bfloat16"),
        "LSTM": lambda: keras.layers.LSTM(3, dtype="mixed_bfloat16"),
    }[kind]()
    model = keras_model(layer)
    x = RNG.randn(3, 5, 4).astype(np.float32)
    artifact = fh.freeze_keras_model(model, str(tmp_path / "bf16.pb"))
    (got,) = run(fh.to_onnx()(artifact), {"x": x}).values()
    exact = np.asarray(tf.cast(model(x, training=False), tf.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exact, atol=0.02)


def test_bfloat16_at_both_ends_and_in_functions(tmp_path):
    half = tf.bfloat16.as_numpy_dtype
    x = RNG.randn(3, 4).astype(half)

    def double(i, y):
        return i + 1, y * tf.constant(1.5, tf.bfloat16)

    specs = [tf.TensorSpec([None, 4], tf.bfloat16, "x")]

    @tf.function(input_signature=specs, autograph=False)
    def loop(x):
        return {"y": tf.while_loop(lambda i, y: i < 3, double, [tf.constant(0), x])[1]}

    artifact = fh.freeze_function(loop, str(tmp_path / "loop.pb"))
    (got,) = run(fh.to_onnx()(artifact), {"x": x.astype(np.float32)}).values()
    np.testing.assert_allclose(got, x.astype(np.float32) * 1.5**3, rtol=1e-6)


def test_names_and_dtypes_are_the_signatures_and_open_sizes_stay_open(tmp_path):
    import onnxruntime

    def both(ids, factor):
        return {"wide": tf.cast(ids, tf.float64) * 2, "sum": tf.reduce_sum(factor, 1)}

    specs = [tf.TensorSpec([None, None], tf.int64, "ids"), tf.TensorSpec([None, 3], name="factor")]
    artifact = fh.freeze_function(tf.function(both, specs), str(tmp_path / "both.pb"))
    session = onnxruntime.InferenceSession(fh.to_onnx()(artifact))
    ends = {i.name: (i.type, i.shape) for i in [*session.get_inputs(), *session.get_outputs()]}
    assert {name: dtype for name, (dtype, _) in ends.items()} == {
        "ids": "tensor(int64)",
        "factor": "tensor(float)",
        "wide": "tensor(double)",
        "sum": "tensor(float)",
    }
    for rows, columns in ((1, 2), (4, 7)):
        feeds = {
            "ids": RNG.randint(-9, 9, (rows, columns)),
            "factor": RNG.randn(rows, 3).astype(np.float32),
        }
        got = dict(zip(("wide", "sum"), session.run(["wide", "sum"], feeds)))
        assert_same(got, {"wide": feeds["ids"] * 2.0, "sum": feeds["factor"].sum(1)})


def frozen_doubling(path, name="x"):
    x = v1.placeholder(tf.float32, [None, 3], name=name)
    tf.multiply(x, 2.0, name="y")
    with v1.Session() as session:
        return fh.freeze_session(session, str(path), ["y"])


def test_a_file_that_answers_otherwise_is_not_published(graph, tmp_path, monkeypatch):
    """The converter gets another file, as if it made a mistake."""
    wrong = {"Mul": lambda node, x, y: tf.add(tf.add(x, x), 0.01)}
    monkeypatch.setattr(
        importlib.import_module("freeze_hooks.on_publish.onnx.converter"), "RULES", wrong
    )
    artifact = frozen_doubling(tmp_path / "m.pb")
    (tmp_path / "m.onnx").write_bytes(b"the last one")
    with pytest.raises(fh.ConversionError, match="answers differently from TensorFlow: output 'y'"):
        fh.to_onnx()(artifact)
    assert (tmp_path / "m.onnx").read_bytes() == b"the last one"
    assert sorted(os.listdir(str(tmp_path))) == ["m.onnx", "m.pb", "m.pb.json"]
    fh.to_onnx(verify=fh.Verify(tolerance=0.1))(artifact)
    assert (tmp_path / "m.onnx").read_bytes() != b"the last one"
    fh.to_onnx(verify=False)(artifact)


def test_a_file_that_onnx_runtime_cannot_run_is_not_published(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float64, "x")])
    def wide(x):
        return {"y": tf.nn.conv2d(x, tf.ones([2, 2, 3, 4], tf.float64), 1, "SAME")}

    artifact = fh.freeze_function(wide, str(tmp_path / "wide.pb"))
    with pytest.raises(fh.ConversionError, match=r"ONNX Runtime cannot run it: .*Conv"):
        fh.to_onnx()(artifact)
    assert not (tmp_path / "wide.onnx").exists()


def test_what_training_goes_on_without(graph, tmp_path, warnings_logged):
    """A model that cannot be converted costs one warning per save; training continues."""
    train_op = build()
    tf.linalg.svd(tf.ones([2, 2]) * v1.get_default_graph().get_tensor_by_name("probs:0")[0, 0])
    outputs = [
        op.outputs[0].name for op in v1.get_default_graph().get_operations() if op.type == "Svd"
    ]
    hook = fh.FreezeHook(on_publish=fh.to_onnx(), **dict(FREEZE, outputs={"s": outputs[0]}))
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=[hook]
    ) as session:
        for _ in range(2):
            session.run(train_op, FEEDS)
    said = [line for line in warnings_logged if "on_publish=" in line]
    assert len(hook.artifacts) == len(said) == 2
    assert "it does not support Svd" in said[0] and "'Svd'" in said[0]


def test_without_onnx_runtime_one_warning_says_that_files_are_not_tried(
    graph, tmp_path, monkeypatch, warnings_logged
):
    find = importlib.util.find_spec
    hidden = lambda name, *more: None if name == "onnxruntime" else find(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    artifact = frozen_doubling(tmp_path / "m.pb")
    convert = fh.to_onnx()
    convert(artifact), convert(artifact)
    assert [line for line in warnings_logged if "not tried" in line] == warnings_logged
    assert len(warnings_logged) == 1
    fh.to_onnx(verify=False)
    assert len(warnings_logged) == 1


def test_a_model_that_takes_no_feeds_made_up_is_published_with_a_warning(tmp_path, warnings_logged):
    @tf.function(input_signature=[tf.TensorSpec([None, None], name="x")])
    def picky(x):
        return {"y": tf.reshape(x, [-1, 7]) * 2}

    artifact = fh.freeze_function(picky, str(tmp_path / "picky.pb"))
    fh.to_onnx()(artifact)
    (said,) = warnings_logged
    assert "was not tried" in said and "verify=" in said
    x = RNG.randn(2, 7).astype(np.float32)
    fh.to_onnx(verify={"x": x})(artifact)
    assert len(warnings_logged) == 1
    with pytest.raises(fh.UnknownNameError, match="'z', which is not an input"):
        fh.to_onnx(verify={"z": x})(artifact)
    with pytest.raises(fh.FreezeError, match="verify= must be"):
        fh.to_onnx(verify="yes")


def test_random_answers_are_not_compared(tmp_path, warnings_logged):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def noisy(x):
        return {"y": x + tf.random.normal(tf.shape(x)), "z": x * 2}

    fh.to_onnx()(fh.freeze_function(noisy, str(tmp_path / "noisy.pb")))
    assert not [line for line in warnings_logged if "onnx" in line]


def test_what_is_left_over_is_named_with_its_node_and_a_way_out(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 3], name="x")])
    def decomposed(x):
        with tf.name_scope("head"):
            return {"y": tf.linalg.qr(x * 2)[1]}

    artifact = fh.freeze_function(decomposed, str(tmp_path / "qr.pb"))
    with pytest.raises(fh.ConversionError) as caught:
        fh.to_onnx()(artifact)
    said = str(caught.value)
    assert "it does not support Qr" in said and "head/Qr" in said and "head/mul" in said
