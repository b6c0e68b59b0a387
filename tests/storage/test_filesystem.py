"""Paths with a scheme, which TensorFlow's own file systems serve (tf.io.gfile)."""

import inspect
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from fitting import TF1, Scores, classifier, fit, keras_of, weights_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh
from freeze_hooks.storage import filesystem

v1, gfile = tf.compat.v1, tf.io.gfile


@pytest.fixture
def directory(remote):
    return f"{remote}/run"


def names(directory, ending):
    return sorted(name for name in gfile.listdir(directory) if name.endswith(ending))


def constants(path):
    graph_def = v1.GraphDef()
    with gfile.GFile(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    nodes = {n.name: n for n in graph_def.node if n.op == "Const"}
    return {name: tf.make_ndarray(node.attr["value"].tensor) for name, node in nodes.items()}


def assert_bit_equal(path, prefix):
    reader, found = v1.train.NewCheckpointReader(prefix), constants(path)
    for name in ("net/w", "net/v"):
        assert found[name].tobytes() == reader.get_tensor(name).tobytes()


def test_a_training_session(directory, graph, warnings_logged):
    train = build()
    hook = fh.FreezeHook(latest=True, **FREEZE)
    scaffold = v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=2))
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=directory,
        scaffold=scaffold,
        save_checkpoint_steps=2,
        save_summaries_steps=None,
        hooks=[hook],
    ) as session:
        for _ in range(7):
            session.run(train, FEEDS)
    assert names(directory, ".pb") == ["latest.pb", "model.ckpt-6.pb", "model.ckpt-7.pb"]
    assert names(directory, ".tmp") == []
    for step in (6, 7):
        assert_bit_equal(f"{directory}/model.ckpt-{step}.pb", f"{directory}/model.ckpt-{step}")
    assert_bit_equal(directory + "/latest.pb", directory + "/model.ckpt-7")
    assert not any("no frozen file" in message for message in warnings_logged)


def test_elsewhere_than_the_checkpoints(directory, graph, tmp_path):
    """Files on another file system are deleted together with their local checkpoints."""
    train = build()
    hook = fh.FreezeHook(output_dir=directory, strict=True, **FREEZE)
    scaffold = v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=1))
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path / "local"),
        scaffold=scaffold,
        save_checkpoint_steps=2,
        save_summaries_steps=None,
        hooks=[hook],
    ) as session:
        for _ in range(5):
            session.run(train, FEEDS)
    assert names(directory, ".pb") == ["model.ckpt-5.pb"]
    assert_bit_equal(directory + "/model.ckpt-5.pb", str(tmp_path / "local" / "model.ckpt-5"))


def test_keras(directory):
    keras = keras_of("tf.keras" if TF1 else "keras")

    def train(scores, **more):
        model = classifier(keras)
        best = fh.FreezeCallback(
            directory + "/best.pb",
            monitor="score",
            mode="max",
            save_best_only=True,
            resume=True,
            strict=True,
        )
        each = fh.FreezeCallback(directory + "/at-{epoch}.pb", max_to_keep=2, strict=True)
        fit(model, callbacks=[Scores(keras, scores), best, each], epochs=len(scores), **more)
        return model, best

    model, _ = train([1.0, 2.0, 3.0])
    assert names(directory, ".pb") == ["at-2.pb", "at-3.pb", "best.pb"]
    found = constants(directory + "/best.pb")
    for name, value in weights_of(model).items():
        assert found[name].tobytes() == value.tobytes()
    assert train([2.5])[1].artifacts == ()
    with gfile.GFile(directory + "/frozen_state.json", "rb") as file:
        assert json.loads(file.read().decode())["best.pb"]["best"] == {"score": 3.0}


def test_one_off_functions(directory, graph, tmp_path):
    build()
    gfile.makedirs(directory)
    path = directory + "/m.pb"
    with v1.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError):
            fh.freeze_session(session, path, **FREEZE)
        assert gfile.listdir(directory) == []
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, directory + "/model.ckpt")
        fh.freeze_session(session, path, **FREEZE)
    fh.freeze_checkpoint(prefix, directory + "/c.pb", **FREEZE)
    fh.freeze_checkpoint(prefix, str(tmp_path / "c.pb"), **FREEZE)
    loaded = [fh.load_frozen(p) for p in (path, directory + "/c.pb", str(tmp_path / "c.pb"))]
    answers = [model(**{"net/x": FEEDS["net/x:0"]})["probs"] for model in loaded]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
    report = fh.inspect(path)
    assert report.bytes == gfile.stat(path).length and report.findings == ()


def test_a_part_of_a_file_is_told_from_the_whole(directory, graph):
    """A reader may meet a part of a file where a rename is a copy."""
    build()
    gfile.makedirs(directory)
    path = directory + "/m.pb"
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, path, **FREEZE)
    with gfile.GFile(path, "rb") as file:
        whole = file.read()
    for length in range(0, len(whole), 7):
        gfile.remove(path)
        with gfile.GFile(path, "wb") as file:
            file.write(whole[:length])
        with pytest.raises(fh.InvalidFileError):
            fh.load_frozen(path)


def test_a_scheme_that_is_not_known(graph):
    build()
    hook = fh.FreezeHook(output_dir="nosuch://bucket/run", **FREEZE)
    with pytest.raises(fh.FreezeError, match=r"output_dir= cannot be written to.*nosuch"):
        hook.begin()
    with pytest.raises(OSError, match="nosuch"):
        fh.load_frozen("nosuch://bucket/m.pb")


def test_a_file_that_is_not_there(directory):
    with pytest.raises(FileNotFoundError):
        fh.load_frozen(directory + "/m.pb")


def test_local_and_remote_files_are_alike():
    """Callers use either class alike: both have the same methods with the same arguments."""

    def methods(kind):
        functions = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(function).parameters for name, function in functions}

    assert methods(filesystem.Local) == methods(filesystem.Remote)
    assert isinstance(filesystem.filesystem_of("gs://models/m.pb"), filesystem.Remote)
    assert isinstance(filesystem.filesystem_of("models/m.pb"), filesystem.Local)


@pytest.mark.parametrize(
    "path, place, relative",
    [
        ("run/model-1", "out", "../run/model-1"),
        ("gs://models/run/model-1", "gs://models", "run/model-1"),
        ("gs://models/run/model-1", "s3://models", "gs://models/run/model-1"),
        ("gs://models/run/model-1", "out", "gs://models/run/model-1"),
        ("/run/model-1", "gs://models", "/run/model-1"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="other separators")
def test_a_path_from_a_directory_and_back(path, place, relative):
    assert filesystem.relative(path, place) == relative
    assert filesystem.resolved(relative, place) == path
