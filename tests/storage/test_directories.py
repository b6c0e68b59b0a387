"""Directories appear whole, replace others whole, and a kill leaves nothing that stays."""

import fcntl
import os

import pytest

from freeze_hooks.storage import directories, exchange, locks
from freeze_hooks.storage.directories import (
    copy_directory,
    delete_directory,
    publish_symlink,
    publishing_directory,
)

ABOUT = os.path.join("assets.extra", "freeze_hooks.json")


def written(path, content=b"new"):
    with publishing_directory(str(path)) as directory:
        for name in ("saved_model.pb", ABOUT):
            with directory.file(name) as file:
                file.write(content)


def read(path):
    return (path / "saved_model.pb").read_bytes()


def test_it_appears_when_it_is_complete(tmp_path):
    with publishing_directory(str(tmp_path / "m")) as directory:
        with directory.file("saved_model.pb") as file:
            file.write(b"new")
        assert not (tmp_path / "m").exists()
    assert read(tmp_path / "m") == b"new"
    assert os.listdir(str(tmp_path)) == ["m"]


def test_an_error_leaves_the_old_one(tmp_path):
    written(tmp_path / "m", b"old")
    with pytest.raises(KeyError), publishing_directory(str(tmp_path / "m")) as directory:
        with directory.file("saved_model.pb") as file:
            file.write(b"new")
        raise KeyError
    assert read(tmp_path / "m") == b"old"
    assert os.listdir(str(tmp_path)) == ["m"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_it_replaces_another(exchanges, monkeypatch, tmp_path):
    if not exchanges:
        monkeypatch.setattr(exchange, "_exchanged", lambda source, path: False)
    written(tmp_path / "m", b"old")
    with open(str(tmp_path / "m" / "saved_model.pb"), "rb") as reader:
        written(tmp_path / "m")
        assert reader.read() == b"old"  # who has it open reads it to the end
    assert read(tmp_path / "m") == b"new"
    assert os.listdir(str(tmp_path)) == ["m"]


def test_linux_exchanges_two_directories_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
    assert exchange._exchanged(str(tmp_path / "a"), str(tmp_path / "b"))
    assert os.listdir(str(tmp_path / "a")) == ["b"]
    assert not exchange._exchanged(str(tmp_path / "a"), str(tmp_path / "none"))


def test_a_failed_rename_puts_the_old_one_back(monkeypatch, tmp_path):
    monkeypatch.setattr(exchange, "_exchanged", lambda source, path: False)
    written(tmp_path / "m", b"old")
    rename = os.rename

    def failing(source, path):
        if source.endswith(directories.TEMPORARY):
            raise OSError(5, "Input/output error")
        rename(source, path)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        written(tmp_path / "m")
    assert read(tmp_path / "m") == b"old"
    assert os.listdir(str(tmp_path)) == ["m"]


def left(tmp_path, ending, base="m"):
    path = tmp_path / f".{base}.0123456789ab.saved_model.{ending}"
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"left")
    return path


def test_what_a_kill_left_is_swept(tmp_path):
    left(tmp_path, "tmp")
    os.symlink("m", str(tmp_path / ".latest.0123456789ab.saved_model.tmp"))
    assert len(locks.sweep(str(tmp_path))) == 2
    assert os.listdir(str(tmp_path)) == []


def test_one_that_stepped_aside_comes_back(tmp_path):
    left(tmp_path, "old")
    locks.sweep(str(tmp_path))
    assert os.listdir(str(tmp_path)) == ["m"] and read(tmp_path / "m") == b"left"
    left(tmp_path, "old")  # and goes, where a new one stands
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"new")
    locks.sweep(str(tmp_path))
    assert os.listdir(str(tmp_path)) == ["m"] and read(tmp_path / "m") == b"new"


def test_one_that_another_process_writes_stays(tmp_path):
    path = left(tmp_path, "tmp")
    descriptor = os.open(str(path), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert locks.sweep(str(tmp_path)) == []
    finally:
        os.close(descriptor)
    assert path.exists()


def test_other_names_are_not_swept(tmp_path):
    for name in ("m.0123456789ab.saved_model.tmp", ".m.saved_model.tmp", ".m.0123.saved_model.old"):
        (tmp_path / name).mkdir()
    assert locks.sweep(str(tmp_path)) == []
    assert len(os.listdir(str(tmp_path))) == 3


def test_a_directory_that_is_being_written_is_not_swept(tmp_path):
    with publishing_directory(str(tmp_path / "m")) as directory:
        with directory.file("saved_model.pb") as file:
            file.write(b"new")
        assert locks.sweep(str(tmp_path)) == []
    assert read(tmp_path / "m") == b"new"


def test_a_link_names_the_newest(tmp_path):
    for step in ("10", "20"):
        written(tmp_path / step, step.encode())
        publish_symlink(str(tmp_path / step), str(tmp_path / "latest"))
        assert os.readlink(str(tmp_path / "latest")) == step
        assert read(tmp_path / "latest") == step.encode()
    assert sorted(os.listdir(str(tmp_path))) == ["10", "20", "latest"]


def test_only_our_own_directories_are_deleted(tmp_path):
    written(tmp_path / "m")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "saved_model.pb").write_bytes(b"theirs")
    for name in ("m", "other", "none"):
        delete_directory(str(tmp_path / name))
    assert os.listdir(str(tmp_path)) == ["other"]


def test_remote_directories(remote, tmp_path):
    import tensorflow as tf

    copy = f"{remote}/copies/m"
    written(tmp_path / "m")
    copy_directory(str(tmp_path / "m"), copy)
    assert sorted(tf.io.gfile.listdir(copy)) == ["assets.extra", "saved_model.pb"]
    with pytest.raises(KeyError), publishing_directory(copy) as directory:
        with directory.file("saved_model.pb") as file:
            file.write(b"never")
        raise KeyError
    with tf.io.gfile.GFile(copy + "/saved_model.pb", "rb") as file:
        assert file.read() == b"new"
    delete_directory(copy)
    assert not tf.io.gfile.exists(copy + "/saved_model.pb")
