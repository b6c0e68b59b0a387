"""FreezingSaver: a Saver in every respect, with a frozen file beside each checkpoint."""

import os
import threading
import time

import numpy as np
import pytest
import started
import tensorflow as tf
from frozen_files import read_graph_def
from places import PROGRAMS
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


def loop(saver, train_op, directory, steps=12, **more):
    """Return the prefixes that save() returns in a plain training loop."""
    prefixes = []
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for step in range(1, steps + 1):
            session.run(train_op, FEEDS)
            if step % 3 == 0:
                path = str(directory / "model.ckpt")
                prefixes.append(saver.save(session, path, global_step=step, **more))
    return prefixes


def test_is_a_saver(graph):
    build()
    assert isinstance(fh.FreezingSaver(**FREEZE), v1.train.Saver)


def test_plain_loop(graph, tmp_path):
    train_op = build()
    saver = fh.FreezingSaver(max_to_keep=2, **FREEZE)
    loop(saver, train_op, tmp_path)
    assert_each_checkpoint_has_its_file(tmp_path)
    assert saved_steps(tmp_path) == [9, 12] == [a.step for a in saver.artifacts]


@pytest.mark.parametrize(
    "arguments, options",
    [
        ({"max_to_keep": 3}, {}),
        ({"max_to_keep": 0}, {}),
        ({"max_to_keep": 1, "keep_checkpoint_every_n_hours": 1e-9}, {}),
        ({"sharded": True}, {"write_meta_graph": False}),
        ({"pad_step_number": True}, {"latest_filename": "newest"}),
        ({"save_relative_paths": True}, {"meta_graph_suffix": "graph"}),
        ({"allow_empty": True}, {"write_state": False}),
    ],
)
def test_savers_own_behaviour_is_unchanged(arguments, options, tmp_path):
    names, prefixes = [], []
    for kind in ("plain", "freezing"):
        with tf.Graph().as_default():
            train_op = build()
            made = v1.train.Saver if kind == "plain" else fh.FreezingSaver
            saver = made(**dict(arguments, **({} if kind == "plain" else FREEZE)))
            (tmp_path / kind).mkdir()
            found = loop(saver, train_op, tmp_path / kind, **options)
            prefixes.append([os.path.basename(p) for p in found])
        listed = os.listdir(str(tmp_path / kind))
        names.append(sorted(n for n in listed if not n.endswith((".pb", ".pb.json"))))
    if "frozen_state.json" in names[1]:
        names[1].remove("frozen_state.json")
    assert names[0] == names[1]
    assert prefixes[0] == prefixes[1]
    kept = {n[: -len(".index")] for n in names[1] if n.endswith(".index")}
    frozen = {n[: -len(".pb")] for n in os.listdir(str(tmp_path / "freezing")) if n.endswith(".pb")}
    assert frozen == kept


def test_restores_like_a_saver(graph, tmp_path):
    train_op = build()
    saver = fh.FreezingSaver(**FREEZE)
    prefix = loop(saver, train_op, tmp_path)[-1]
    with v1.Session() as session:
        saver.restore(session, prefix)
        probs = session.run("probs:0", dict(FEEDS, **{"net/is_training:0": False}))
    with fh.load_frozen(prefix + ".pb") as model:
        np.testing.assert_allclose(model({"net/x": FEEDS["net/x:0"]})["probs"], probs, atol=1e-6)
    assert saver.last_checkpoints[-1] == prefix


def test_deferred_build_in_a_scaffold(graph, tmp_path):
    train_op = build()
    saver = fh.FreezingSaver(defer_build=True, freeze_name="net", **FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        scaffold=v1.train.Scaffold(saver=saver),
        save_checkpoint_steps=10,
        save_summaries_steps=None,
    ) as session:
        for _ in range(15):
            session.run(train_op, FEEDS)
    assert steps_of(tmp_path, ".net.pb") == saved_steps(tmp_path)


def test_wrong_names_are_errors_where_it_is_made(graph):
    build()
    with pytest.raises(fh.FreezeError, match="'probs'"):
        fh.FreezingSaver(["prob"])
    with pytest.raises(TypeError, match="max_too_keep"):
        fh.FreezingSaver(["probs"], max_too_keep=3)


