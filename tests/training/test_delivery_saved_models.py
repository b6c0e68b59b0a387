"""Disks without room for one of a SavedModel's files: what is there stays, and training goes on."""

import errno
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from saved_directories import ABOUT, assert_complete, left_over
from saves import contents, leave, saves

import freeze_hooks as fh

v1 = tf.compat.v1
pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
MAIN, INDEX = "saved_model.pb", "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"
REQUESTS = "assets.extra/tf_serving_warmup_requests"
PARTS = [(False, name) for name in (MAIN, ABOUT)]
PARTS += [(True, name) for name in (MAIN, DATA, INDEX, ABOUT)]


def loaded(path):
    """Load it by TensorFlow's own loader."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(path))


@pytest.fixture
def full(monkeypatch):
    """A function that makes a call refuse one file of SavedModels; without a name, none."""
    refused = []

    def refusing(call):
        real = getattr(os, call)

        def act(descriptor, *more):
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            if refused and ".saved_model.tmp/" in path and path.endswith("/" + refused[0]):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, *more)

        return act

    def refuse(call, name):
        refused[:] = [name] if name else []
        if name:
            monkeypatch.setattr(os, call, refusing(call))

    return refuse


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("adapter", ["hook", "background"])
@pytest.mark.parametrize("variables, name", PARTS)
def test_no_room_for_one_of_its_files(
    variables, name, adapter, call, full, tmp_path, warnings_logged
):
    """Some file systems say so only when all is to be on disk."""
    seen = {}

    def act(i):
        if i == 2:
            seen["before"] = contents(tmp_path)
            full(call, name)
        if i == 4:
            full(call, None)
            seen["after"] = contents(tmp_path)
            assert not left_over(tmp_path)

    form = fh.SavedModel(variables=variables)
    (artifact,) = saves(adapter, tmp_path, act, form=form, name="{epoch}")
    for held in seen.values():
        del held["frozen_state.json"]  # it notes a SavedModel before that is written
    assert len(seen["before"]) == (4 if variables else 2) and seen["before"] == seen["after"]
    (said,) = [w for w in warnings_logged if "no frozen file" in w]
    assert "No space left on device" in said and str(tmp_path) in said
    assert [w for w in warnings_logged if "again, after 2 saves that failed" in w]
    assert not left_over(tmp_path)
    assert_complete(artifact.path)
    loaded(artifact.path)


@pytest.mark.parametrize("variables, name", [*PARTS, (True, REQUESTS)])
def test_no_room_for_one_that_replaces_another(variables, name, full, graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    w = v1.get_variable("w", [4, 3], initializer=v1.ones_initializer())
    tf.matmul(x, w, name="y")
    warmup = {"x": np.ones([1, 4], np.float32)} if name == REQUESTS else None
    form = fh.SavedModel(variables=variables, warmup=warmup)
    with v1.Session() as session:
        session.run(w.initializer)
        fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=form)
        before = contents(tmp_path)
        w.load(np.zeros([4, 3], np.float32), session)
        full("write", name)
        with pytest.raises(OSError, match="No space left"):
            fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=form)
        assert contents(tmp_path) == before and not left_over(tmp_path)
        full("write", None)
        fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=form, verify=True)
    assert contents(tmp_path) != before and os.listdir(str(tmp_path)) == ["m"]


@pytest.mark.parametrize("variables", [False, True])
@pytest.mark.parametrize(
    "adapter, name", [("hook", "{epoch}"), ("background", "{epoch}"), ("background", "model")]
)
def test_a_disk_that_is_full_at_any_block(adapter, name, variables, mounted, warnings_logged):
    """Space may end in each of the files, or in the state; at the end only the newest stays."""
    directory, free = mounted("size=256k"), 20
    found = []

    def act(i):
        if i:
            found.append(len(whole(directory)))
            leave(directory, i - 1)
        if i == free - 1:
            (directory / "other").unlink()

    form = fh.SavedModel(variables=variables)
    (artifact,) = saves(adapter, directory, act, free, form, name)
    assert whole(directory) == [artifact.path]
    assert found and min(found) == 1
    said = [w for w in warnings_logged if "No space left" in w]
    assert 1 <= len(said) <= 4
    loaded(artifact.path)


def whole(directory):
    """Return the SavedModels; check that they are complete, and known to the state."""
    found = [str(path) for path in directory.iterdir() if path.is_dir()]
    for path in found:
        assert_complete(path)
    assert not left_over(directory)
    state = directory / "frozen_state.json"
    if state.exists():
        for own in json.loads(state.read_text()).values():
            assert set(own.get("files", ())) <= {os.path.basename(path) for path in found}
    return found
