"""Directories and disks that refuse writes or are slow, missing threads, lost sessions."""

import contextlib
import itertools
import json
import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import xxhash
from fitting import DIGITS, KERASES, classifier, fit, keras_of
from saves import BLOCK, contents, leave, saves
from small import FEEDS, FREEZE, assert_each_checkpoint_has_its_file, build

import freeze_hooks as fh
from freeze_hooks.training.background import Background

v1 = tf.compat.v1
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions and mounts")


# directories that refuse


@contextlib.contextmanager
def nobody():
    """Run all threads as a user other than root, because root ignores permissions."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared():
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def warned_once(warnings_logged, words):
    said = [w for w in warnings_logged if "no frozen file" in w]
    assert len(said) == 1 and words in said[0]
    assert len([w for w in warnings_logged if "files are written again" in w]) == 1
    return True


@pytest.mark.parametrize(
    "mode, adapter",
    [(0o555, "hook"), (0o555, "background"), (0o000, "hook"), (0o000, "foreground")],
)
def test_permission_denied(mode, adapter, shared, warnings_logged):
    """Permission is denied from save 2 until save 5; with mode 0, the state is unreadable too."""
    seen, stack = {}, contextlib.ExitStack()

    def act(i):
        if i == 2:
            seen["before"] = contents(shared)
            os.chmod(str(shared), mode)
            stack.enter_context(nobody())
        if i == 5:
            stack.close()
            os.chmod(str(shared), 0o755)
            seen["after"] = contents(shared)

    with stack:
        artifacts = saves(adapter, shared, act)
    assert seen["before"] == seen["after"]
    assert warned_once(warnings_logged, "Permission denied")
    (artifact,) = artifacts
    assert [name for name in contents(shared) if name.endswith(".pb")] == [
        os.path.basename(artifact.path)
    ]


@pytest.mark.parametrize("keras", KERASES)
def test_a_best_value_that_cannot_be_read(keras, shared, warnings_logged):
    """It does not count as missing: the better file stays until the values can be compared."""
    keras = keras_of(keras)
    options = {"monitor": "loss", "save_best_only": True, "resume": True}
    model, path = classifier(keras), str(shared / "best.pb")
    fit(model, callbacks=[fh.FreezeCallback(path, **options)], epochs=40)
    before, stack = contents(shared), contextlib.ExitStack()

    class Act(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 0:
                os.chmod(str(shared), 0)
                stack.enter_context(nobody())
            if epoch == 1:
                stack.close()
                os.chmod(str(shared), 0o755)

    fresh = classifier(keras)  # worse than the model of 40 epochs, from any first weights
    with stack:
        callback = fh.FreezeCallback(path, save_on_background=False, **options)
        fit(fresh, callbacks=[Act(), callback], epochs=2)
    assert callback.artifacts == ()
    assert contents(shared) == before
    failed, ended = [w for w in warnings_logged if "Permission denied" in w]
    assert "no frozen file for" in failed
    assert "training has ended without a frozen file" in ended


@pytest.mark.parametrize("adapter", ["hook", "background"])
def test_a_read_only_file_system(adapter, mounted, warnings_logged):
    directory = mounted("size=1m")
    seen = {}

    def act(i):
        if i in (2, 5):
            seen[i] = contents(directory)
            mounted("remount,ro" if i == 2 else "remount,rw", directory)

    artifacts = saves(adapter, directory, act)
    assert seen[2] == seen[5]
    assert warned_once(warnings_logged, "Read-only file system")
    assert [os.path.exists(artifact.path) for artifact in artifacts] == [True]


# file systems without enough space


def assert_whole(directory):
    """Return the frozen files; check that they are complete and match descriptions and state."""
    files = [p for p in directory.iterdir() if p.name.endswith(".pb")]
    for path in files:
        fh.inspect(str(path))
        about = Path(str(path) + ".json")
        if about.exists():
            noted = json.loads(about.read_text())
            assert noted["hash"]["value"] == xxhash.xxh3_64_hexdigest(path.read_bytes())
    for own in json.loads((directory / "frozen_state.json").read_text()).values():
        assert set(own.get("files", ())) <= {path.name for path in files}
    assert not [p for p in directory.iterdir() if p.name.endswith(".tmp")]
    return files


@pytest.mark.parametrize("adapter", ["hook", "background"])
def test_a_disk_that_is_full_at_any_block(adapter, mounted, warnings_logged):
    """Space may end in the file, its description or the state; at the end only the newest stays."""
    directory = mounted("size=256k")
    found = []

    def act(i):
        if i:
            found.append(len(assert_whole(directory)))
            leave(directory, i - 1)
        if i == 19:
            (directory / "other").unlink()

    (artifact,) = saves(adapter, directory, act, count=20)
    assert [str(p) for p in assert_whole(directory)] == [artifact.path]
    assert max(found) > 1  # files that the state could not note yet
    said = [w for w in warnings_logged if "No space left" in w]
    assert 1 <= len(said) <= 4


@pytest.mark.parametrize("adapter", ["hook", "background"])
def test_files_that_the_state_could_not_note_are_noted_later(adapter, tmp_path, warnings_logged):
    state, aside = tmp_path / "frozen_state.json", tmp_path / "aside"
    there = []

    def act(i):
        there.append(len(list(tmp_path.glob("*.pb"))))
        if i == 2:
            state.rename(aside)
            state.mkdir()
        if i == 4:
            state.rmdir()
            aside.rename(state)

    (artifact,) = saves(adapter, tmp_path, act)
    assert there == [0, 1, 1, 2, 3, 1]
    assert [str(p) for p in assert_whole(tmp_path)] == [artifact.path]
    (said,) = [w for w in warnings_logged if "no note of the frozen file" in w]
    assert "frozen_state.json" in said and "Is a directory" in said
    assert not [w for w in warnings_logged if "no frozen file" in w]


def test_a_best_file_without_description_is_still_the_best(mounted, graph, warnings_logged):
    """There was space for the file only; a worse file must not replace it."""
    train_op, directory, losses = build(), mounted("size=256k"), [5.0, 4.0, 4.5, 4.0, 3.0]
    told = iter(losses)
    hook = fh.FreezeHook(
        output_dir=str(directory),
        save_steps=1,
        save_best_only=True,
        evaluate=lambda session, step: {"loss": next(told)},
        monitor="loss",
        **FREEZE,
    )
    kept = []
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        for i in range(len(losses)):
            if i == 1:
                for name in ("best.pb", "best.pb.json"):  # so that replacing best.pb frees no space
                    os.link(str(directory / name), str(directory / name) + ".kept")
                size = (directory / "best.pb").stat().st_size
                leave(directory, -(-size // BLOCK))
            session.run(train_op, FEEDS)
            if i == 1:
                assert not (directory / "best.pb.json").exists()
                (directory / "other").unlink()
            kept.append(fh.inspect(str(directory / "best.pb")).metadata["metrics"]["loss"])
    assert kept == [5, 4, 4, 4, 3]
    (said,) = [w for w in warnings_logged if "No space left" in w]
    assert "no description of the frozen file for" in said  # the state was not written either


# slow disks, threads that cannot start, lost sessions


def test_saves_that_take_longer_than_what_is_between_them(tmp_path, monkeypatch):
    """Of several waiting files for one path, only the newest is written; training does not wait."""
    keras = keras_of(KERASES[0])
    callback = fh.FreezeCallback(str(tmp_path / "newest.pb"))
    trained, fsync = threading.Event(), os.fsync
    began = []

    def slow(descriptor):
        if threading.current_thread().name == "freeze_hooks background":
            began.append(descriptor)
            assert trained.wait(120)
        fsync(descriptor)

    class End(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 9:
                trained.set()

    monkeypatch.setattr(os, "fsync", slow)
    model = classifier(keras)
    fit(model, callbacks=[callback, End()], epochs=10)
    with fh.load_frozen(str(tmp_path / "newest.pb")) as frozen:
        np.testing.assert_allclose(
            frozen(pixels=DIGITS[:8])["probs"], model.predict(DIGITS[:8], verbose=0), atol=1e-5
        )
    assert len(callback.artifacts) == 1
    assert len(began) < 20  # each save needs 4 of them


def test_a_system_with_no_thread_to_spare(tmp_path):
    """The training thread then writes the file itself."""
    before = threading.stack_size()
    try:
        threading.stack_size(1 << 46)
    except ValueError:
        pytest.skip("the system takes no such stack size")
    background, done = Background(), []
    try:
        background.submit("a", lambda: done.append(threading.current_thread()))
    finally:
        threading.stack_size(before)
    assert done == [threading.main_thread()]
    background.submit("b", lambda: done.append(threading.current_thread()))
    background.flush()
    assert len(done) == 2 and done[1] is not threading.main_thread()


@pytest.mark.parametrize("error", [tf.errors.AbortedError, tf.errors.UnavailableError])
def test_a_session_that_is_lost_while_we_read_it(error, graph, tmp_path, warnings_logged):
    """The error is re-raised, so MonitoredSession makes a new session from a checkpoint."""
    train_op, count = build(), itertools.count()
    seen = []

    def evaluate(session, step):
        if next(count) == 2:
            raise error(None, None, "preempted")
        return {"loss": 0.0}

    class Watch(v1.train.SessionRunHook):
        def after_create_session(self, session, coord):
            seen.append(session)

    hook = fh.FreezeHook(evaluate=evaluate, strict=True, **FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        save_checkpoint_steps=5,
        save_summaries_steps=None,
        hooks=[hook, Watch()],
    ) as session:
        for _ in range(20):
            session.run(train_op, FEEDS)
    assert len(seen) == 2
    assert_each_checkpoint_has_its_file(tmp_path)
    assert not [w for w in warnings_logged if "no frozen file" in w]
