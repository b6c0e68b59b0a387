"""Sessions beyond tutorials: odd global steps, many directories, odd names."""

import os
import queue

import numpy as np
import pytest
import tensorflow as tf
from small import FEEDS, FREEZE, build, frozen_steps, saved_steps

import freeze_hooks as fh
from freeze_hooks.storage import listing

v1 = tf.compat.v1


def by_hand(kind):
    """Return a net's weight and its global step, which can only be found by its name."""
    x = v1.placeholder(tf.float32, [None, 2], "x")
    w = v1.get_variable("w", [2, 2], use_resource=True)
    tf.matmul(x, w, name="y")
    with v1.variable_scope("", use_resource=kind != "ref"):
        dtype = tf.float32 if kind == "float" else tf.int64
        step = v1.get_variable("global_step", [], dtype, v1.zeros_initializer(), trainable=False)
    return w, step


@pytest.mark.parametrize("kind", ["resource", "ref", "float"])
def test_a_global_step_by_hand(kind, graph, tmp_path):
    """The step is in no collection of TensorFlow's; a float variable does not count as a step."""
    w, step = by_hand(kind)
    saver = fh.FreezingSaver(["y"])
    with v1.Session() as session:
        session.run([w.initializer, v1.assign(step, 7)])
        saver.save(session, str(tmp_path / "model.ckpt"))
    (artifact,) = saver.artifacts
    assert artifact.step == (None if kind == "float" else 7)


def test_a_step_that_is_not_there_yet(graph, tmp_path):
    w, _ = by_hand("ref")
    saver = fh.FreezingSaver(["y"], var_list=[w])
    with v1.Session() as session:
        session.run(w.initializer)
        saver.save(session, str(tmp_path / "model.ckpt"))
    assert [a.step for a in saver.artifacts] == [None]


def test_a_schedule_by_a_step_of_ones_own(graph, tmp_path):
    _, step = by_hand("resource")
    train = v1.assign_add(step, 1)
    hook = fh.FreezeHook(["y"], output_dir=str(tmp_path), save_steps=2)
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        for _ in range(4):
            session.run(train)
    assert [a.step for a in hook.artifacts][-1] == 4


@pytest.mark.parametrize("hooked", [False, True])
def test_a_name_that_ends_in_a_number(hooked, graph, tmp_path):
    """The number is a step only if Saver.save was given one."""
    train_op = build()
    if hooked:
        saver, hook = v1.train.Saver(), fh.FreezeHook(**FREEZE)
        hook.begin()
    else:
        saver = hook = fh.FreezingSaver(**FREEZE)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run([train_op] * 3, FEEDS)
        step = session.run(v1.train.get_global_step())
        saver.save(session, str(tmp_path / "resnet-50"))
        saver.save(session, str(tmp_path / "resnet-50"), global_step=9)
        saver.save(session, str(tmp_path / "resnet-50"), None)
    named = [(os.path.basename(a.path), a.step) for a in hook.artifacts]
    assert named == [("resnet-50-9.pb", 9), ("resnet-50.pb", step)]


def test_a_fresh_training_where_an_older_one_left_its_best(graph, tmp_path):
    """On a schedule, even a fresh training makes its first save at a step over 0."""
    train_op, scores = build(), iter([0.9, 0.9, 0.5, 0.6, 0.4])
    options = {
        "output_dir": str(tmp_path),
        "save_steps": 1,
        "save_at_end": False,
        "save_best_only": True,
        "evaluate": lambda session, step: {"acc": next(scores)},
        "monitor": "acc",
        "mode": "max",
    }
    found = []
    for steps in (2, 2):
        hook = fh.FreezeHook(**FREEZE, **options)
        with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
            for _ in range(steps):
                session.run(train_op, FEEDS)
        found.append([a.metrics["acc"] for a in hook.artifacts])
    assert found == [[0.9], [0.6]]


