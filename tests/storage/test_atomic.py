"""Files are complete or not there at all, and are deleted with their checkpoints."""

import errno
import json
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import xxhash

from freeze_hooks.storage import atomic, retention, sink
from freeze_hooks.storage.descriptor import Descriptor
from freeze_hooks.storage.state_file import STATE_FILE

OLD, NEW = b"old" * 1000, b"new" * 2000


def names(directory):
    return sorted(os.listdir(str(directory)))


def read(path):
    with open(str(path), "rb") as file:
        return file.read()


def write(path, data=b""):
    with open(str(path), "wb") as file:
        file.write(data)


# publish


@pytest.mark.parametrize("expected", [0, 1, len(NEW), 10 * len(NEW)])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("name", ["m.pb", "модель 模型.pb"])
def test_publish(tmp_path, name, there, expected):
    path = tmp_path / name
    if there:
        write(path, OLD)
    written = atomic.publish(str(path), lambda file: file.write(NEW), expected)
    assert read(path) == NEW
    assert names(tmp_path) == [name]
    assert written == (len(NEW), xxhash.xxh3_64_hexdigest(NEW))


def test_publish_nothing(tmp_path):
    written = atomic.publish(str(tmp_path / "empty"), lambda file: None, 100)
    assert read(tmp_path / "empty") == b""
    assert written == (0, xxhash.xxh3_64_hexdigest(b""))


def test_pieces_of_all_sizes_and_kinds(tmp_path):
    """A buffer's size is counted in bytes, whatever the type of its items."""
    doubles = np.arange(300000.0)
    pieces = [b"", b"a", bytearray(b"bc"), memoryview(b"def"), doubles.data, doubles.astype("f4")]
    pieces += [np.ones((3, 5), np.int16).data, b"z" * (3 << 20)]
    whole = b"".join(bytes(piece) for piece in pieces)

    def fill(file):
        for piece in pieces:
            file.write(piece)

    written = atomic.publish(str(tmp_path / "f"), fill, 5)
    assert read(tmp_path / "f") == whole
    assert written == (len(whole), xxhash.xxh3_64_hexdigest(whole))


def test_readers_see_the_old_file_until_the_new_is_whole(tmp_path):
    path = tmp_path / "m.pb"
    write(path, OLD)

    def fill(file):
        file.write(NEW)
        assert read(path) == OLD
        file.write(NEW)
        (temporary,) = set(names(tmp_path)) - {"m.pb"}
        assert not temporary.endswith(".pb")  # so no program takes it for a frozen file

    atomic.publish(str(path), fill)
    assert read(path) == NEW + NEW


def test_is_on_disk_before_it_is_renamed(tmp_path, monkeypatch):
    done = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: done.append("sync") or fsync(fd))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append(read(a)) or replace(a, b))
    atomic.publish(str(tmp_path / "m.pb"), lambda file: file.write(NEW))
    assert done[:2] == ["sync", NEW]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("there", [False, True])
def test_failing_write_leaves_the_old_file(tmp_path, there, error):
    path = tmp_path / "m.pb"
    if there:
        write(path, OLD)

    def fill(file):
        file.write(NEW)
        raise error("in the midst of it")

    with pytest.raises(error, match="in the midst"):
        atomic.publish(str(path), fill, 12345)
    assert names(tmp_path) == ["m.pb"] * there
    assert not there or read(path) == OLD


def test_failing_rename_leaves_no_temporary_file(tmp_path):
    (tmp_path / "m.pb").mkdir()
    with pytest.raises(OSError):
        atomic.publish(str(tmp_path / "m.pb"), lambda file: file.write(NEW))
    assert names(tmp_path) == ["m.pb"]


@pytest.mark.parametrize("directory", ["missing", "file", os.path.join("file", "below")])
def test_publish_where_there_is_no_directory(tmp_path, directory):
    write(tmp_path / "file")
    with pytest.raises(OSError):
        atomic.publish(str(tmp_path / directory / "m.pb"), lambda file: file.write(NEW))
    assert names(tmp_path) == ["file"]


