"""NaN and infinity in variables: a warning, an error or nothing, for all sources of values."""

import os

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, classifier, fit, keras_of
from frozen_files import constants

import freeze_hooks as fh

v1 = tf.compat.v1
KINDS = {"NaN": np.nan, "infinity": np.inf, "negative": -np.inf}


def build(value, dtype="float32", size=6):
    """Build a net with a variable that holds the value once, as its last element."""
    content = np.ones(size, np.float32)
    content[-1] = value
    x = v1.placeholder(dtype, [None], "x")
    odd = v1.get_variable("odd", initializer=tf.cast(content, dtype))
    good = v1.get_variable("good", initializer=tf.ones([size], dtype))
    tf.identity(x[:1] * odd + good, name="y")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_and_dtype(kind, dtype, graph, tmp_path, warnings_logged):
    build(KINDS[kind], dtype)
    path = str(tmp_path / "m.pb")
    said = rf"variable 'odd' holds {'infinity' if kind == 'negative' else kind}"
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(fh.NotFiniteError, match=said):
            fh.freeze_session(session, path, ["y"], check_numerics="raise")
        assert os.listdir(str(tmp_path)) == [] == warnings_logged
        fh.freeze_session(session, path, ["y"], check_numerics="off")
        assert warnings_logged == []
        fh.freeze_session(session, path, ["y"])
    (warned,) = warnings_logged
    assert said in warned and path in warned
    assert not np.isfinite(constants(path)["odd"].astype(np.complex64)).all()


@pytest.mark.parametrize("size", [6, 5_000_000])
def test_what_is_finite_is_let_through(size, graph, tmp_path, warnings_logged):
    """The largest numbers pass too, although their sum would be infinite."""
    greatest = np.finfo(np.float32).max
    tf.identity(v1.get_variable("w", initializer=tf.fill([size], greatest)) * 1.0, name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, str(tmp_path / "m.pb"), ["y"], check_numerics="raise")
    assert warnings_logged == []


def test_large_variables_and_files_that_are_optimized(graph, tmp_path):
    build(np.nan, size=5_000_000)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for more in ({}, {"optimize": True}, {"weights": "bfloat16"}):
            with pytest.raises(fh.NotFiniteError, match="'odd' holds NaN"):
                fh.freeze_session(
                    session, str(tmp_path / "m.pb"), ["y"], check_numerics="raise", **more
                )
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(fh.NotFiniteError, match="'odd' holds NaN"):
        fh.freeze_checkpoint(prefix, str(tmp_path / "m.pb"), ["y"], check_numerics="raise")
    assert not (tmp_path / "m.pb").exists()


@pytest.mark.parametrize("check_numerics", ["warn", "raise"])
def test_training_that_comes_to_nan(check_numerics, graph, tmp_path, warnings_logged):
    """Training continues with "warn" and stops with "raise"; earlier files stay."""
    build(1.0)
    step = v1.train.get_or_create_global_step()
    (odd,) = [v for v in v1.trainable_variables() if v.op.name == "odd"]
    with tf.control_dependencies([v1.assign_add(step, 1)]):
        train = v1.assign(odd, odd * tf.where(step < 3, 1.0, np.nan))
    hook = fh.FreezeHook(outputs=["y"], check_numerics=check_numerics)

    def go():
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path),
            save_checkpoint_steps=1,
            save_summaries_steps=None,
            hooks=[hook],
        ) as session:
            for _ in range(4):
                session.run(train)

    if check_numerics == "raise":
        with pytest.raises(fh.NotFiniteError, match="'odd' holds NaN"):
            go()
    else:
        go()
        assert any("'odd' holds NaN" in warned for warned in warnings_logged)
    last = 2 if check_numerics == "raise" else 4
    assert [artifact.step for artifact in hook.artifacts] == list(range(last + 1))


@pytest.mark.parametrize("kind", KERASES)
@pytest.mark.parametrize("background", [False, True])
def test_keras(kind, background, tmp_path):
    model = classifier(keras_of(kind))
    weights = model.get_weights()
    weights[0][-1, -1] = np.inf
    model.set_weights(weights)
    path = str(tmp_path / "m.pb")
    callback = fh.FreezeCallback(path, save_on_background=background, check_numerics="raise")
    with pytest.raises(fh.NotFiniteError, match=r"hidden.*/kernel' holds"):
        fit(model, callbacks=[callback], epochs=3)
    assert not os.path.exists(path)


def test_what_is_wrong():
    with pytest.raises(fh.FreezeError, match="check_numerics= is one of"):
        fh.FreezeHook(outputs=["y"], check_numerics="warning")