def test_a_schedule_leaves_the_files_of_checkpoints_alone(graph, tmp_path):
    """One hook keeps its newest five files; the other keeps the files of the checkpoints."""
    train_op = build()
    scheduled = fh.FreezeHook(**FREEZE, output_dir=str(tmp_path), save_steps=1)
    beside = fh.FreezeHook(**FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=4, hooks=[scheduled, beside]
    ) as session:
        for _ in range(14):
            session.run(train_op, FEEDS)
    assert frozen_steps(tmp_path) == saved_steps(tmp_path)
    assert len([n for n in os.listdir(str(tmp_path)) if n.startswith("model-")]) == 10  # and .json
    assert all(os.path.exists(a.path) for a in scheduled.artifacts + beside.artifacts)


def test_many_directories(graph, tmp_path):
    """An open file claims each directory, and only a few of these files are open at once."""
    build()
    saver = fh.FreezingSaver(**FREEZE)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for i in range(40):
            (tmp_path / str(i)).mkdir()
            saver.save(session, str(tmp_path / str(i) / "model.ckpt"))
        held = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
        into = [os.path.realpath("/proc/self/fd/" + name) for name in held]
    assert len(saver.artifacts) == 40
    assert len([path for path in into if path.startswith(str(tmp_path))]) <= 8


def test_the_other_name_comes_first(graph, tmp_path):
    """When on_publish= gets a file, latest.pb is already that file."""
    train_op, told = build(), queue.Queue()

    def tell(artifact):
        told.put((artifact.step, fh.inspect(str(tmp_path / "latest.pb")).metadata["step"]))

    saver = fh.FreezingSaver(**FREEZE, latest=True, on_publish=tell)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for step in range(3):
            session.run(train_op, FEEDS)
            saver.save(session, str(tmp_path / "model.ckpt"), global_step=step)
            assert told.get(timeout=60) == (step, step)


def test_another_name_that_cannot_be_made(graph, tmp_path, warnings_logged):
    """The file is still written, and on_publish= still gets it."""
    build()
    (tmp_path / "latest.pb" / "in the way").mkdir(parents=True)
    told = queue.Queue()
    saver = fh.FreezingSaver(**FREEZE, latest=True, on_publish=told.put)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for step in range(3):
            saver.save(session, str(tmp_path / "model.ckpt"), global_step=step)
            assert told.get(timeout=60).step == step
    assert frozen_steps(tmp_path) == [0, 1, 2]
    (warning,) = warnings_logged
    assert "no other name of the frozen file" in warning and "latest=" in warning


def test_what_fails_in_the_background_is_said_at_once(graph, tmp_path, warnings_logged):
    """strict=True would raise it only at the next save, and there may be none."""
    build()
    saver = fh.FreezingSaver(**FREEZE, check_numerics="raise", save_on_background=True)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(v1.assign(v1.trainable_variables()[0], np.full([8, 6], np.nan)))
        saver.save(session, str(tmp_path / "model.ckpt"))
    assert saver.artifacts == ()
    assert any("nan" in message.lower() for message in warnings_logged)


def test_a_checkpoint_that_cannot_be_looked_for(graph, tmp_path, monkeypatch):
    """Its file stays, and new files are still written and given to on_publish=."""
    build()
    told = queue.Queue()
    saver = fh.FreezingSaver(**FREEZE, on_publish=told.put)

    def unreachable(prefix):
        raise OSError("no network")

    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        saver.save(session, str(tmp_path / "model.ckpt"), global_step=1)
        monkeypatch.setattr(listing, "checkpoint_exists", unreachable)
        saver.save(session, str(tmp_path / "model.ckpt"), global_step=2)
    assert [told.get(timeout=60).step for _ in range(2)] == [1, 2]
    assert frozen_steps(tmp_path) == [1, 2]


def test_exceptions_without_a_text(graph, tmp_path, warnings_logged):
    build()

    def evaluate(session, step):
        raise MemoryError

    saver = fh.FreezingSaver(**FREEZE, evaluate=evaluate)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        saver.save(session, str(tmp_path / "model.ckpt"))
    assert "MemoryError" in warnings_logged[0]
