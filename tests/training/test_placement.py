"""SavedModels that hook, Saver and callback write: where they stand, and which stay."""

import json
import os

import numpy as np
import pytest
import small
import tensorflow as tf
from small import FREEZE, X

import freeze_hooks as fh
from freeze_hooks import _tf

v1 = tf.compat.v1
SAVED = {"format": "saved_model", **FREEZE}


def train(directory, hooks, steps=30, every=10, keep=5, **more):
    """Train with a checkpoint every 10 steps; return what the last session answers."""
    answers = {}

    class Note(v1.train.SessionRunHook):
        def end(self, session):
            feeds = {"net/x:0": X, "net/is_training:0": False}
            answers["probs"] = session.run("probs:0", feeds)

    with tf.Graph().as_default():
        v1.set_random_seed(1)
        step = small.build()
        hooks = [*hooks, v1.train.StopAtStepHook(last_step=steps), Note()]
        scaffold = v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=keep))
        saves = {"save_checkpoint_steps": every, "save_checkpoint_secs": None}
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(directory), hooks=hooks, scaffold=scaffold, **saves, **more
        ) as session:
            while not session.should_stop():
                session.run(step, small.FEEDS)
    return answers["probs"]


def answer(path):
    """What TensorFlow's own loader answers from a SavedModel."""
    with tf.Graph().as_default(), v1.Session() as session:
        ends = v1.saved_model.loader.load(session, ["serve"], str(path))
        ends = ends.signature_def["serving_default"]
        (fed,), (fetched,) = ends.inputs.values(), ends.outputs.values()
        return session.run(fetched.name, {fed.name: X})


def directories(path):
    return sorted(name for name in os.listdir(str(path)) if os.path.isdir(str(path / name)))


@pytest.mark.parametrize("background", [False, True])
def test_beside_each_checkpoint(background, tmp_path):
    hook = fh.FreezeHook(**SAVED, save_on_background=background, verify=True, latest=True)
    wanted = train(tmp_path, [hook], keep=2)
    kept = [f"model.ckpt-{step}.saved_model" for step in (20, 30)]
    assert directories(tmp_path) == sorted([*kept, "latest.saved_model"])
    assert [os.path.basename(a.path) for a in hook.artifacts] == kept
    assert os.readlink(str(tmp_path / "latest.saved_model")) == kept[-1]
    np.testing.assert_allclose(answer(tmp_path / kept[-1]), wanted, rtol=1e-6)
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith((".json.tmp", ".pb"))]


def test_a_name_and_two_formats_beside_one_checkpoint(tmp_path):
    hooks = [fh.FreezeHook(**SAVED, name="a"), fh.FreezeHook(**FREEZE), fh.FreezeHook(**SAVED)]
    train(tmp_path, hooks, keep=1)
    assert directories(tmp_path) == ["model.ckpt-30.a.saved_model", "model.ckpt-30.saved_model"]
    assert small.frozen_steps(tmp_path) == [30]


def test_version_directories(tmp_path):
    export = tmp_path / "export"
    hook = fh.FreezeHook(**SAVED, output_dir=str(export), save_steps=10, keep=2, latest=True)
    named = fh.FreezeHook(**SAVED, output_dir=str(export), name="b", save_steps=30)
    wanted = train(tmp_path / "run", [hook, named])
    assert directories(export) == ["21", "30", "b", "latest"]
    assert os.readlink(str(export / "latest")) == "30"
    assert directories(export / "b") == ["1", "30"]
    for path in (export / "30", export / "latest", export / "b" / "30"):
        np.testing.assert_allclose(answer(path), wanted, rtol=1e-6)
    state = json.loads((export / "frozen_state.json").read_text())
    assert set(state[".saved_model"]["files"]) == {"21", "30"}


def best_of(values, **more):
    values = iter(values)
    return fh.FreezeHook(
        **SAVED,
        save_best_only=True,
        evaluate=lambda session, step: {"loss": next(values)},
        monitor="loss",
        strict=True,
        **more,
    )


def test_the_best(tmp_path):
    hook = best_of([4.0, 3.0, 1.0, 2.0])
    train(tmp_path, [hook])
    assert directories(tmp_path) == ["best"] and directories(tmp_path / "best") == ["20"]
    assert hook.artifacts[0].metrics == {"loss": 1.0}
    train(tmp_path, [best_of([1.6, 1.5, 0.5])], steps=50)
    assert directories(tmp_path / "best") == ["50"]
    train(tmp_path, [best_of([0.8, 0.7, 0.6], name="c", output_dir=str(tmp_path))], steps=70)
    assert directories(tmp_path / "c" / "best") == ["70"]


def test_the_best_counts_after_a_kill_before_the_note(tmp_path):
    train(tmp_path, [best_of([4.0, 1.0, 2.0, 3.0])])
    os.unlink(str(tmp_path / "best" / "frozen_state.json"))
    train(tmp_path, [best_of([1.6, 1.5, 1.2])], steps=50)
    assert directories(tmp_path / "best") == ["10"]


