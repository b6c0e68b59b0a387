"""weights=: floating variables stored in half the bytes or less."""

import os

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import constants
from small import FEEDS, FREEZE, X, build

import freeze_hooks as fh

v1 = tf.compat.v1
SMALL = ["float16", "bfloat16"]


def rounded(values, weights):
    """Return the values as they are after they were stored in the dtype `weights`."""
    small = tf.as_dtype(weights).as_numpy_dtype
    return [
        v.astype(small).astype(v.dtype) if v.dtype in (np.float32, np.float64) else v
        for v in values
    ]


def live_on_rounded(session, weights, output, feeds):
    """Return the live net's answer while its variables hold the rounded values."""
    variables = v1.global_variables()
    before = session.run(variables)
    for variable, value in zip(variables, rounded(before, weights)):
        variable.load(value, session)
    answer = session.run(output, feeds)
    for variable, value in zip(variables, before):
        variable.load(value, session)
    return answer


@pytest.mark.parametrize("weights", SMALL)
@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_a_trained_net(resource, weights, graph, clean, tmp_path):
    """The file answers as the live net would with the rounded values, bit for bit."""
    train_op = build(resource)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for _ in range(5):
            session.run(train_op, FEEDS)
        path = str(tmp_path / "a.pb")
        fh.freeze_session(session, path, weights=weights, **FREEZE)
        feeds = {"net/x:0": X, "net/is_training:0": False}
        want = live_on_rounded(session, weights, "probs:0", feeds)
        w = session.run(next(v for v in v1.global_variables() if v.op.name == "net/w"))
    (got,) = clean.run(path, {"net/x:0": X}, ["probs:0"], optimize=False)
    np.testing.assert_array_equal(got, want)
    held = constants(path)["net/w/" + weights]
    assert held.dtype.itemsize == 2
    np.testing.assert_array_equal(held.astype(np.float32), rounded([w], weights)[0])
    assert fh.inspect(path).weight_bytes < 2 * (8 * 6 + 6 * 3) + 64


def rnn(x):
    """Return the result of a loop that starts from a lookup and reads a variable in its body."""
    table = v1.get_variable("table", [50, 4])
    w = v1.get_variable("w", [4, 4], tf.float64)
    ids = tf.cast(tf.abs(x) * 10, tf.int32)[:, 0]
    start = tf.cast(tf.gather(table, ids), tf.float64)
    return v1.while_loop(lambda i, h: i < 3, lambda i, h: [i + 1, tf.tanh(h @ w)], [0, start])[1]


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("v2", [False, True], ids=["v1", "v2"])
def test_lookups_and_loops(v2, lower, graph, clean, tmp_path):
    with control_flow(v2), v1.variable_scope("net", use_resource=v2):
        x = v1.placeholder(tf.float32, [None, 8], "x")
        counts = v1.get_variable("counts", initializer=tf.range(4))
        tf.add(rnn(x), tf.cast(counts, tf.float64), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = str(tmp_path / "a.pb")
        how = {"weights": "float16", "lower_control_flow": lower}
        fh.freeze_session(session, path, ["net/y"], **how)
        want = live_on_rounded(session, "float16", "net/y:0", {x: X})
    (got,) = clean.run(path, {"net/x:0": X}, ["net/y:0"], optimize=False)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert constants(path)["net/counts"].dtype == np.int32


def test_in_training(graph, clean, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(weights="bfloat16", **FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=[hook], log_step_count_steps=0
    ) as session:
        for _ in range(4):
            session.run(train_op, FEEDS)
    for artifact in hook.artifacts:
        saved = v1.train.NewCheckpointReader(str(tmp_path / f"model.ckpt-{artifact.step}"))
        for name in ("net/w", "net/v"):
            want = rounded([saved.get_tensor(name)], "bfloat16")[0]
            held = constants(artifact.path)[name + "/bfloat16"].astype(np.float32)
            np.testing.assert_array_equal(held, want)
        path = str(tmp_path / "again.pb")
        prefix = str(tmp_path / f"model.ckpt-{artifact.step}")
        fh.freeze_checkpoint(prefix, path, weights="bfloat16", **FREEZE)
        assert constants(path).keys() == constants(artifact.path).keys()


@pytest.mark.parametrize("value", [7e4, -1e30])
def test_values_beyond_float16(value, graph, clean, tmp_path):
    w = v1.get_variable("w", initializer=np.array([1.0, value, np.nan, np.inf], np.float32))
    tf.multiply(w, 2.0, name="y")
    path = str(tmp_path / "a.pb")
    with v1.Session() as session:
        session.run(w.initializer)
        with pytest.raises(fh.FreezeError, match=r"'w' holds .* beyond float16.*bfloat16"):
            fh.freeze_session(session, path, ["y"], weights="float16")
        assert os.listdir(str(tmp_path)) == []
        fh.freeze_session(session, path, ["y"], weights="bfloat16")
    (got,) = clean.run(path, {}, ["y:0"])
    assert np.isnan(got[2]) and np.isinf(got[3]) and abs(got[1] / value - 2) < 0.01


def test_three_gigabytes_come_under_the_limit(graph):
    w = v1.get_variable("w", [3000, 250000], use_resource=True)
    tf.gather(w, v1.placeholder(tf.int32, [None], "ids"), name="y")
    with pytest.raises(fh.TooLargeError, match="weights="):
        fh.check(graph, ["y"])
    assert 1.5e9 <= fh.check(graph, ["y"], weights="float16").bytes < 1.51e9


def test_other_dtypes_are_refused():
    with pytest.raises(fh.FreezeError, match="weights= is one of"):
        fh.FreezeHook(["y"], weights="int8")


def test_pieces_of_a_large_variable(graph, tmp_path):
    """The variable has more elements than are converted at once."""
    value = np.random.RandomState(0).randn(2100, 1111).astype(np.float32)
    x = v1.placeholder(tf.float32, value.shape)
    w = v1.get_variable("w", initializer=x, validate_shape=False)
    tf.identity(w, name="y")
    with v1.Session() as session:
        session.run(w.initializer, {x: value})
        fh.freeze_session(session, str(tmp_path / "a.pb"), ["y"], weights="float16")
    held = constants(tmp_path / "a.pb")["w/float16"]
    np.testing.assert_array_equal(held, value.astype(np.float16))


def test_an_output_that_is_a_variable(graph, clean, tmp_path):
    w = v1.get_variable("w", [3], use_resource=True)
    path = str(tmp_path / "a.pb")
    with v1.Session() as session:
        session.run(w.initializer)
        made = fh.freeze_session(session, path, ["w"], weights="float16")
        value = session.run(w)
    (end,) = made.signature.outputs
    assert (end.tensor, end.dtype, end.shape) == ("w:0", "float32", (3,))
    (got,) = clean.run(path, {}, ["w:0"])
    np.testing.assert_array_equal(got, rounded([value], "float16")[0])
