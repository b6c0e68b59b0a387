"""Processes that are told to end, interrupted or forked in the middle of a save."""

import ctypes
import json
import os
import signal
import threading
import time

import pytest
import xxhash
from answering import Program

import freeze_hooks as fh
from freeze_hooks.storage import locks

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


def temporaries(directory):
    return [p for p in directory.iterdir() if p.name.endswith(".tmp") and ".pb." in p.name]


@pytest.fixture(scope="module")
def programs():
    with Program("signalled.py") as program:
        yield program


def stop_in_a_save(programs, child, directory):
    """Stop a process in the middle of a save; returns the inode of the file that it writes."""
    for _ in range(5000):
        os.kill(child, signal.SIGSTOP)
        assert programs.answer() == "stopped"
        writing = [p for p in temporaries(directory) if ".json" not in p.name]
        if writing:
            return writing[0].stat().st_ino
        os.kill(child, signal.SIGCONT)
        time.sleep(0.002)
    programs.fail(f"it makes no more files than {sorted(os.listdir(str(directory)))}")


def send(number, process):
    """Send a signal to the main thread: of a stopped process, any thread may get it first, and
    Python's handler then waits for the main thread to come back from where it is."""
    tgkill = getattr(ctypes.CDLL(None), "tgkill", None)  # glibc has it from 2.30 on
    if tgkill is None:
        os.kill(process, number)
    else:
        assert tgkill(process, process, int(number)) == 0


def signalled(programs, number, directory, kind, grace="none", before="default", disk="fast"):
    """Send a signal in the middle of a save; returns the exit status and whether the file that was
    being written is there."""
    programs.ask(f"{kind} {directory} {grace} {before} {disk}")
    child = int(programs.answer())
    assert programs.answer() == "begun"
    inode = stop_in_a_save(programs, child, directory)
    send(number, child)
    os.kill(child, signal.SIGCONT)
    status = int(programs.answer())
    return status, inode in {p.stat().st_ino for p in directory.iterdir() if p.suffix == ".pb"}


def assert_whole(directory):
    """No temporary file is there, every file is whole, and the state names files that are there."""
    assert [p.name for p in directory.iterdir() if p.name.endswith(".tmp")] == []
    files = [p for p in directory.iterdir() if p.name.endswith(".pb")]
    assert files
    for path in files:
        fh.inspect(str(path))
        noted = json.loads((directory / (path.name + ".json")).read_text())
        assert xxhash.xxh3_64_hexdigest(path.read_bytes()) == noted["hash"]["value"]
    (own,) = json.loads((directory / "frozen_state.json").read_text()).values()
    assert set(own["files"]) == {p.name for p in files}


@pytest.mark.parametrize("kind", ["hook", "foreground", "background"])
def test_sigterm_lets_a_save_end(programs, kind, tmp_path):
    status, finished = signalled(programs, signal.SIGTERM, tmp_path, kind, grace=60)
    assert (status, finished) == (-signal.SIGTERM, True)
    assert_whole(tmp_path)


@pytest.mark.parametrize("kind", ["hook", "background"])
def test_a_save_that_takes_longer_than_the_grace_is_given_up(programs, kind, tmp_path):
    status, finished = signalled(programs, signal.SIGTERM, tmp_path, kind, grace=0.3, disk="slow")
    assert (status, finished) == (-signal.SIGTERM, False)
    assert_whole(tmp_path)


@pytest.mark.parametrize("kind", ["hook", "background"])
def test_an_earlier_handler_is_called_afterwards(programs, kind, tmp_path):
    assert signalled(programs, signal.SIGTERM, tmp_path, kind, grace=60, before="exit") == (3, True)
    assert_whole(tmp_path)


def test_no_grace_at_all(programs, tmp_path):
    status, finished = signalled(programs, signal.SIGTERM, tmp_path, "hook", grace=0)
    assert (status, finished) == (-signal.SIGTERM, False)
    assert_whole(tmp_path)


@pytest.mark.parametrize("kind", ["hook", "background"])
def test_ctrl_c_in_the_middle_of_a_save(programs, kind, tmp_path):
    """The foreground gives the file up, the background finishes it; training ends either way."""
    status, finished = signalled(programs, signal.SIGINT, tmp_path, kind)
    as_python_does_it = (-signal.SIGINT, 1)  # from 3.8 on, and before
    assert status in as_python_does_it, programs.errors()
    assert finished or kind != "background"
    assert_whole(tmp_path)


def test_nothing_is_installed_unless_asked_for(programs, tmp_path):
    status, finished = signalled(programs, signal.SIGTERM, tmp_path, "background")
    assert (status, finished) == (-signal.SIGTERM, False)
    assert len(temporaries(tmp_path)) == 1
    assert len(locks.sweep(str(tmp_path))) == 1
    assert_whole(tmp_path)


def test_it_is_undone():
    before = signal.getsignal(signal.SIGTERM)
    with fh.on_sigterm(grace=1) as handler:
        assert signal.getsignal(signal.SIGTERM) not in (before, None)
        with fh.on_sigterm():
            pass
    assert signal.getsignal(signal.SIGTERM) == before
    handler.close()
    assert signal.getsignal(signal.SIGTERM) == before


def test_somebody_elses_later_handler_stays():
    before, calls = signal.getsignal(signal.SIGTERM), []
    signal.signal(signal.SIGTERM, lambda number, frame: calls.append("before"))
    try:
        handler = fh.on_sigterm()
        mine = signal.getsignal(signal.SIGTERM)

        def later(number, frame):
            calls.append("later")
            mine(number, frame)

        signal.signal(signal.SIGTERM, later)
        os.kill(os.getpid(), signal.SIGTERM)
        handler.close()
        assert signal.getsignal(signal.SIGTERM) is later
        os.kill(os.getpid(), signal.SIGTERM)
        assert calls == ["later", "before"] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("grace", [-1, "20", None, True, float("nan"), float("inf")])
def test_grace_is_a_number_of_seconds(grace):
    with pytest.raises(fh.FreezeError, match="grace="):
        fh.on_sigterm(grace=grace)


def test_only_the_main_thread_can_ask():
    raised = []

    def ask():
        try:
            fh.on_sigterm()
        except fh.FreezeError as error:
            raised.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(60)
    assert len(raised) == 1 and "main thread" in raised[0]


@pytest.fixture
def forked(tmp_path):
    """A parent that writes, and its child; they have one standard input."""
    with Program("forking.py", tmp_path) as program:
        assert program.answer() == "child"
        yield program


def test_a_forked_process_leaves_its_parents_file_alone(forked, tmp_path):
    assert len(temporaries(tmp_path)) == 1
    assert (tmp_path / "child.pb").read_bytes() == b"child"
    forked.close()
    assert forked.wait() == 0
    assert temporaries(tmp_path) == []
    assert (tmp_path / "parent.pb").stat().st_size == 18 << 24


def test_a_forked_process_does_not_keep_its_parents_locks(forked, tmp_path):
    """The parent is killed, and the next program finds nothing in use while the child lives on."""
    assert locks.claim(str(tmp_path)) is None
    forked.kill()
    assert len(locks.sweep(str(tmp_path))) == 1
    assert locks.claim(str(tmp_path)) is not None
