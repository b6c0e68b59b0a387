"""All that a directory consists of is on disk before it appears."""

import errno
import os
import threading

import pytest

from freeze_hooks.storage import directories

FILES = ("saved_model.pb", os.path.join("variables", "variables.index"))


def written(path, content=b"new"):
    with directories.publishing_directory(str(path)) as directory:
        for name in FILES:
            with directory.file(name) as file:
                file.write(content)


def read(path):
    return [(path / name).read_bytes() for name in FILES]


def inodes(path):
    """Return the inodes of a directory and of all that is in it."""
    found = {os.stat(str(path)).st_ino}
    for directory, inner, files in os.walk(str(path)):
        found |= {os.stat(os.path.join(directory, name)).st_ino for name in inner + files}
    return found


@pytest.fixture
def synced(monkeypatch):
    """The inodes that were synced, and after each rename "renamed"."""
    done, fsync, place = [], os.fsync, directories.put_in_place

    def seen(descriptor):
        fsync(descriptor)
        done.append(os.fstat(descriptor).st_ino)

    def placed(*paths):
        done.append("renamed")
        return place(*paths)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(directories, "put_in_place", placed)
    return done


def assert_on_disk_before(synced, path):
    renamed = synced.index("renamed")
    assert sorted(synced[:renamed]) == sorted(inodes(path))  # two files, two directories
    assert synced[renamed + 1 :] == [os.stat(str(path.parent)).st_ino]


def test_files_and_directories_are_on_disk_before_they_appear(synced, tmp_path):
    written(tmp_path / "m")
    assert len(inodes(tmp_path / "m")) == 4
    assert_on_disk_before(synced, tmp_path / "m")


def test_also_where_no_thread_starts(synced, monkeypatch, tmp_path):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    written(tmp_path / "m")
    assert_on_disk_before(synced, tmp_path / "m")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_does_not_reach_the_disk_keeps_the_old_ones(name, monkeypatch, tmp_path):
    written(tmp_path / "m", b"old")
    opened, fsync = set(os.listdir("/proc/self/fd")), os.fsync

    def failing(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(name):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        written(tmp_path / "m")
    assert read(tmp_path / "m") == [b"old"] * 2
    assert os.listdir(str(tmp_path)) == ["m"]
    assert set(os.listdir("/proc/self/fd")) == opened


def test_a_directory_that_cannot_be_synced_is_no_error(monkeypatch, tmp_path):
    fsync = os.fsync

    def failing(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    written(tmp_path / "m")
    assert read(tmp_path / "m") == [b"new"] * 2
