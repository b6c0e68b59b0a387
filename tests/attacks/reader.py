"""A process that reads hostile files in limited memory and time; a new one starts if it dies."""

import json
import os
import subprocess
import sys
import threading

from places import PROGRAMS

PROGRAM = os.path.join(PROGRAMS, "reading.py")
MEGABYTES = 2048  # the limit for reading a file; TensorFlow's own threads reserve some of it
SECONDS = 300  # for a file of some kilobytes: only a hang takes longer


class Reader:
    """Give it files: `read("inspected", path=...)` returns {"outcome", "said", "peak"}."""

    def __init__(self, seconds=SECONDS):
        self._seconds = seconds
        self._process = None

    def __call__(self, kind, **task):
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, PROGRAM, str(MEGABYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                universal_newlines=True,
            )
        timer = threading.Timer(self._seconds, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(dict(task, kind=kind)) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        code = self._process.wait()
        self.close()
        return {"outcome": "died", "said": f"exit code {code}", "peak": 0}

    def close(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
            self._process = None
