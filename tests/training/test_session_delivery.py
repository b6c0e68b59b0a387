"""A session's values are read between two steps, and written while training goes on."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from small import FEEDS, FREEZE, assert_bit_equal, assert_each_checkpoint_has_its_file, build
from threads import assert_none_left

import freeze_hooks as fh

v1 = tf.compat.v1
ROWS = 5 << 20  # 20 MiB, which is read in slices


def counter(resource):
    """Return a train op that keeps all elements of a table equal to the number of steps."""
    step = v1.train.get_or_create_global_step()
    with v1.variable_scope("", use_resource=resource):
        table = v1.get_variable("table", [ROWS], initializer=v1.zeros_initializer())
        small = v1.get_variable("small", [3], initializer=v1.zeros_initializer())
    tf.identity(table[0] + small, name="out")
    one = [v1.assign_add(variable, tf.ones_like(variable)) for variable in (table, small)]
    with tf.control_dependencies([update.op for update in one]):
        return v1.assign_add(step, 1)


@pytest.mark.parametrize("resource", [True, False])
def test_a_file_holds_the_values_of_its_step(resource, graph, tmp_path):
    """The variables may change several times before the file is written."""
    train_op = counter(resource)
    hook = fh.FreezeHook(
        ["out"], output_dir=str(tmp_path), save_steps=4, save_on_background=True, strict=True
    )
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        for _ in range(14):
            session.run(train_op)
    assert [artifact.step for artifact in hook.artifacts] == [1, 5, 9, 13, 14]
    for artifact in hook.artifacts:
        found = constants(artifact.path)
        assert np.all(found["table"] == artifact.step) and np.all(found["small"] == artifact.step)
        assert fh.inspect(artifact.path).metadata["step"] == artifact.step


@pytest.mark.parametrize("resource", [True, False])
def test_beside_every_checkpoint(resource, graph, tmp_path):
    train_op = build(resource)
    hook = fh.FreezeHook(save_on_background=True, strict=True, verify=True, **FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=10, hooks=[hook]
    ) as session:
        for _ in range(35):
            session.run(train_op, FEEDS)
    # CheckpointSaverHook's last save and its file are complete once the session is closed
    assert_each_checkpoint_has_its_file(tmp_path)
    assert all(artifact.max_difference <= 1e-6 for artifact in hook.artifacts)


def test_a_saver(graph, tmp_path):
    train_op = build()
    saver = fh.FreezingSaver(save_on_background=True, strict=True, max_to_keep=3, **FREEZE)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for step in range(1, 8):
            session.run(train_op, FEEDS)
            saver.save(session, str(tmp_path / "model.ckpt"), global_step=step)
    assert len(saver.artifacts) == 3  # artifacts waits for the last
    assert_each_checkpoint_has_its_file(tmp_path)


def test_only_the_best(graph, tmp_path):
    losses = iter([5, 4, 1, 2, 3, 0.5, 4])
    hook = fh.FreezeHook(
        save_on_background=True,
        save_best_only=True,
        evaluate=lambda session, step: {"loss": next(losses)},
        monitor="loss",
        **FREEZE,
    )
    train_op = build()
    saver = v1.train.Saver(max_to_keep=0)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        save_checkpoint_steps=10,
        hooks=[hook],
        scaffold=v1.train.Scaffold(saver=saver),
    ) as session:
        for _ in range(60):
            session.run(train_op, FEEDS)
    (artifact,) = hook.artifacts
    assert artifact.metrics == {"loss": 0.5}
    assert [n for n in os.listdir(str(tmp_path)) if n.endswith(".pb")] == ["best.pb"]
    assert_bit_equal(tmp_path / "best.pb", tmp_path / f"model.ckpt-{artifact.step}")


def test_latest_is_the_newest(graph, tmp_path):
    train_op = build()
    directory = str(tmp_path)
    hook = fh.FreezeHook(
        output_dir=directory, save_steps=2, latest=True, save_on_background=True, **FREEZE
    )
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        for _ in range(6):
            session.run(train_op, FEEDS)
    latest = os.path.join(directory, "latest.pb")
    assert fh.inspect(latest).metadata["step"] == 6


def test_training_ends_early_by_an_error(graph, tmp_path):
    """end() is not called then, but values that were read are still written."""
    train_op = counter(True)
    hook = fh.FreezeHook(["out"], output_dir=str(tmp_path), save_steps=2, save_on_background=True)
    training = v1.train.SingularMonitoredSession(hooks=[hook])
    with pytest.raises(ZeroDivisionError), training as session:
        for _ in range(4):
            session.run(train_op)
        raise ZeroDivisionError
    assert [artifact.step for artifact in hook.artifacts] == [1, 3]


def test_strict_raises_what_the_thread_meets(graph, tmp_path):
    train_op = build()
    directory = tmp_path / "files"
    hook = fh.FreezeHook(
        output_dir=str(directory), save_steps=1, save_on_background=True, strict=True, **FREEZE
    )
    training = v1.train.SingularMonitoredSession(hooks=[hook])
    failure = pytest.raises(fh.FreezeError, match="cannot write a frozen file")
    with failure, training as session:
        session.run(train_op, FEEDS)
        hook.artifacts  # noqa: B018  waits for the first
        shutil.rmtree(str(directory))
        directory.write_text("in its place")
        for _ in range(3):
            session.run(train_op, FEEDS)


def test_no_thread_stays(graph, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(output_dir=str(tmp_path), save_steps=1, save_on_background=True, **FREEZE)
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        for _ in range(3):
            session.run(train_op, FEEDS)
    assert_none_left("freeze_hooks")