def counting_graph(size):
    """Return an op that changes all variables alike: a torn read shows as different numbers."""
    step = v1.train.get_or_create_global_step()
    variables = [
        v1.get_variable(f"v{i}", [size], initializer=v1.zeros_initializer()) for i in range(4)
    ]
    updates = [v1.assign_add(v, tf.ones([size])) for v in variables]
    tf.add_n(variables, name="total")
    with tf.control_dependencies(updates):
        return v1.assign_add(step, 1).op


def test_supervisor_timer_saves_while_steps_run(tmp_path):
    """The timer's thread saves under load; constants are bit-equal to the checkpoint."""
    program = os.path.join(PROGRAMS, "supervisor.py")
    sources = started.run([program, tmp_path]).stdout.split()
    assert_each_checkpoint_has_its_file(tmp_path)
    assert len(saved_steps(tmp_path)) == len(sources) >= 3
    assert "checkpoint" in sources


def test_live_values_are_torn_where_steps_run_meanwhile(graph, tmp_path):
    """The reason for values="checkpoint": under the same load, live values differ from it."""
    train_op = counting_graph(3000000)
    saver = fh.FreezingSaver(["total"], values="live", max_to_keep=0)
    stop = threading.Event()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())

        def train():
            while not stop.is_set():
                session.run(train_op)

        thread = threading.Thread(target=train)
        thread.start()
        differ, i, end = False, 0, time.time() + 120
        while not differ and time.time() < end:
            prefix = saver.save(session, str(tmp_path / "model.ckpt"), i, write_meta_graph=False)
            reader = v1.train.NewCheckpointReader(prefix)
            frozen = {
                n.name: tf.make_ndarray(n.attr["value"].tensor)
                for n in read_graph_def(prefix + ".pb").node
                if n.op == "Const"
            }
            differ = any(not np.array_equal(reader.get_tensor(n), c) for n, c in frozen.items())
            i += 1
        stop.set()
        thread.join()
    assert differ


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_values_from_the_checkpoint(resource, graph, tmp_path):
    """Partitioned variables, a renamed one, and one that the checkpoint does not hold."""
    with v1.variable_scope("", use_resource=resource):
        parts = v1.get_variable("parts", [7, 3], partitioner=v1.fixed_size_partitioner(3))
        renamed, unsaved = v1.get_variable("renamed", [3]), v1.get_variable("unsaved", [3])
    tf.add(tf.convert_to_tensor(parts) * renamed, unsaved, name="y")
    saver = fh.FreezingSaver(
        ["y"], values="checkpoint", var_list={"parts": parts, "another": renamed}
    )
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("y:0")
        prefix = saver.save(session, str(tmp_path / "model.ckpt"), 0)
    with fh.load_frozen(prefix + ".pb") as model:
        assert model()["y"].tobytes() == live.tobytes()
        assert model.metadata["values"] == "checkpoint"


# the queue runner's thread ends with the session, by a CancelledError
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_sync_replicas_takes_the_checkpoints_values(graph, tmp_path):
    """The queue runner of SyncReplicasOptimizer applies updates in its own thread at any time."""
    step = v1.train.get_or_create_global_step()
    w = v1.get_variable("w", [50000], initializer=v1.zeros_initializer(), use_resource=False)
    tf.identity(w, name="y")
    optimizer = v1.train.SyncReplicasOptimizer(
        v1.train.GradientDescentOptimizer(0.1), replicas_to_aggregate=1, total_num_replicas=1
    )
    train_op = optimizer.minimize(tf.reduce_sum(w), global_step=step)
    hook = fh.FreezeHook(["y"])
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        hooks=[hook, optimizer.make_session_run_hook(True, num_tokens=0)],
        save_checkpoint_steps=5,
        save_summaries_steps=None,
        stop_grace_period_secs=1,
    ) as session:
        for _ in range(20):
            session.run(train_op)
    assert frozen_steps(tmp_path) == saved_steps(tmp_path)
    for artifact in hook.artifacts:
        assert_bit_equal(artifact.path, artifact.path[:-3], least=1)
        assert fh.inspect(artifact.path).metadata["values"] == "checkpoint"
