"""Saves that the system really refuses: training goes on, files stay, a cause is reported once."""

import os
import shutil

import pytest
from saved_directories import assert_complete, left_over
from saves import contents, saves, v1
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

resource = pytest.importorskip("resource", reason="Windows limits no file's size")


class Limit:
    """While it is on, no file can grow beyond a size, so a write fails as on a full disk."""

    def __init__(self):
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on(self, size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._before[1]))

    def off(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def limit():
    """Nothing else may write meanwhile; pytest's own output is below the limits."""
    limit = Limit()
    yield limit
    limit.off()


ADAPTERS = ["hook", "hook in background", "foreground", "background"]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_full_disk(adapter, reserved, part, limit, tmp_path, monkeypatch, warnings_logged):
    """The error comes when space is reserved, or during the write if no space can be reserved."""
    if not reserved:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    seen = {}

    def act(i):
        if i == 2:
            seen["before"] = contents(tmp_path)
            largest = max(len(c) for name, c in seen["before"].items() if name.endswith(".pb"))
            limit.on(int(largest * part))
        if i == 5:
            limit.off()
            seen["after"] = contents(tmp_path)

    artifacts = saves(adapter, tmp_path, act)
    assert len(seen["before"]) == len(seen["after"]) == 3  # with .json and the state
    for held in seen.values():
        del held["frozen_state.json"]  # it notes a file before the file is written
    assert seen["before"] == seen["after"]
    said = [w for w in warnings_logged if "no frozen file" in w]
    assert len(said) == 1 and "File too large" in said[0]
    assert [w for w in warnings_logged if "again, after 3 saves that failed" in w]
    assert [os.path.exists(artifact.path) for artifact in artifacts] == [True]
    assert not [name for name in contents(tmp_path) if name.endswith(".tmp")]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize("variables", [False, True])
def test_a_full_disk_of_saved_models(
    adapter, reserved, variables, limit, tmp_path, monkeypatch, warnings_logged
):
    if not reserved:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    seen = {}

    def act(i):
        if i == 2:
            seen["before"] = contents(tmp_path)
            limit.on(max(map(len, seen["before"].values())) // 2)
        if i == 5:
            limit.off()
            seen["after"] = contents(tmp_path)

    form = fh.SavedModel(variables=variables)
    (artifact,) = saves(adapter, tmp_path, act, form=form, name="{epoch}")
    for held in seen.values():
        del held["frozen_state.json"]
    assert len(seen["before"]) == (4 if variables else 2) and seen["before"] == seen["after"]
    (said,) = [w for w in warnings_logged if "no frozen file" in w]
    assert "File too large" in said and str(tmp_path) in said
    assert [w for w in warnings_logged if "again, after 3 saves that failed" in w]
    assert not left_over(tmp_path)
    assert_complete(artifact.path)


@pytest.mark.parametrize("adapter", ["hook", "hook in background", "background"])
def test_a_directory_that_is_deleted(adapter, tmp_path, warnings_logged):
    """The hook goes on without files, and writes again once the directory is back."""
    directory = tmp_path / "files"
    directory.mkdir()

    def act(i):
        if i == 2:
            shutil.rmtree(str(directory))
            (tmp_path / "files").write_text("in its place")
        if i == 4:
            (tmp_path / "files").unlink()
            directory.mkdir()

    artifacts = saves(adapter, directory, act)
    said = [w for w in warnings_logged if "no frozen file" in w]
    assert len(said) == 1 and str(directory) in said[0]
    assert [os.path.exists(artifact.path) for artifact in artifacts][-1]


def test_two_causes_are_told_each(limit, tmp_path, warnings_logged):
    directory = tmp_path / "files"
    directory.mkdir()

    def act(i):
        if i == 1:
            limit.on(10)
        if i == 3:
            limit.off()
            shutil.rmtree(str(directory))

    saves("hook", directory, act)
    said = [w for w in warnings_logged if "no frozen file" in w]
    assert len(said) == 2 and "File too large" in said[0] and "No such file" in said[1]


def test_strict_raises(limit, graph, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(output_dir=str(tmp_path), save_steps=1, strict=True, **FREEZE)
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        session.run(train_op, FEEDS)
        limit.on(10)
        with pytest.raises(fh.FreezeError, match="File too large"):
            session.run(train_op, FEEDS)
        limit.off()
