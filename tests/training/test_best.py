"""Only the best file is kept, by a metric that is measured when a checkpoint is saved."""

import json
import os
import signal

import pytest
import started
import tensorflow as tf
from places import SUPPORT
from small import FEEDS, FREEZE, assert_bit_equal, build, saved_steps

import freeze_hooks as fh

v1 = tf.compat.v1
NAN = float("nan")


def train(directory, hook, steps=50):
    train_op = build()
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory),
        save_checkpoint_steps=10,
        hooks=[hook],
        save_summaries_steps=None,
        scaffold=v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=0)),
    ) as session:
        for _ in range(steps):
            session.run(train_op, FEEDS)


def scripted(values):
    """Return an evaluate= that gives the losses in turn, and a list of the steps of its calls."""
    steps = []

    def evaluate(session, step):
        steps.append(step)
        return {"loss": values[len(steps) - 1], "other": 0.5}

    return evaluate, steps


@pytest.mark.parametrize(
    "losses, mode, threshold, best",
    [
        ([5, 4, 3, 2, 1, 0.5], "min", None, -1),
        ([5, 4, 1, 2, 3, 4], "min", None, 2),
        ([5, 4, 1, 2, 3, 4], "max", None, 0),
        ([NAN, 4, NAN, 5, NAN, NAN], "min", None, 1),
        ([NAN, 4, NAN, 5, NAN, NAN], "max", None, 3),
        ([5, 4, 3, 2, 2, 2], "min", 2.5, 3),
        ([float("inf"), 9, 9, 9, 9, 9], "min", None, 1),
    ],
)
def test_best_only(losses, mode, threshold, best, graph, tmp_path):
    evaluate, steps = scripted(losses)
    hook = fh.FreezeHook(
        save_best_only=True,
        evaluate=evaluate,
        monitor="loss",
        mode=mode,
        threshold=threshold,
        **FREEZE,
    )
    train(tmp_path, hook)
    assert steps == saved_steps(tmp_path)
    assert [n for n in os.listdir(str(tmp_path)) if n.endswith(".pb")] == ["best.pb"]
    assert_bit_equal(tmp_path / "best.pb", tmp_path / f"model.ckpt-{steps[best]}")
    metadata = fh.inspect(str(tmp_path / "best.pb")).metadata
    assert metadata["step"] == steps[best]
    assert metadata["metrics"] == {"loss": losses[best], "other": 0.5}
    assert hook.artifacts[-1].metrics["loss"] == losses[best]


def test_only_nan_writes_nothing(graph, tmp_path):
    evaluate, _ = scripted([NAN] * 9)
    hook = fh.FreezeHook(save_best_only=True, evaluate=evaluate, monitor="loss", **FREEZE)
    train(tmp_path, hook)
    assert [n for n in os.listdir(str(tmp_path)) if n.endswith(".pb")] == []


def test_metrics_go_into_every_file(graph, tmp_path):
    evaluate, steps = scripted([1.0, NAN, 3.0, 4.0, 5.0, 6.0])
    train(tmp_path, fh.FreezeHook(evaluate=evaluate, **FREEZE))
    found = [
        fh.inspect(str(tmp_path / f"model.ckpt-{step}.pb")).metadata["metrics"]["loss"]
        for step in steps
    ]
    assert found == [1.0, "nan", 3.0, 4.0, 5.0, 6.0]
    described = json.loads((tmp_path / "model.ckpt-10.pb.json").read_text())
    assert described["metrics"]["loss"] == "nan"


def test_evaluate_runs_the_live_session(graph, tmp_path):
    seen = []

    def evaluate(session, step):
        loss = session.run("loss:0", dict(FEEDS, **{"net/is_training:0": False}))
        seen.append(float(loss))
        return {"loss": loss}

    hook = fh.FreezeHook(save_best_only=True, evaluate=evaluate, monitor="loss", **FREEZE)
    train(tmp_path, hook, steps=100)
    assert len(seen) == 11
    assert fh.inspect(str(tmp_path / "best.pb")).metadata["metrics"]["loss"] == min(seen)


def test_a_metric_that_is_not_there_is_an_error_before_the_first_step(graph, tmp_path):
    hook = fh.FreezeHook(
        save_best_only=True, evaluate=lambda s, i: {"val_loss": 1.0}, monitor="los", **FREEZE
    )
    with pytest.raises(fh.UnknownNameError, match=r"'los'.*'val_loss'"):
        train(tmp_path, hook)


PROGRAM = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import tensorflow as tf, freeze_hooks as fh
from small import FEEDS, FREEZE, build
v1 = tf.compat.v1
context = tf.Graph().as_default()
context.__enter__()
losses = {losses!r}

def evaluate(session, step):
    return {{"loss": losses[step // 10] if step % 10 == 0 else 9.0}}

hook = fh.FreezeHook(save_best_only=True, evaluate=evaluate, monitor="loss", **FREEZE)
train_op = build()
with v1.train.MonitoredTrainingSession(
    checkpoint_dir={directory!r}, save_checkpoint_steps=10, hooks=[hook], save_summaries_steps=None
) as session:
    for i in range(25):
        session.run(train_op, FEEDS)
    if {kill}:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run_program(directory, losses, kill):
    script = PROGRAM.format(
        tests=SUPPORT,
        losses=losses,
        directory=str(directory),
        kill=kill,
    )
    return started.run(["-c", script], fails=kill).returncode


def best_loss(directory):
    return fh.inspect(str(directory / "best.pb")).metadata["metrics"]["loss"]


def test_the_best_value_survives_a_kill_and_a_fresh_run_starts_anew(tmp_path):
    assert run_program(tmp_path, [5.0, 1.0, 3.0], True) == -signal.SIGKILL
    assert best_loss(tmp_path) == 1.0
    # goes on from the last checkpoint; 2.0 is worse than what the killed run reached
    assert run_program(tmp_path, [9.0, 9.0, 2.0, 2.0, 2.0, 2.0], False) == 0
    assert best_loss(tmp_path) == 1.0
    for name in os.listdir(str(tmp_path)):
        if name == "checkpoint" or name.startswith("model.ckpt"):
            os.unlink(str(tmp_path / name))
    assert run_program(tmp_path, [7.0, 6.0, 8.0], False) == 0
    assert best_loss(tmp_path) == 6.0
