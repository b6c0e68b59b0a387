"""An output may have the name of an input. On every route, the signature and the answers then have
that name twice, although each node in a file has a unique name."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def check(path, expected, feeds, clean):
    """Assert a file's signature and answers by name, here and in a process of TensorFlow's."""
    signature = fh.inspect(path).signature
    assert sorted(info.name for info in signature.inputs) == sorted(feeds)
    assert sorted(info.name for info in signature.outputs) == sorted(expected)
    fed = {info.tensor: feeds[info.name] for info in signature.inputs}
    outputs = [info.tensor for info in signature.outputs]
    names = [info.name for info in signature.outputs]
    assert len(set(outputs) | set(fed)) == len(outputs) + len(fed)
    with fh.load_frozen(path) as model:
        answers = model(feeds)
        assert list(answers) == list(model.outputs) == names
    for name, elsewhere in zip(names, clean.run(path, fed, outputs)):
        np.testing.assert_array_equal(answers[name], expected[name])
        np.testing.assert_array_equal(elsewhere, expected[name])


def graph():
    """Return inputs and outputs that share the names x and x_1, so that x_1 is not free."""
    x, other = v1.placeholder(tf.float32, [None, 3], "a"), v1.placeholder(tf.float32, [], "b")
    y = tf.matmul(x, v1.get_variable("w", [3, 3])) + other
    return {"x": x, "x_1": other}, {"x": y, "x_1": y * 2.0, "y": y * 3.0}


FEEDS = {"x": X, "x_1": np.float32(5)}
FEED_ONCE = {"a:0": X, "b:0": np.float32(5)}


def test_session_hook_and_checkpoint(tmp_path, clean):
    with tf.Graph().as_default():
        inputs, outputs = graph()
        saver = v1.train.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            expected = session.run(outputs, FEED_ONCE)
            fh.freeze_session(session, str(tmp_path / "s.pb"), outputs, inputs=inputs, verify=True)
            prefix = saver.save(session, str(tmp_path / "model.ckpt"))
    check(tmp_path / "s.pb", expected, FEEDS, clean)
    named = ({key: end.name for key, end in ends.items()} for ends in (inputs, outputs))
    inputs, outputs = named
    fh.freeze_checkpoint(prefix, str(tmp_path / "c.pb"), outputs, inputs=inputs)
    check(tmp_path / "c.pb", expected, FEEDS, clean)
    with tf.Graph().as_default():
        _, ends = graph()
        v1.train.get_or_create_global_step()
        hook = fh.FreezeHook(
            outputs, inputs=inputs, output_dir=str(tmp_path), save_steps=1, verify=True
        )
        with v1.train.MonitoredSession(hooks=[hook]) as session:
            expected = session.run(ends, FEED_ONCE)
    check(hook.artifacts[-1].path, expected, FEEDS, clean)


def test_inference_fn(tmp_path, clean):
    with tf.Graph().as_default(), v1.Session() as session:
        _, outputs = graph()
        session.run(v1.global_variables_initializer())
        expected = session.run(outputs, FEED_ONCE)
        fh.freeze_session(session, str(tmp_path / "i.pb"), inference_fn=graph, verify=True)
    check(tmp_path / "i.pb", expected, FEEDS, clean)


def test_saved_model_of_tensorflow_1(tmp_path, clean):
    directory = str(tmp_path / "saved")
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs = graph()
        session.run(v1.global_variables_initializer())
        expected = session.run(outputs, FEED_ONCE)
        v1.saved_model.simple_save(session, directory, inputs, outputs)
    fh.freeze_saved_model(directory, str(tmp_path / "m.pb"))
    check(tmp_path / "m.pb", expected, FEEDS, clean)


@pytest.mark.skipif(TF1, reason="works eagerly")
def test_function_and_saved_model_of_tensorflow_2(tmp_path, clean):
    module = tf.Module()
    module.w = tf.Variable(np.eye(3, dtype=np.float32) * 2)
    specs = [tf.TensorSpec([None, 3], tf.float32, "x"), tf.TensorSpec([], tf.float32, "x_1")]

    @tf.function(input_signature=specs)
    def answers(x, x_1):
        y = tf.matmul(x, module.w) + x_1
        return {"x": y, "x_1": y * 2.0, "y": y * 3.0}

    expected = {key: value.numpy() for key, value in answers(X, FEEDS["x_1"]).items()}
    fh.freeze_function(answers, str(tmp_path / "f.pb"), verify=True)
    check(tmp_path / "f.pb", expected, FEEDS, clean)
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=answers)
    fh.freeze_saved_model(str(tmp_path / "saved"), str(tmp_path / "m.pb"))
    check(tmp_path / "m.pb", expected, FEEDS, clean)
    fh.freeze_saved_model(str(tmp_path / "saved"), str(tmp_path / "b.pb"), bind={"x_1": 5.0})
    check(tmp_path / "b.pb", expected, {"x": X}, clean)


@pytest.mark.parametrize("kind", KERASES)
def test_keras(kind, tmp_path, clean):
    keras = keras_of(kind)
    inputs = {name: keras.Input((3,), name=name) for name in ("x", "b")}
    x = keras.layers.Dense(3, name="hidden")(inputs["x"])
    y = keras.layers.Add(name="sum")([x, inputs["b"]])
    model = keras.Model(inputs, {"x": x, "b": y} if not TF1 else [x, y])
    feeds = {"x": X, "b": -X}
    fh.freeze_keras_model(model, str(tmp_path / "k.pb"), verify=True)
    answers = model.predict(feeds, verbose=0)
    expected = dict(zip(("hidden", "sum"), answers)) if TF1 else answers
    with fh.load_frozen(tmp_path / "k.pb") as found:
        ours = found(feeds)
    assert sorted(ours) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, 1e-6, 1e-6)


@pytest.mark.skipif(
    TF1 or not importlib.util.find_spec("tf2onnx"), reason="tf2onnx is of the extra 'onnx'"
)
def test_onnx_has_a_name_once(tmp_path):
    function = tf.function(lambda x: {"x": x * 2.0, "same": x})
    spec = tf.TensorSpec([None, 3], tf.float32, "x")
    artifact = fh.freeze_function(function, str(tmp_path / "f.pb"), input_signature=[spec])
    runtime = pytest.importorskip("onnxruntime", reason="it is of the extra 'consumers'")
    path = fh.to_onnx()(artifact)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [end.name for end in session.get_inputs()] == ["x"]
    answers = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"x": X})))
    assert set(answers) == {"x_1", "same"}
    np.testing.assert_array_equal(answers["x_1"], 2 * X)
    np.testing.assert_array_equal(answers["same"], X)
