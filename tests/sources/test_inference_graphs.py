"""Freezing a separate inference graph, and averages instead of variables."""

import os

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from small import FEEDS, X, Y, assert_bit_equal, build, network, saved_steps

import freeze_hooks as fh

v1 = tf.compat.v1


def inference():
    """Return inputs and outputs of the classifier without dropout, with the same variable names."""
    x = v1.placeholder(tf.float32, [None, 8], "image")
    with v1.variable_scope("net"):
        logits = network(x)
    return {"image": x}, {"probs": tf.nn.softmax(logits), "logits": logits}


def train(directory, hooks, build=build, steps=15):
    train_op = build()
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory),
        save_checkpoint_steps=10,
        hooks=hooks,
        save_summaries_steps=None,
    ) as session:
        for _ in range(steps):
            session.run(train_op, FEEDS)


def test_inference_fn(graph, clean, tmp_path):
    before = []
    hook = fh.FreezeHook(inference_fn=lambda: before.append(1) or inference())
    train(tmp_path, [hook])
    assert before == [1]
    path = hook.artifacts[-1].path
    assert_bit_equal(path, path[: -len(".pb")])
    reader = v1.train.NewCheckpointReader(path[: -len(".pb")])
    h = np.maximum(X.dot(reader.get_tensor("net/w")), 0)
    expected = h.dot(reader.get_tensor("net/v"))
    _, logits = clean.run(path, {"image:0": X}, ["probs:0", "logits:0"])
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert [i.name for i in hook.artifacts[-1].signature.inputs] == ["image"]
    assert [o.name for o in hook.artifacts[-1].signature.outputs] == ["probs", "logits"]


def test_outputs_may_name_what_inference_fn_builds(graph, tmp_path):
    def build_named():
        tf.nn.softmax(inference()[1]["logits"], name="answer")

    hook = fh.FreezeHook(["answer"], inference_fn=build_named)
    train(tmp_path, [hook])
    assert [o.name for o in hook.artifacts[-1].signature.outputs] == ["answer"]


def test_variable_map(graph, tmp_path):
    def other_names():
        x = v1.placeholder(tf.float32, [None, 8], "x")
        with v1.variable_scope("served"):
            return {"x": x}, {"logits": network(x)}

    hooks = [
        fh.FreezeHook(
            inference_fn=other_names, variable_map=lambda n: n.replace("served", "net"), name="a"
        ),
        fh.FreezeHook(
            inference_fn=other_names,
            variable_map={"served/w": "net/w", "served/v": "net/v"},
            name="b",
        ),
    ]
    train(tmp_path, hooks)
    for hook in hooks:
        path = hook.artifacts[-1].path
        reader = v1.train.NewCheckpointReader(path[: -len(".a.pb")])
        frozen = constants(path)
        for name in ("w", "v"):
            saved = reader.get_tensor("net/" + name)
            assert frozen["served/" + name].tobytes() == saved.tobytes()


def started(hook):
    build()
    hook.begin()


def test_a_missing_variable_is_an_error_before_training(graph):
    def misspelt():
        with v1.variable_scope("nett"):
            return {}, {"y": network(v1.placeholder(tf.float32, [None, 8], "x"))}

    with pytest.raises(fh.UnknownNameError, match=r"'nett/w'.*'net/w'.*variable_map="):
        started(fh.FreezeHook(inference_fn=misspelt))


def test_a_variable_of_another_shape_is_an_error_before_training(graph):
    def other_shape():
        with v1.variable_scope("net"):
            return {}, {"y": tf.identity(v1.get_variable("w", [8, 7]))}

    with pytest.raises(fh.FreezeError, match=r"\(8, 7\).*\(8, 6\)"):
        started(fh.FreezeHook(inference_fn=other_shape))


def test_inference_fn_without_outputs_is_an_error(graph):
    with pytest.raises(fh.FreezeError, match=r"\(inputs, outputs\)"):
        started(fh.FreezeHook(inference_fn=lambda: None))