FULL = """
import resource, signal, sys
from freeze_hooks.storage import atomic

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, resource.RLIM_INFINITY))
path, thousands, expected = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
written = []

def fill(file):
    for _ in range(thousands):
        file.write(b"n" * 1000)
        written.append(1000)

try:
    atomic.publish(path, fill, expected)
except OSError as error:
    print(error.errno, sum(written))
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the length of files")
@pytest.mark.parametrize("expected", [0, 300000])
def test_no_room_for_the_file(tmp_path, expected):
    """The system refuses bytes beyond a limit, as on a full disk."""
    path = tmp_path / "m.pb"
    write(path, OLD)

    def publish_thousands(count):
        task = [str(path), str(count), str(expected and count * 1000)]
        printed = subprocess.check_output([sys.executable, "-c", FULL] + task, timeout=60)
        return printed.decode().split()

    reserved = expected and hasattr(os, "posix_fallocate")
    assert publish_thousands(300) == [str(errno.EFBIG), "0" if reserved else "300000"]
    assert (names(tmp_path), read(path)) == (["m.pb"], OLD)
    assert publish_thousands(90) == []
    assert (names(tmp_path), read(path)) == (["m.pb"], b"n" * 90000)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_disk_that_fills_up_while_a_large_file_is_written():
    """The writer gets the error of the writing thread, at the latest from result()."""
    data = b"n" * (16 << 20)
    with open("/dev/full", "wb", buffering=0) as full, sink.open_sink(
        Descriptor(full.fileno()), 0
    ) as file:
        with pytest.raises(OSError) as raised:
            for _ in range(100):
                file.write(data)
        assert raised.value.errno == errno.ENOSPC
        with pytest.raises(OSError):
            file.result()


def test_a_writer_that_fails_leaves_no_thread(tmp_path):
    def fill(file):
        for _ in range(18):  # the writing thread starts at 256 MiB
            file.write(b"n" * (16 << 20))
        raise KeyError("while reading")

    before = set(threading.enumerate())
    with pytest.raises(KeyError):
        atomic.publish(str(tmp_path / "m.pb"), fill)
    assert set(threading.enumerate()) <= before  # some of them may end meanwhile
    assert names(tmp_path) == []


def test_publish_json(tmp_path):
    path = tmp_path / "s.json"
    atomic.publish_json(str(path), {"b": [1, None], "a": "é"})
    assert json.loads(read(path).decode()) == {"b": [1, None], "a": "é"}
    # the order is kept: it tells the state which files are older
    assert read(path).index(b'"b"') < read(path).index(b'"a"')
    for bad in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            atomic.publish_json(str(path), bad)
    assert names(tmp_path) == ["s.json"]
    assert json.loads(read(path).decode())["a"] == "é"


# ensure_writable


def test_ensure_writable_makes_directories(tmp_path):
    directory = tmp_path / "a" / "ж"
    atomic.ensure_writable(str(directory))
    atomic.ensure_writable(str(directory))
    assert names(directory) == []


@pytest.mark.parametrize("directory", ["file", os.path.join("file", "below")])
def test_ensure_writable_under_a_file(tmp_path, directory):
    write(tmp_path / "file", OLD)
    with pytest.raises(OSError):
        atomic.ensure_writable(str(tmp_path / directory))
    assert read(tmp_path / "file") == OLD


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a place where root cannot write")
@pytest.mark.parametrize("directory", ["/proc/self", "/proc/self/new"])
def test_ensure_writable_where_nobody_can_write(directory):
    with pytest.raises(OSError):
        atomic.ensure_writable(directory)


# retain


class Run:
    """A directory of checkpoints and frozen files; each save calls `retain`."""

    def __init__(self, directory, name=""):
        self.directory, self.name, self.checkpoints = directory, name, set()

    def save(self, step, keep=2, name=None):
        name = self.name if name is None else name
        self.checkpoints.add(step)
        base = f"модель-{step}.{name}.pb" if name else f"модель-{step}.pb"
        for suffix in ("", ".json"):
            write(self.directory / (base + suffix))
        self.checkpoints = set(sorted(self.checkpoints)[-keep:])
        prefix = str(self.directory / f"модель-{step}")
        return retention.retain(str(self.directory), name, base, prefix, self.exists)

    def exists(self, prefix):
        assert os.path.dirname(prefix) == str(self.directory)
        return int(re.search(r"модель-(\d+)$", prefix).group(1)) in self.checkpoints

    def files(self):
        return [name for name in names(self.directory) if name != STATE_FILE]


def both(*bases):
    return sorted(base + suffix for base in bases for suffix in ("", ".json"))


def test_files_go_with_their_checkpoints(tmp_path):
    run = Run(tmp_path)
    assert run.save(1) == run.save(2) == []
    assert run.save(3) == [str(tmp_path / "модель-1.pb")]
    assert run.files() == both("модель-2.pb", "модель-3.pb")
    assert run.save(3) == []  # the same checkpoint again
    assert run.files() == both("модель-2.pb", "модель-3.pb")
    again = Run(tmp_path)  # a later process
    again.checkpoints = {3}
    assert again.save(4) == [str(tmp_path / "модель-2.pb")]
    assert again.files() == both("модель-3.pb", "модель-4.pb")


def test_files_of_other_names_stay(tmp_path):
    run = Run(tmp_path)
    write(tmp_path / "foreign-1.pb")
    for step in (1, 2):
        run.save(step, 9, name="ema")
    for step in (1, 2, 3):
        run.save(step, 1)
    ema = both("модель-1.ema.pb", "модель-2.ema.pb")
    assert run.files() == sorted(both("модель-3.pb") + ema + ["foreign-1.pb"])
    assert len(run.save(4, 1, name="ema")) == 2  # though the state was rewritten meanwhile


def test_new_file_stays_even_if_its_checkpoint_cannot_be_seen(tmp_path):
    write(tmp_path / "m-1.pb")
    retention.retain(str(tmp_path), "", "m-1.pb", str(tmp_path / "m-1"), lambda prefix: False)
    assert "m-1.pb" in names(tmp_path)


def test_checkpoints_elsewhere(tmp_path, monkeypatch):
    """Prefixes are stored relative to the files, so that both can be moved together."""
    out, run = tmp_path / "a" / "out", tmp_path / "a" / "run"
    out.mkdir(parents=True)
    run.mkdir()
    monkeypatch.chdir(str(tmp_path))
    asked = []
    for step in ("1", "2"):
        prefix = os.path.join("a", "run", step)
        retention.retain(os.path.join("a", "out"), "", step + ".pb", prefix, lambda p: True)
    os.rename("a", "b")
    retention.retain("b/out", "", "3.pb", "b/run/3", lambda p: asked.append(p) or True)
    assert sorted(asked) == [os.path.join("b", "run", "1"), os.path.join("b", "run", "2")]


def test_files_already_gone(tmp_path):
    run = Run(tmp_path)
    run.save(1, 1)
    os.unlink(str(tmp_path / "модель-1.pb"))
    assert run.save(2, 1) == [str(tmp_path / "модель-1.pb")]
    assert run.files() == both("модель-2.pb")


def test_file_that_cannot_be_deleted_now_is_deleted_later(tmp_path, monkeypatch):
    run, unlink = Run(tmp_path), os.unlink

    def refuse(path, **more):
        if path.endswith("1.pb"):
            raise PermissionError(path)
        unlink(path, **more)

    run.save(1, 1)
    monkeypatch.setattr(os, "unlink", refuse)
    assert run.save(2, 1) == []
    assert run.files() == both("модель-1.pb", "модель-2.pb")
    monkeypatch.setattr(os, "unlink", unlink)
    run.save(3, 1)
    assert run.files() == both("модель-3.pb")


BROKEN = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"7",
    b"[]",
    b'"text"',
    b"[" * 100000,
    b'{"": []}',
    b'{"": 3}',
    b'{"": {"files": []}}',
    b'{"": {"files": "m.pb"}}',
    b'{"": {"files": {"m.pb": null}}}',
    b'{"": {"files": {"m.pb": ["x"]}}}',
    b'{"": {"files": {"m.pb": {"x": 1}}}}',
    b'{"": {"files": {"\\u0000.pb": "gone"}}}',
    b'{"": {"files": {"m.pb": "\\u0000"}}}',
    b'{"": {"files": {"\\ud800.pb": "gone"}}}',
    b'{"": {"files": {"m.pb": "\\ud800"}}}',
    b'{"": {"files": {"": "gone", ".": "gone", "..": "gone", "/": "gone"}}}',
    b'{"": {"files": {"sub.pb": "gone"}}}',
    b'{"other": NaN, "": {"files": {}}}',
    b'{"other": 1e999}',
]


@pytest.mark.parametrize("state", BROKEN, ids=lambda state: ascii(state[:60]))
def test_broken_state(tmp_path, state):
    """A broken state loses what it noted, but never fails a save or deletes other files."""
    (tmp_path / "sub.pb").mkdir()
    write(tmp_path / "m.pb", OLD)
    write(tmp_path / STATE_FILE, state)
    files = []
    for step in ("1", "2"):
        files = [step + ".pb"]
        write(tmp_path / files[0])
        prefix = str(tmp_path / step)
        retention.retain(str(tmp_path), "", files[0], prefix, lambda p, last=prefix: p == last)
    assert names(tmp_path) == sorted(files + ["m.pb", "sub.pb", STATE_FILE])
    kept = json.loads(read(tmp_path / STATE_FILE).decode())
    assert "1.pb" not in kept[""]["files"]
    assert kept[""]["files"]["2.pb"] == "2"


def test_only_frozen_files_of_the_directory_are_deleted(tmp_path):
    inside = tmp_path / "a" / "inside"
    inside.mkdir(parents=True)
    victims = [tmp_path / "x.pb", inside / "x.pb", inside / "checkpoint", inside / "m.index"]
    for victim in victims:
        write(victim, OLD)
    keys = ["../../x.pb", "../inside/x.pb", str(tmp_path / "x.pb"), "./x.pb", "checkpoint"]
    keys += ["m.index", "..\\..\\x.pb"]
    state = {"": {"files": dict.fromkeys(keys, "gone")}}
    write(inside / STATE_FILE, json.dumps(state).encode())
    retention.retain(str(inside), "", "m.pb", str(inside / "m"), lambda prefix: False)
    assert [read(victim) for victim in victims] == [OLD] * 4


def test_what_others_keep_in_the_state_stays(tmp_path):
    state = {"": {"best": 0.5, "files": {}}, "ema": {"files": {"e.pb": "e"}}, "later": [1, "ü"]}
    write(tmp_path / STATE_FILE, json.dumps(state).encode())
    retention.retain(str(tmp_path), "", "m.pb", str(tmp_path / "m"), lambda prefix: True)
    state[""]["files"]["m.pb"] = "m"
    assert json.loads(read(tmp_path / STATE_FILE).decode()) == state


def test_what_was_announced_is_known(tmp_path):
    """Programs ended after they announced these files; one of the files was never written."""
    run = Run(tmp_path)
    run.save(1, 3)
    for step in (2, 3):
        prefix = str(tmp_path / f"модель-{step}")
        retention.announce(str(tmp_path), "", f"модель-{step}.pb", prefix)
    write(tmp_path / "модель-2.pb")
    assert run.save(4, 1) == [str(tmp_path / f"модель-{step}.pb") for step in (1, 2)]
    assert run.files() == both("модель-4.pb")
    assert "coming" not in json.loads(read(tmp_path / STATE_FILE).decode())[""]


def test_companions_go_with_their_file(tmp_path):
    run = Run(tmp_path)
    for step in (1, 2, 3):
        run.save(step, 1 if step == 3 else 2)
        for ending in (".onnx", ".tflite"):
            write(tmp_path / f"модель-{step}{ending}")
        retention.accompany(str(tmp_path), "", f"модель-{step}.pb", ".onnx")
    own = [f"модель-{step}.tflite" for step in (1, 2)]  # not noted as companions
    last = [f"модель-3{ending}" for ending in (".onnx", ".pb", ".pb.json", ".tflite")]
    assert run.files() == sorted(own + last)


def test_what_is_left_of_a_file_that_was_being_deleted(tmp_path):
    """A program was killed after it deleted the file, before its description and companion."""
    run = Run(tmp_path)
    run.save(1)
    retention.accompany(str(tmp_path), "", "модель-1.pb", ".onnx")
    write(tmp_path / "модель-1.onnx")
    state = json.loads(read(tmp_path / STATE_FILE).decode())
    mark = str(os.stat(str(tmp_path / "модель-1.pb")).st_ctime_ns)
    state[""].update(files={}, leaving={"модель-1.pb": mark})
    write(tmp_path / STATE_FILE, json.dumps(state).encode())
    os.unlink(str(tmp_path / "модель-1.pb"))
    run.save(2)
    assert run.files() == both("модель-2.pb")
    assert "made" not in json.loads(read(tmp_path / STATE_FILE).decode())[""]
