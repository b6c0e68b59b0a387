"""Programs that tests talk to, line by line, and that never keep a test waiting."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

from places import PROGRAMS, PYTHONPATH

PATIENCE = 300  # seconds; a loaded machine takes minutes to start TensorFlow


class Program:
    """One of tests/programs; with what it forks it is a group, which ends with it."""

    def __init__(self, name, *arguments):
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, it is closed with the program
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(PROGRAMS, name), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(
                os.environ,
                PYTHONFAULTHANDLER="1",
                PYTHONPATH=PYTHONPATH,
            ),
            start_new_session=True,
        )
        self._said = b""

    def ask(self, line):
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, seconds=PATIENCE):
        """The next line that it says; if that takes longer, an error that shows where it is."""
        until, out = time.monotonic() + seconds, self._process.stdout.fileno()
        while b"\n" not in self._said:
            ready, _, _ = select.select([out], [], [], max(0, until - time.monotonic()))
            said = os.read(out, 4096) if ready else b""
            if not said:
                self.fail("it has ended" if ready else "it stands still")
            self._said += said
        line, self._said = self._said.split(b"\n", 1)
        return line.decode()

    def fail(self, why):
        """End all of it, with an error that shows what it did and the last of what it said."""
        self._signal(signal.SIGABRT)
        self._signal(signal.SIGCONT)
        time.sleep(1)
        raise AssertionError(f"{why}\n{self.errors()}")

    def errors(self):
        """The last of what it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-8000:]

    def close(self):
        """End its standard input."""
        self._process.stdin.close()

    def kill(self):
        """Kill it, but not what it forked."""
        self._process.kill()
        self.wait()

    def wait(self, seconds=PATIENCE):
        return self._process.wait(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """End all of it, wherever it is."""
        self.close()
        self._signal(signal.SIGKILL)
        self.wait()
        self._errors.close()

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