def test_the_saver(tmp_path):
    with tf.Graph().as_default():
        step = small.build()
        saver = fh.FreezingSaver(**SAVED, max_to_keep=1)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for number in range(2):
                session.run(step, small.FEEDS)
                saver.save(session, str(tmp_path / "model.ckpt"), number + 1)
            wanted = session.run("probs:0", {"net/x:0": X, "net/is_training:0": False})
    assert directories(tmp_path) == ["model.ckpt-2.saved_model"]
    np.testing.assert_allclose(answer(tmp_path / "model.ckpt-2.saved_model"), wanted, rtol=1e-6)


def test_a_link_on_a_remote_path_is_refused(tmp_path):
    with pytest.raises(fh.FreezeError, match="symbolic link, which ram://there cannot have"):
        fh.FreezeHook(**SAVED, output_dir="ram://there", save_steps=1, latest=True)


@pytest.mark.parametrize("first, second", [(SAVED, FREEZE), (FREEZE, SAVED)])
def test_two_formats_in_one_output_dir_are_refused(first, second, tmp_path):
    where = {"output_dir": str(tmp_path / "export"), "save_steps": 10}
    train(tmp_path / "a", [fh.FreezeHook(**first, **where)], steps=10)
    with pytest.raises(fh.FreezeError, match="each format= a directory of its own"):
        train(tmp_path / "b", [fh.FreezeHook(**second, **where)], steps=10)


def test_a_killed_programs_temporary_directory_goes(tmp_path):
    left = tmp_path / ".model.ckpt-5.saved_model.0123456789ab.saved_model.tmp"
    left.mkdir()
    (left / "saved_model.pb").write_bytes(b"half")
    train(tmp_path, [fh.FreezeHook(**SAVED)])
    assert not left.exists()


def test_a_foreign_directory_stays(tmp_path):
    export = tmp_path / "export"
    (export / "21").mkdir(parents=True)
    (export / "21" / "notes").write_bytes(b"")
    hook = fh.FreezeHook(**SAVED, output_dir=str(export), save_steps=10, keep=1)
    train(tmp_path / "run", [hook])
    assert directories(export) == ["21", "30"]
    assert os.listdir(str(export / "21")) == ["notes"]


@pytest.fixture
def fitted():
    """A function that fits a small Keras model with a callback."""
    keras = tf.keras
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(3, name="probs")])
    model.compile("sgd", "mse")

    def fit(callback, epochs=3):
        x = np.repeat(X, 4, 0)
        model.fit(x, np.zeros([len(x), 3]), 16, epochs, 0, callbacks=[callback])
        return model

    return fit


def test_keras_version_directories(fitted, tmp_path):
    callback = fh.FreezeCallback(
        str(tmp_path / "export" / "{epoch}"), format="saved_model", max_to_keep=2, verify=True
    )
    model = fitted(callback)
    assert directories(tmp_path / "export") == ["2", "3"]
    wanted = model.predict(X, verbose=0)
    np.testing.assert_allclose(answer(tmp_path / "export" / "3"), wanted, rtol=1e-5, atol=1e-6)


def test_keras_one_directory_is_exchanged(fitted, tmp_path):
    callback = fh.FreezeCallback(str(tmp_path / "model"), format=fh.SavedModel(), strict=True)
    model = fitted(callback)
    assert directories(tmp_path) == ["model"]
    wanted = model.predict(X, verbose=0)
    np.testing.assert_allclose(answer(tmp_path / "model"), wanted, rtol=1e-5, atol=1e-6)


def test_keras_beside_a_model_checkpoint(fitted, tmp_path):
    beside = tf.keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    fitted(fh.FreezeCallback(beside=beside, format="saved_model"), epochs=2)
    assert directories(tmp_path) == ["1.saved_model", "2.saved_model"]


def test_keras_a_pb_is_no_directory(tmp_path):
    with pytest.raises(fh.FreezeError, match=r"filepath=.* ends in '\.pb'"):
        fh.FreezeCallback(str(tmp_path / "m.pb"), format="saved_model")
    with pytest.raises(fh.FreezeError, match=r"format= is .*not 'onnx'"):
        fh.FreezeCallback(str(tmp_path / "m"), format="onnx")


def test_keras_two_formats_in_one_directory_are_refused(fitted, tmp_path):
    export = tmp_path / "export"
    fitted(fh.FreezeCallback(str(export / "{epoch}"), format="saved_model"), epochs=1)
    for path in ("{epoch}.pb", "best.pb"):
        with pytest.raises(fh.FreezeError, match="SavedModels of another training, such as '1'"):
            fitted(fh.FreezeCallback(str(export / path)), epochs=1)
    fitted(fh.FreezeCallback(str(tmp_path / "files" / "{epoch}.pb")), epochs=1)
    callback = fh.FreezeCallback(str(tmp_path / "files" / "{epoch}"), format="saved_model")
    with pytest.raises(fh.FreezeError, match=r"frozen files .*, such as '1\.pb'"):
        fitted(callback, epochs=1)


def test_the_package_says_which_tensorflow(tmp_path):
    train(tmp_path, [fh.FreezeHook(**SAVED)], steps=10)
    path = tmp_path / "model.ckpt-10.saved_model"
    with tf.Graph().as_default(), v1.Session() as session:
        about = v1.saved_model.loader.load(session, ["serve"], str(path)).meta_info_def
    assert about.tensorflow_version == _tf.VERSION and about.stripped_default_attrs
