"""SavedModels whose variables are a checkpoint's own files: fh.SavedModel(variables="link")."""

import errno
import glob
import os
import shutil

import numpy as np
import pytest
import small
import tensorflow as tf
from click.testing import CliRunner

import freeze_hooks as fh
from freeze_hooks.cli.group import commands

v1 = tf.compat.v1
LINKED = fh.SavedModel(variables="link")
X = np.random.RandomState(0).randn(6, 4).astype(np.float32)


def build(resource=True):
    """A net with a partitioned variable, and Adam's slots, which no answer needs."""
    with v1.variable_scope("net", use_resource=resource):
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", [4, 3])
        parts = v1.get_variable("parts", [6, 3], partitioner=v1.fixed_size_partitioner(2))
        chosen = tf.nn.embedding_lookup(parts, tf.constant([0, 4]))
        y = tf.add(tf.matmul(x, w), tf.reduce_sum(chosen), name="y")
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_sum(tf.square(y))
        return v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)


def trained(live, steps=3):
    train = build()
    live.run(v1.global_variables_initializer())
    for _ in range(steps):
        live.run(train, {"net/x:0": X})


def live_answer(live):
    return live.run("net/y:0", {"net/x:0": X})


def answer(path, x=X):
    """What TensorFlow's own loader answers."""
    with tf.Graph().as_default(), v1.Session() as live:
        ends = v1.saved_model.loader.load(live, ["serve"], str(path)).signature_def
        ends = ends["serving_default"]
        (given,), (taken,) = ends.inputs.values(), ends.outputs.values()
        return live.run(taken.name, {given.name: x})


@pytest.fixture
def session(graph):
    with v1.Session() as live:
        yield live


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("resource", [False, True])
def test_its_files_are_those_of_the_checkpoint(sharded, resource, session, tmp_path):
    train = build(resource)
    session.run(v1.global_variables_initializer())
    saver = fh.FreezingSaver(
        outputs=["net/y"], format=LINKED, verify=True, strict=True, sharded=sharded
    )
    for step in (1, 2, 3):
        session.run(train, {"net/x:0": X})
        prefix = saver.save(session, str(tmp_path / "model"), step)
        artifact = saver.artifacts[-1]
        assert artifact.path == prefix + ".saved_model" and artifact.max_difference == 0
        for file in glob.glob(prefix + ".index") + glob.glob(prefix + ".data*"):
            own = os.path.join(artifact.path, "variables", "variables" + file[len(prefix) :])
            assert os.path.samefile(file, own)
        np.testing.assert_array_equal(answer(artifact.path), live_answer(session))


def test_it_stays_when_the_checkpoint_goes(tmp_path):
    hook = fh.FreezeHook(
        outputs=["probs"],
        bind={"net/is_training:0": False},
        format=LINKED,
        output_dir=str(tmp_path / "served"),
        save_on_background=True,  # links are made at once
        keep=10,
        strict=True,
        verify=True,
    )
    answers = {}

    class Note(v1.train.SessionRunHook):
        def end(self, session):
            feeds = {"net/x:0": small.X, "net/is_training:0": False}
            answers["probs"] = session.run("probs:0", feeds)

    with tf.Graph().as_default():
        step = small.build()
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path / "run"),
            hooks=[hook, v1.train.StopAtStepHook(last_step=20), Note()],
            save_checkpoint_steps=10,
            save_checkpoint_secs=None,
        ) as session:
            while not session.should_stop():
                session.run(step, small.FEEDS)
    shutil.rmtree(str(tmp_path / "run"))
    found = sorted(name for name in os.listdir(str(tmp_path / "served")) if name.isdigit())
    assert found[-1] == "20" and len(found) == len(hook.artifacts)
    np.testing.assert_array_equal(answer(tmp_path / "served" / "20", small.X), answers["probs"])


def test_both_sizes_are_told(session, tmp_path):
    trained(session)
    prefix = v1.train.Saver().save(session, str(tmp_path / "model"))
    artifact = fh.freeze_checkpoint(prefix, str(tmp_path / "m"), ["net/y"], format=LINKED)
    report = fh.inspect(str(tmp_path / "m"))
    weights = 4 * (4 * 3 + 6 * 3)
    assert report.weight_bytes - weights < 100  # small constants
    data = os.path.getsize(glob.glob(prefix + ".data*")[0])
    assert data >= 3 * weights  # Adam's slots
    assert report.bytes == artifact.bytes > data


def test_it_is_read_as_others_are(session, tmp_path):
    trained(session)
    prefix = v1.train.Saver().save(session, str(tmp_path / "model"))
    fh.freeze_checkpoint(prefix, str(tmp_path / "m"), ["net/y"], format=LINKED, verify=True)
    wanted = live_answer(session)
    with fh.load_frozen(tmp_path / "m") as model:
        np.testing.assert_array_equal(model(X)["net/y"], wanted)
    fh.freeze_saved_model(str(tmp_path / "m"), str(tmp_path / "m.pb"), verify=True)
    with fh.load_frozen(tmp_path / "m.pb") as model:
        np.testing.assert_array_equal(model(X)["net/y"], wanted)


def test_variables_of_a_saved_model(session, tmp_path):
    trained(session)
    kept = fh.SavedModel(variables=True)
    fh.freeze_session(session, str(tmp_path / "kept"), ["net/y"], format=kept)
    fh.freeze_saved_model(str(tmp_path / "kept"), str(tmp_path / "m"), format=LINKED, verify=True)
    inner = os.path.join("variables", "variables.index")
    assert os.path.samefile(str(tmp_path / "kept" / inner), str(tmp_path / "m" / inner))
    shutil.rmtree(str(tmp_path / "kept"))
    np.testing.assert_array_equal(answer(tmp_path / "m"), live_answer(session))


