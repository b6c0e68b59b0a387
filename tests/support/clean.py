"""A process that runs frozen files with TensorFlow alone."""

import json
import os
import subprocess
import sys

import numpy as np
from places import PROGRAMS


class CleanProcess:
    """Runs a frozen file's tensors in another process, which never imports freeze_hooks."""

    def __init__(self, directory):
        self._directory = directory
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(PROGRAMS, "clean_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=str(directory),
        )

    def run(self, path, feeds, fetches, optimize=True):
        """The values of `fetches` (tensor names), as arrays, in their order."""
        inputs, out = str(self._directory / "feeds.npz"), str(self._directory / "out.npz")
        np.savez(inputs, **feeds)
        task = {"path": str(path), "feeds": inputs, "fetches": list(fetches), "out": out}
        task["optimize"] = optimize
        self._process.stdin.write((json.dumps(task) + "\n").encode())
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline().decode())
        if answer != "ok":
            raise RuntimeError(answer)
        with np.load(out, allow_pickle=True) as values:  # strings are objects
            return [values[f"v{i}"] for i in range(len(values.files))]

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
