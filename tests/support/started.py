"""Python programs in processes of their own, which need not import TensorFlow anew.

An import takes seconds, and many tests start a program. Each program runs in a copy (os.fork) of a
process that has imported TensorFlow, and nothing of this package. Use subprocess where a test is
about the start itself, or about variables that TensorFlow's import reads.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile

from places import PROGRAMS

PATIENCE = 600  # seconds
_starter = None


def run(arguments, cwd=None, env=None, fails=False):
    """Run `python ARGUMENTS` to its end, which must be well unless it `fails`.

    Returns subprocess.CompletedProcess, with what it printed as text.
    """
    with tempfile.TemporaryDirectory() as directory:
        out, errors = (os.path.join(directory, name) for name in ("out", "errors"))
        code = Started(arguments, out, errors, cwd, env).wait()
        with open(out, encoding="utf-8") as out, open(errors, encoding="utf-8") as errors:
            done = subprocess.CompletedProcess(arguments, code, out.read(), errors.read())
    assert (code != 0) == fails, done.stderr
    return done


class Started:
    """A program that runs, and adds what it prints to files."""

    def __init__(self, arguments, stdout, stderr, cwd=None, env=None):
        for path in (stdout, stderr):
            with open(path, "ab"):
                pass
        task = {"arguments": [str(a) for a in arguments], "cwd": cwd and str(cwd)}
        task.update(env=dict(os.environ if env is None else env), stdout=stdout, stderr=stderr)
        self.pid, self.returncode = _ask({"start": task}), None

    def poll(self):
        return self.wait(0)

    def wait(self, seconds=PATIENCE):
        """The exit status, as of subprocess; None if it still runs, which ends a poll alone."""
        if self.returncode is None:
            self.returncode = _ask({"wait": self.pid, "seconds": seconds})
            if self.returncode is None and seconds:
                self.kill()
                raise AssertionError(f"process {self.pid} still runs after {seconds} s")
        return self.returncode

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, 9)
            self.wait()


def _ask(task):
    global _starter
    if _starter is None:
        # no names, which would be there for the programs
        start = f'__import__("sys").path.insert(0, {PROGRAMS!r}); __import__("starter").serve()'
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        _starter = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        atexit.register(_end)
    _starter.stdin.write(json.dumps(task).encode() + b"\n")
    _starter.stdin.flush()
    return json.loads(_starter.stdout.readline().decode())


def _end():
    _starter.stdin.close()
    _starter.wait()
