"""Every way a training session begins, saves, breaks, recovers and ends."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from small import (
    FEEDS,
    FREEZE,
    assert_bit_equal,
    assert_each_checkpoint_has_its_file,
    build,
    frozen_steps,
    saved_steps,
    steps_of,
)

import freeze_hooks as fh

v1 = tf.compat.v1


def run(session, train_op, steps=25):
    for _ in range(steps):
        if session.should_stop():
            break
        session.run(train_op, FEEDS)


def monitored(directory, hooks, **more):
    more.setdefault("save_checkpoint_steps", 10)
    return v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory), hooks=hooks, save_summaries_steps=None, **more
    )


def test_own_scaffold_and_several_saver_hooks(graph, tmp_path):
    """Two CheckpointSaverHooks with Savers of their own: sharded, another basename."""
    train_op, hook = build(), fh.FreezeHook(**FREEZE)
    sharded = v1.train.Saver(sharded=True, max_to_keep=2)
    hooks = [
        v1.train.CheckpointSaverHook(str(tmp_path / "a"), save_steps=10, saver=sharded),
        hook,
        v1.train.CheckpointSaverHook(
            str(tmp_path / "b"), save_steps=15, saver=v1.train.Saver(), checkpoint_basename="net.x"
        ),
    ]
    with v1.train.SingularMonitoredSession(hooks=hooks) as session:
        run(session, train_op)
    assert frozen_steps(tmp_path / "a") == saved_steps(tmp_path / "a") == [20, 25]
    assert_each_checkpoint_has_its_file(tmp_path / "a")
    found = steps_of(tmp_path / "b", ".pb", r"net\.x-(\d+)")
    assert found == steps_of(tmp_path / "b", ".index", r"net\.x-(\d+)")
    assert_bit_equal(tmp_path / "b" / "net.x-25.pb", tmp_path / "b" / "net.x-25")


def test_a_file_that_went_and_that_somebody_brings_back_stays(graph, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(output_dir=str(tmp_path), save_steps=1, keep=1, strict=True, **FREEZE)
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        run(session, train_op, 1)
        first = hook.artifacts[-1].path
        os.link(first, str(tmp_path / "kept"))
        run(session, train_op, 1)
        assert not os.path.exists(first)
        os.rename(str(tmp_path / "kept"), first)
        run(session, train_op, 2)
    found = sorted(name for name in os.listdir(str(tmp_path)) if name.endswith(".pb"))
    assert found == ["model-1.pb", "model-4.pb"]


def test_stop_at_step(graph, tmp_path):
    train_op = build()
    with monitored(tmp_path, [v1.train.StopAtStepHook(17), fh.FreezeHook(**FREEZE)]) as session:
        run(session, train_op, 100)
    assert_each_checkpoint_has_its_file(tmp_path)
    assert saved_steps(tmp_path)[-1] == 17


def test_request_stop(graph, tmp_path):
    class Stop(v1.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            run_context.request_stop()

    train_op = build()
    with monitored(tmp_path, [Stop(), fh.FreezeHook(**FREEZE)]) as session:
        run(session, train_op)
    assert_each_checkpoint_has_its_file(tmp_path)
    assert saved_steps(tmp_path) == [0, 1]


def test_end_of_the_input(graph, tmp_path):
    train_op = build()
    data = v1.data.make_one_shot_iterator(tf.data.Dataset.range(13)).get_next()
    with monitored(tmp_path, [fh.FreezeHook(**FREEZE)]) as session:
        while not session.should_stop():
            session.run([data, train_op], FEEDS)
    assert_each_checkpoint_has_its_file(tmp_path)
    assert saved_steps(tmp_path)[-1] >= 13


class AbortOnce(v1.train.SessionRunHook):
    """Acts as a preempted worker: raises AbortedError once, when the step reaches `at`."""

    def __init__(self, at):
        self.at = at

    def after_run(self, run_context, run_values):
        step = run_context.session.run(v1.train.get_global_step())
        if self.at is not None and step >= self.at:
            self.at = None
            raise tf.errors.AbortedError(None, None, "preempted")


@pytest.mark.parametrize("place", ["hooks", "chief_only_hooks"])
def test_recovery_after_an_aborted_step(place, graph, tmp_path):
    """The step goes back to the last checkpoint, and the same prefix is saved again."""
    train_op, hook = build(), fh.FreezeHook(**FREEZE)
    seen = []

    class Watch(v1.train.SessionRunHook):
        def after_create_session(self, session, coord):
            seen.append(int(session.run(v1.train.get_global_step())))

    others = [AbortOnce(16), Watch()]
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        save_checkpoint_steps=10,
        save_summaries_steps=None,
        **{place: [hook, *others]},
    ) as session:
        run(session, train_op, 30)
    assert len(seen) == 2
    assert seen[1] == max(s for s in saved_steps(tmp_path) if s <= 16)
    assert_each_checkpoint_has_its_file(tmp_path)
    assert [a.step for a in hook.artifacts] == saved_steps(tmp_path)


def test_own_schedule_without_checkpoints(graph, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(save_steps=10, output_dir=str(tmp_path / "out"), latest=True, **FREEZE)
    with v1.train.MonitoredSession(hooks=[hook]) as session:
        run(session, train_op, 73)
        live = session.run("probs:0", dict(FEEDS, **{"net/is_training:0": False}))
    steps = steps_of(tmp_path / "out", ".pb", r"model-(\d+)")
    assert steps[-1] == 73
    assert len(steps) == 5
    assert [b - a for a, b in zip(steps, steps[1:-1])] == [10, 10, 10]
    with fh.load_frozen(str(tmp_path / "out" / "latest.pb")) as model:
        assert model.metadata["step"] == 73
        np.testing.assert_allclose(model({"net/x": FEEDS["net/x:0"]})["probs"], live, atol=1e-6)


def test_own_schedule_in_seconds(graph, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(
        save_secs=1e-6, save_at_end=False, keep=2, output_dir=str(tmp_path), **FREEZE
    )
    with v1.train.MonitoredSession(hooks=[hook]) as session:
        run(session, train_op, 7)
    assert [a.step for a in hook.artifacts] == [6, 7]
    assert steps_of(tmp_path, ".pb", r"model-(\d+)") == [6, 7]


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"save_steps": 10}, "output_dir="),
        ({"save_steps": 10, "save_secs": 5, "output_dir": "x"}, "give one of them"),
        ({"keep": 0}, "keep="),
        ({"mode": "lowest"}, "mode="),
        ({"save_best_only": True}, "evaluate="),
        ({"resume": "maybe"}, "resume="),
        ({"values": "fresh"}, "values="),
    ],
)
def test_arguments_that_do_not_go_together(arguments, word):
    with pytest.raises(fh.FreezeError, match=word):
        fh.FreezeHook(["probs"], **arguments)


def test_a_schedule_needs_a_global_step(graph, tmp_path):
    tf.identity(v1.get_variable("w", [2]), name="y")
    hook = fh.FreezeHook(["y"], save_steps=1, output_dir=str(tmp_path))
    with pytest.raises(fh.FreezeError, match="global step"):
        hook.begin()


def test_keep_is_independent_of_the_saver(graph, tmp_path):
    train_op, hook = build(), fh.FreezeHook(keep=4, **FREEZE)
    scaffold = v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=1))
    with monitored(tmp_path, [hook], scaffold=scaffold) as session:
        run(session, train_op, 65)
    assert saved_steps(tmp_path) == [65]
    assert frozen_steps(tmp_path) == [a.step for a in hook.artifacts]
    assert len(hook.artifacts) == 4


def test_latest_is_always_the_newest(graph, tmp_path):
    train_op, hook = build(), fh.FreezeHook(latest=True, name="head", **FREEZE)
    with monitored(tmp_path, [hook]) as session:
        run(session, train_op)
    newest = hook.artifacts[-1].path
    latest = constants(tmp_path / "latest.head.pb")
    assert latest["net/w"].tobytes() == constants(newest)["net/w"].tobytes()


def test_restart_goes_on_and_old_files_go(tmp_path):
    for total in (25, 60):
        with tf.Graph().as_default():
            train_op = build()
            hooks = [fh.FreezeHook(**FREEZE), v1.train.StopAtStepHook(last_step=total)]
            saver = v1.train.Saver(max_to_keep=2)
            with monitored(tmp_path, hooks, scaffold=v1.train.Scaffold(saver=saver)) as session:
                run(session, train_op, 100)
    assert_each_checkpoint_has_its_file(tmp_path)


def test_a_graph_finalized_before_the_hook_sees_it(graph, tmp_path):
    train_op = build(resource=True)
    saver = v1.train.Saver()
    init = v1.global_variables_initializer()
    graph.finalize()
    hook = fh.FreezeHook(**FREEZE)
    hook.begin()
    with v1.Session() as session:
        session.run(init)
        for step in range(3):
            session.run(train_op, FEEDS)
            saver.save(session, str(tmp_path / "model.ckpt"), step, write_meta_graph=False)
    assert_each_checkpoint_has_its_file(tmp_path)


def test_nothing_to_do_asks_for_nothing():
    hook = fh.FreezeHook(["y"])
    assert hook.before_run(None) is None
    assert hook.after_run(None, None) is None
    assert os.path.basename(type(hook).__name__) == "FreezeHook"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
@pytest.mark.parametrize("strict", [False, True])
def test_two_programs_in_one_directory(strict, graph, tmp_path, warnings_logged):
    """The second gets a warning or an error; after the first has ended, it gets none."""
    script = (
        "import sys; from freeze_hooks.storage import locks\n"
        "claim = locks.claim(sys.argv[1]); print(claim is not None, flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"True\n"
    train = build()

    def go():
        hook = fh.FreezeHook(strict=strict, output_dir=str(tmp_path), **FREEZE)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path / "run"), save_summaries_steps=None, hooks=[hook]
        ) as session:
            session.run(train, FEEDS)
        return hook

    if strict:
        with pytest.raises(fh.FreezeError, match="another process writes frozen files into"):
            go()
    else:
        assert len(go().artifacts) == 2
        told = [text for text in warnings_logged if "another process writes" in text]
        assert len(told) == 1 and str(tmp_path) in told[0]
    other.stdin.close()
    other.wait()
    del warnings_logged[:]
    gc.collect()
    with graph.as_default():
        hook = go()
    assert hook.artifacts and not any("another process" in text for text in warnings_logged)