def averaged(only=None):
    """Return a function that builds the classifier with averages of all variables, or of one."""

    def build_averaged():
        train_op = build()
        variables = [v for v in v1.trainable_variables() if only in (None, v.op.name)]
        with tf.control_dependencies([train_op]):
            return EMAS[-1].apply(variables)

    EMAS.append(tf.train.ExponentialMovingAverage(0.5))
    return build_averaged


EMAS = []


@pytest.mark.parametrize("only", [None, "net/w"], ids=["all", "some"])
@pytest.mark.parametrize("kind", ["object", "function"])
def test_moving_averages(kind, only, graph, tmp_path):
    make = averaged(only)
    ema = EMAS[-1] if kind == "object" else lambda name: name + "/ExponentialMovingAverage"
    hooks = [
        fh.FreezeHook(inference_fn=inference),
        fh.FreezeHook(inference_fn=inference, ema=ema, name="ema"),
    ]
    train(tmp_path, hooks, make)
    step = saved_steps(tmp_path)[-1]
    prefix = os.path.join(str(tmp_path), f"model.ckpt-{step}")
    reader = v1.train.NewCheckpointReader(prefix)
    raw, smooth = constants(prefix + ".pb"), constants(prefix + ".ema.pb")
    for name in ("net/w", "net/v"):
        assert raw[name].tobytes() == reader.get_tensor(name).tobytes()
        has = only in (None, name)
        source = name + "/ExponentialMovingAverage" if has else name
        assert smooth[name].tobytes() == reader.get_tensor(source).tobytes()
        assert (smooth[name].tobytes() != raw[name].tobytes()) == has


def test_averages_without_apply_are_an_error(graph):
    ema = tf.train.ExponentialMovingAverage(0.9)
    with pytest.raises(fh.FreezeError, match=r"apply\(\)"):
        started(fh.FreezeHook(["probs"], bind={"net/is_training:0": False}, ema=ema))


def test_freeze_session_takes_an_inference_graph_too(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        artifact = fh.freeze_session(session, str(tmp_path / "a.pb"), inference_fn=inference)
    with fh.load_frozen(artifact.path) as model:
        assert model(image=X)["probs"].shape == (len(Y), 3)


def fixed_batch(op):
    """Return the output of a graph over a pipeline whose batches have a static size of 16."""
    data = tf.data.Dataset.from_tensor_slices(X).repeat().batch(16, drop_remainder=True)
    x = v1.data.make_one_shot_iterator(data).get_next()
    assert x.shape.as_list() == [16, 8]
    w = v1.get_variable("w", [8, 4], initializer=v1.ones_initializer())
    return tf.identity(op(tf.matmul(x, w)), name="y")


def test_the_batch_size_of_the_pipeline_does_not_bind_the_file(graph, tmp_path):
    fixed_batch(tf.nn.relu)
    arguments = {"outputs": ["y"], "inputs": {"x": "IteratorGetNext"}}
    report = fh.check(graph, **arguments)
    assert report.findings == ()
    assert report.signature.inputs[0].shape == (None, 8)
    assert report.signature.outputs[0].shape == (None, 4)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = fh.freeze_session(session, str(tmp_path / "a.pb"), **arguments).path
    with fh.load_frozen(path) as model:
        assert model(x=X[:3])["y"].shape == (3, 4)


@pytest.mark.parametrize(
    "op",
    [
        lambda x: tf.reshape(x, [16, 2, 2]),
        lambda x: x + tf.zeros([16, 4]),
        lambda x: x + tf.broadcast_to(tf.reduce_sum(x), [16, 4]),
    ],
    ids=["reshape", "state", "broadcast"],
)
def test_a_batch_size_baked_into_the_graph_is_reported(op, graph):
    fixed_batch(op)
    report = fh.check(graph, ["y"], inputs={"x": "IteratorGetNext"})
    assert [f.kind for f in report.findings] == ["batch"]
    assert "batch size" in str(report.findings[0])
