"""Temporary files of killed programs are deleted; those that are being written stay."""

import os
import subprocess
import sys
import threading

from freeze_hooks.storage import atomic, locks


def temporaries(directory):
    return sorted(name for name in os.listdir(str(directory)) if name.endswith(".tmp"))


def test_what_a_killed_program_left_goes_at_the_next_start(tmp_path):
    """Files that other programs are writing stay, and files that are not ours stay too."""
    script = (
        "import sys\n"
        "from freeze_hooks.storage import atomic\n"
        "def write(file):\n"
        "    file.write(b'n' * (4 << 20)); print('writing', flush=True); sys.stdin.read()\n"
        "atomic.publish(sys.argv[1], write)\n"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("killed.pb", "running.pb")
    ]
    for program in programs:
        assert program.stdout.readline() == b"writing\n"
    programs[0].kill()
    programs[0].wait()
    for name in (".notes.tmp", ".m.pb.0123.tmp", "m.pb.0123456789ab.tmp"):
        (tmp_path / name).write_bytes(b"not ours")
    assert len(temporaries(tmp_path)) == 5
    atomic.ensure_writable(str(tmp_path))
    left = temporaries(tmp_path)
    assert len(left) == 4 and not any("killed" in name for name in left)
    programs[1].kill()
    programs[1].wait()
    assert locks.sweep(str(tmp_path)) == [name for name in left if "running" in name]
    assert locks.sweep(str(tmp_path / "missing")) == []


def test_sweeping_never_takes_what_is_being_written(tmp_path):
    """This also holds in the moment between a file's creation and its mark."""
    done, swept = threading.Event(), []

    def sweeping():
        while not done.is_set():
            swept.extend(locks.sweep(str(tmp_path)))

    threads = [threading.Thread(target=sweeping) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for i in range(500):
            path = str(tmp_path / f"{i % 3}.pb")
            atomic.publish(path, lambda file, i=i: file.write(b"%d" % i))
            atomic.publish_link(path, str(tmp_path / "latest.pb"))
            assert (tmp_path / "latest.pb").read_bytes() == b"%d" % i
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert sorted(os.listdir(str(tmp_path))) == ["0.pb", "1.pb", "2.pb", "latest.pb"]