def test_by_the_command(session, tmp_path):
    trained(session)
    wanted = live_answer(session)
    v1.train.Saver().save(session, str(tmp_path / "run" / "model"), 7)
    out = str(tmp_path / "m")
    given = ["--format", "saved_model", "--variables", "link"]
    asked = ["freeze", str(tmp_path / "run"), "--outputs", "net/y", *given, "-o", out, "--verify"]
    found = CliRunner().invoke(commands, asked, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    np.testing.assert_array_equal(answer(out), wanted)
    shown = CliRunner().invoke(commands, ["inspect", out], catch_exceptions=False).output
    report = fh.inspect(out)
    assert f"{report.bytes / 1e3:.1f} kB, weights {report.weight_bytes} B" in shown
    alone = CliRunner().invoke(
        commands, ["freeze", str(tmp_path / "run"), *given[2:], "-o", "m.pb"]
    )
    assert alone.exit_code == 2 and "--variables is for --format saved_model" in alone.output


def test_names_and_averages_of_the_checkpoint(session, tmp_path):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    w = v1.get_variable("w", [4, 3], use_resource=True)
    average = tf.train.ExponentialMovingAverage(0.5)
    follow = average.apply([w])
    tf.matmul(x, w, name="y")
    session.run(v1.global_variables_initializer())
    session.run(follow)
    session.run(v1.assign(w, w + 1))
    session.run(follow)
    renamed = {"other/name": w, "shadow": average.average(w)}
    saver = fh.FreezingSaver(
        outputs=["y"], format=LINKED, ema=average, strict=True, verify=True, var_list=renamed
    )
    saver.save(session, str(tmp_path / "model"))
    wanted = X @ session.run(average.average(w))
    assert np.abs(wanted - session.run("y:0", {x: X})).max() > 0.1
    np.testing.assert_allclose(answer(saver.artifacts[-1].path), wanted, 1e-5)


def test_objects_of_a_tf_train_checkpoint(tmp_path):
    with tf.Graph().as_default() as graph, v1.Session() as live:
        w = v1.get_variable("w", [4, 3], use_resource=True)
        v1.placeholder(tf.float32, [None, 4], name="x")
        y = tf.matmul(graph.get_tensor_by_name("x:0"), w, name="y")
        live.run(v1.global_variables_initializer())
        prefix = v1.train.Checkpoint(kernel=w).save(str(tmp_path / "objects"), session=live)
        fh.freeze_checkpoint(
            prefix,
            str(tmp_path / "m"),
            ["y"],
            graph=graph,
            variable_map={"w": "kernel"},
            format=LINKED,
            verify=True,
        )
        np.testing.assert_array_equal(answer(tmp_path / "m"), live.run(y, {"x:0": X}))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights": "float16"}, 'weights=.*variables="link"'),
        ({"optimize": True}, "optimize= folds constants"),
        ({"values": "live"}, "leave values= out"),
        ({"output_dir": "there", "save_steps": 10}, "files of a checkpoint, and here is none"),
    ],
)
def test_what_it_excludes_is_said_before_training(options, message):
    with pytest.raises(fh.FreezeError, match=message):
        fh.FreezeHook(outputs=["y"], format=LINKED, **options)


def test_where_there_is_no_checkpoint(session, tmp_path):
    trained(session)
    with pytest.raises(fh.FreezeError, match="files of a checkpoint, and here is none"):
        fh.freeze_session(session, str(tmp_path / "m"), ["net/y"], format=LINKED)
    with pytest.raises(fh.FreezeError, match="files of a checkpoint, and here is none"):
        fh.FreezeCallback(str(tmp_path / "m"), format=LINKED)
    assert os.listdir(str(tmp_path)) == []


def test_variables_that_are_not_saved_are_named(session, tmp_path):
    trained(session)
    w = next(v for v in v1.global_variables() if v.op.name == "net/w")
    saver = fh.FreezingSaver(outputs=["net/y"], format=LINKED, strict=True, var_list=[w])
    with pytest.raises(fh.FreezeError, match="lacks the variable 'net/parts/part_0'"):
        saver.save(session, str(tmp_path / "model"))


def test_checkpoints_of_format_v1(session, tmp_path):
    trained(session)
    old = v1.train.SaverDef.V1
    saver = fh.FreezingSaver(outputs=["net/y"], format=LINKED, strict=True, write_version=old)
    with pytest.raises(fh.FreezeError, match="none of format V2"):
        saver.save(session, str(tmp_path / "model"))


def test_other_file_systems_are_refused_before_the_first_step(tmp_path, monkeypatch):
    def link(source, path):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", link)
    hook = fh.FreezeHook(
        outputs=["net/y"], format=LINKED, output_dir=str(tmp_path / "served"), keep=2
    )
    with tf.Graph().as_default():
        build()
        with pytest.raises(fh.FreezeError, match="checkpoint's own file system, or variables=True"):
            v1.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path / "run"), hooks=[hook])
    assert [name for name in os.listdir(str(tmp_path / "served")) if name.isdigit()] == []


def test_a_broken_checkpoint_is_not_linked(session, tmp_path):
    trained(session)
    prefix = v1.train.Saver().save(session, str(tmp_path / "model"))
    (data,) = glob.glob(prefix + ".data*")
    with open(data, "r+b") as file:
        content = bytearray(file.read())
        file.seek(0)
        file.write(bytes(255 - byte for byte in content))
    with pytest.raises(fh.InvalidFileError, match="cut short or changed"):
        fh.freeze_checkpoint(prefix, str(tmp_path / "m"), ["net/y"], format=LINKED)
    assert not os.path.exists(str(tmp_path / "m"))
    assert not glob.glob(str(tmp_path / ".*saved_model*"))
