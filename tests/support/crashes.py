"""Trainings that are killed while they save."""

import os
import signal
import time


def crash(programs, kind, directory, options, seconds):
    """Start a training of tests/programs/crashing.py; kill it so long after its first files."""
    programs.ask(f"{kind} {directory} {options}")
    child = int(programs.answer())
    assert programs.answer() == "begun"
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    while os.path.exists(f"/proc/{child}"):
        time.sleep(0.001)
