"""A training that ends without a single frozen file says why."""

import os
import sys

import numpy as np
import pytest
import started
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
SAID = "training has ended without a frozen file: "


def train(hooks, steps=4, **session):
    """Train a net in the default graph for some steps."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    y = tf.identity(x @ v1.get_variable("w", [4, 2]), name="y")
    count = v1.train.get_or_create_global_step()
    step = v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(y**2), count)
    hooks = [*hooks, v1.train.StopAtStepHook(steps)]
    with v1.train.MonitoredTrainingSession(
        hooks=hooks, save_summaries_steps=None, save_summaries_secs=None, **session
    ) as running:
        while not running.should_stop():
            running.run(step, {x: np.ones((2, 4))})


def explained(messages):
    return [message.split(SAID)[1] for message in messages if SAID in message]


def test_no_checkpoint(graph, warnings_logged):
    train([fh.FreezeHook(["y"], strict=True)])
    (said,) = explained(warnings_logged)
    assert "checkpoint_dir=" in said and "output_dir=" in said


def test_no_checkpoint_is_asked_for(graph, tmp_path, warnings_logged):
    train(
        [fh.FreezeHook(["y"])],
        checkpoint_dir=str(tmp_path),
        save_checkpoint_secs=None,
        save_checkpoint_steps=None,
    )
    assert "save_checkpoint_steps=" in explained(warnings_logged)[0]


def test_a_schedule_that_never_came(graph, tmp_path, warnings_logged):
    hook = fh.FreezeHook(["y"], output_dir=str(tmp_path), save_secs=1000, save_at_end=False)
    train([hook])
    wrote = hook.artifacts  # a save may be due at the first step already
    assert explained(warnings_logged) == ([] if wrote else [warnings_logged[-1].split(SAID)[1]])


def values_of(hook_arguments, values, tmp_path):
    left = iter(values)
    return fh.FreezeHook(
        ["y"],
        output_dir=str(tmp_path / "files"),
        save_best_only=True,
        evaluate=lambda session, step: {"loss": next(left)},
        monitor="loss",
        **hook_arguments,
    )


@pytest.mark.parametrize(
    "arguments, values, word",
    [({}, [float("nan")] * 9, "all NaN"), ({"threshold": 0.5}, [1.0, 2.0] * 4, "better than 0.5")],
    ids=["nan", "threshold"],
)
def test_nothing_was_good_enough(arguments, values, word, graph, tmp_path, warnings_logged):
    hook = values_of(arguments, values, tmp_path)
    train([hook], checkpoint_dir=str(tmp_path), save_checkpoint_steps=1)
    (said,) = explained(warnings_logged)
    assert word in said and "'loss'" in said
    assert hook.artifacts == ()


def test_every_save_failed(graph, tmp_path, warnings_logged):
    def evaluate(session, step):
        raise ValueError(f"no data at {step}")

    hook = fh.FreezeHook(["y"], evaluate=evaluate)
    with pytest.raises(ValueError, match="no data"):  # before the first step it is an error
        train([hook], checkpoint_dir=str(tmp_path), save_checkpoint_steps=2)

    with tf.Graph().as_default():
        late = fh.FreezeHook(["y"], evaluate=evaluate, output_dir=str(tmp_path), save_steps=2)
        train([late])
    said = explained(warnings_logged)[-1]
    assert "all saves have failed" in said and "no data at 4" in said


def test_other_processes_and_good_trainings_say_nothing(graph, tmp_path, warnings_logged):
    train([fh.FreezeHook(["y"], is_chief=False)])
    with tf.Graph().as_default():
        train([fh.FreezeHook(["y"])], checkpoint_dir=str(tmp_path), save_checkpoint_steps=2)
    assert explained(warnings_logged) == []


SAVER = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf, freeze_hooks as fh
v1 = tf.compat.v1
what = sys.argv[1]
with tf.Graph().as_default(), v1.Session() as session:
    with tf.device("/job:worker" if what == "worker" else None):
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        y = tf.identity(x @ v1.get_variable("w", [4, 2]), name="y")
    saver = fh.FreezingSaver(["y"])
    if what in ("saved", "restored"):
        session.run(v1.global_variables_initializer())
        plain = saver if what == "saved" else v1.train.Saver()
        saver.restore(session, plain.save(session, sys.argv[2] + "/model.ckpt"))
"""


@pytest.mark.parametrize("what", ["never", "saved", "restored", "worker"])
def test_a_saver_says_so_when_the_program_ends(what, tmp_path):
    done = started.run(
        ["-c", SAVER, what, tmp_path],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    said = f"FreezingSaver: {SAID}its save() was never called"
    assert (said in done.stderr) == (what == "never")


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"save_freq": 100}, "save_freq=100"),
        ({"save_best_only": True, "monitor": "loss", "initial_value_threshold": -1.0}, "than -1.0"),
    ],
    ids=["save_freq", "threshold"],
)
def test_keras(arguments, word, tmp_path, warnings_logged):
    keras = tf.keras
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = fh.FreezeCallback(str(tmp_path / "best.pb"), mode="min", **arguments)
    x = np.ones((8, 4), np.float32)
    model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[callback])
    (said,) = explained(warnings_logged)
    assert word in said
    kept = fh.FreezeCallback(str(tmp_path / "kept.pb"))
    model.fit(x, x[:, :1], epochs=1, verbose=0, callbacks=[kept])
    assert len(explained(warnings_logged)) == 1
