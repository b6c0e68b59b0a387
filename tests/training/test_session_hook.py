"""FreezeHook in real trainings: a file beside every checkpoint, and nothing else changed."""

import gc
import os

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from small import FEEDS, FREEZE, X, assert_bit_equal, build, frozen_steps, saved_steps

import freeze_hooks as fh
from freeze_hooks.values.session_reads import SLICED_BYTES

v1 = tf.compat.v1


def train(
    directory, hook, steps=50, every=10, max_to_keep=2, place="hooks", each_step=None, **kind
):
    """Return the live probabilities at the end of a real training."""
    train_op = build(**kind)
    scaffold = v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=max_to_keep, sharded=False))
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory),
        scaffold=scaffold,
        save_checkpoint_steps=every,
        save_summaries_steps=None,
        **{place: [hook] if hook else []},
    ) as session:
        for i in range(steps):
            session.run(train_op, FEEDS)
            if each_step:
                each_step(i)
        return session.run("probs:0", dict(FEEDS, **{"net/is_training:0": False}))


@pytest.mark.parametrize("place", ["hooks", "chief_only_hooks"])
@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_every_kept_checkpoint_has_its_file(place, resource, graph, clean, tmp_path):
    hook = fh.FreezeHook(**FREEZE)
    live = train(tmp_path, hook, steps=45, max_to_keep=3, place=place, resource=resource)
    assert saved_steps(tmp_path) == frozen_steps(tmp_path) == [30, 40, 45]
    assert [a.step for a in hook.artifacts] == [30, 40, 45]
    for artifact in hook.artifacts:
        assert_bit_equal(artifact.path, artifact.path[: -len(".pb")])
        assert os.path.getsize(artifact.path) == artifact.bytes
    (probs,) = clean.run(hook.artifacts[-1].path, {"net/x:0": X}, ["probs:0"])
    np.testing.assert_allclose(probs, live, atol=1e-6)
    left = {n for n in os.listdir(str(tmp_path)) if n.endswith((".pb", ".pb.json"))}
    assert left == {f"model.ckpt-{s}.pb{e}" for s in (30, 40, 45) for e in ("", ".json")}


def test_partitioned_variables(graph, clean, tmp_path):
    hook = fh.FreezeHook(**FREEZE)
    live = train(tmp_path, hook, partitioner=v1.fixed_size_partitioner(2))
    path = hook.artifacts[-1].path
    (probs,) = clean.run(path, {"net/x:0": X}, ["probs:0"])
    np.testing.assert_allclose(probs, live, atol=1e-6)
    parts = {name: c for name, c in constants(path).items() if "/part_" in name and c.ndim == 2}
    reader = v1.train.NewCheckpointReader(path[: -len(".pb")])
    for name in ("w", "v"):
        ours = [parts[f"net/{name}/part_{i}"] for i in range(2)]
        saved = reader.get_tensor("net/" + name)
        assert np.concatenate(ours).tobytes() == saved.tobytes()


def test_nothing_is_restored_imported_or_compiled_again(graph, tmp_path, monkeypatch):
    counts = {}

    def count(owner, name):
        original = getattr(owner, name)

        def counted(*args, **kwargs):
            counts[name] = counts.get(name, 0) + 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(v1.train.Saver, "restore")
    count(v1.train.Saver, "save")
    count(v1.Session, "__init__")
    count(tf.Graph, "as_graph_def")
    for name in ("import_graph_def", "convert_variables_to_constants", "extract_sub_graph"):
        count(v1 if name == "import_graph_def" else v1.graph_util, name)
    train(tmp_path / "without", None)
    without, counts_with = dict(counts), counts
    counts.clear()
    with tf.Graph().as_default():
        train(tmp_path / "with", fh.FreezeHook(**FREEZE))
    # the one additional GraphDef is the plan's, made in begin()
    assert counts_with == dict(without, as_graph_def=without["as_graph_def"] + 1)
    assert without["save"] == 6 and "restore" not in counts


def test_graph_does_not_grow_while_training(graph, tmp_path):
    sizes = []
    train(
        tmp_path,
        fh.FreezeHook(**FREEZE),
        each_step=lambda i: sizes.append(len(graph.get_operations())),
    )
    assert len(set(sizes)) == 1


def test_training_is_the_same_with_and_without(tmp_path):
    values = []
    for hook in (None, fh.FreezeHook(**FREEZE)):
        with tf.Graph().as_default():
            v1.set_random_seed(3)
            train(tmp_path / str(bool(hook)), hook)
        reader = v1.train.NewCheckpointReader(str(tmp_path / str(bool(hook)) / "model.ckpt-50"))
        values.append({n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()})
    assert sorted(values[0]) == sorted(values[1])
    # an op's seed depends on the number of ops before it: the hook's ops come after the user's
    assert all(values[0][n].tobytes() == values[1][n].tobytes() for n in values[0])


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_large_variables_come_in_slices(resource, graph, tmp_path):
    rows = SLICED_BYTES // 400 + 3  # just enough to be sliced, with 100 columns
    normal = v1.random_normal_initializer()
    with v1.variable_scope("", use_resource=resource):
        tables = [
            v1.get_variable(f"table{i}", shape, initializer=normal)
            for i, shape in enumerate([[rows, 100], [1, rows * 100], [2, rows, 100]])
        ]
        sparse = v1.get_variable("sparse", [rows, 100], initializer=normal)
    looked_up = tf.nn.embedding_lookup(sparse, [3, rows - 1, 3])
    total = tf.add_n([tf.reduce_sum(t) for t in [*tables, looked_up]], name="total")
    step = v1.train.get_or_create_global_step()
    train_op = v1.train.GradientDescentOptimizer(0.1).minimize(total, global_step=step)
    hook = fh.FreezeHook(outputs=["total"])
    with v1.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), hooks=[hook]) as session:
        session.run(train_op)
    assert_bit_equal(hook.artifacts[-1].path, tmp_path / "model.ckpt-1", least=4)


def test_every_dtype_and_unknown_shapes(graph, tmp_path):
    values = {
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
        "double": np.array([np.nan, -0.0, np.inf]),
        "byte": np.arange(256, dtype=np.uint8),
        "flags": np.array([True, False]),
        "complex": np.array([1 + 2j, 3 - 4j], np.complex64),
        "long": np.array(1 << 60, np.int64),
        "empty": np.zeros([0, 5], np.float32),
        "words": np.array([b"a", b"", b"\xff\x00"], object),
    }
    for resource in (False, True):
        with v1.variable_scope("r" if resource else "v", use_resource=resource):
            variables = [v1.get_variable(n, initializer=tf.constant(v)) for n, v in values.items()]
            loose = v1.placeholder_with_default(np.arange(4, dtype=np.float32), None)
            variables.append(v1.get_variable("loose", initializer=loose, validate_shape=False))
            for variable in variables:
                tf.identity(variable, name="out_" + variable.op.name.split("/")[1])
    outputs = [o.name for o in graph.get_operations() if o.name.split("/")[-1].startswith("out_")]
    v1.train.get_or_create_global_step()
    hook = fh.FreezeHook(outputs=outputs)
    with v1.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), hooks=[hook]):
        pass
    assert len(outputs) == 18
    assert_bit_equal(hook.artifacts[-1].path, tmp_path / "model.ckpt-0", least=18)


def test_two_hooks_share_a_directory(graph, tmp_path):
    train_op = build()
    hooks = [fh.FreezeHook(**FREEZE), fh.FreezeHook(["net/MatMul"], name="hidden")]
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=hooks
    ) as session:
        for _ in range(14):
            session.run(train_op, FEEDS)
    kept = saved_steps(tmp_path)
    names = {n for n in os.listdir(str(tmp_path)) if n.endswith(".pb")}
    assert len(kept) == 5
    assert names == {f"model.ckpt-{s}{h}.pb" for s in kept for h in ("", ".hidden")}


def test_output_dir(graph, tmp_path):
    hook = fh.FreezeHook(output_dir=str(tmp_path / "new" / "frozen"), **FREEZE)
    train(tmp_path / "checkpoints", hook)
    assert frozen_steps(tmp_path / "new" / "frozen") == [40, 50]
    assert frozen_steps(tmp_path / "checkpoints") == []


def test_only_the_chief_writes(graph, tmp_path):
    train(tmp_path, fh.FreezeHook(is_chief=lambda: False, **FREEZE))
    assert frozen_steps(tmp_path) == []


def test_an_exception_in_a_step_leaves_a_file_for_every_checkpoint(graph, tmp_path):
    def fail(i):
        if i == 25:
            raise KeyError("a bug in the input")

    with pytest.raises(KeyError):
        train(tmp_path, fh.FreezeHook(**FREEZE), each_step=fail)
    assert frozen_steps(tmp_path) == saved_steps(tmp_path) == [10, 20]


def test_a_hook_is_used_again_on_a_new_graph(tmp_path):
    hook = fh.FreezeHook(**FREEZE)
    for name in ("first", "second"):
        with tf.Graph().as_default():
            train(tmp_path / name, hook)
        assert frozen_steps(tmp_path / name) == [40, 50]
        assert [os.path.dirname(a.path) for a in hook.artifacts] == [str(tmp_path / name)] * 2


def test_saver_is_itself_again_when_the_hook_is_gone(graph, tmp_path):
    gc.collect()  # removes hooks of other tests
    before = v1.train.Saver.save
    hook = fh.FreezeHook(**FREEZE)
    train(tmp_path / "a", hook)
    assert v1.train.Saver.save is not before
    with v1.Session() as other:  # the same graph, but not the session that was trained
        other.run(v1.global_variables_initializer())
        v1.train.Saver().save(other, str(tmp_path / "b"))
    assert not (tmp_path / "b.pb").exists()
    del hook
    gc.collect()
    assert v1.train.Saver.save is before


def break_directory(directory, at):
    """Return an `each_step` that replaces the output directory with a file at step `at`."""

    def each_step(i):
        if i == at:
            for name in os.listdir(str(directory)):
                os.unlink(os.path.join(str(directory), name))
            os.rmdir(str(directory))
            directory.write_text("in the way")

    return each_step


def test_a_failing_save_warns_and_training_goes_on(graph, tmp_path, warnings_logged):
    out = tmp_path / "out"
    hook = fh.FreezeHook(output_dir=str(out), **FREEZE)
    train(tmp_path / "ckpt", hook, each_step=break_directory(out, 15))
    assert saved_steps(tmp_path / "ckpt") == [40, 50]
    assert [m for m in warnings_logged if "model.ckpt-20" in m and str(out) in m]


def test_a_failing_save_is_raised_if_strict(graph, tmp_path):
    out = tmp_path / "out"
    hook = fh.FreezeHook(output_dir=str(out), strict=True, **FREEZE)
    with pytest.raises(fh.FreezeError, match=r"model\.ckpt-20"):
        train(tmp_path / "ckpt", hook, each_step=break_directory(out, 15))
