"""The part `shares`: where the time of a session's save goes.

Each stage is timed inside the library, at its calls. From 256 MB on, a thread writes while the next
values are read, so that the shares add up to over 100 %.
"""

import contextlib
import functools
import os
import time

import models
import xxhash
from measure import MIB
from session_freeze import Session, v1

from freeze_hooks.storage import sink
from freeze_hooks.storage.descriptor import Descriptor
from freeze_hooks.values import numerics


class Clock:
    """Collects the seconds of each stage."""

    def __init__(self):
        self.seconds = {}

    def timed(self, stage, call):
        """Wrap `call` so that its seconds count for a stage."""

        def run(*args, **kwargs):
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                passed = time.perf_counter() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + passed

        return run

    def hash(self):
        """Replace xxhash.xxh3_64() by a timed one."""
        made = xxhash.xxh3_64()
        return _Hash(self.timed("hash", made.update), made.hexdigest)


class _Hash:
    def __init__(self, update, hexdigest):
        self.update, self.hexdigest = update, hexdigest


class _Hashes:
    def __init__(self, xxh3_64):
        self.xxh3_64 = xxh3_64


@contextlib.contextmanager
def stages(clock):
    """Time the stages of the saves in the `with` block."""
    session = v1.Session.__mro__[1]  # the class that defines `run`
    places = [
        (session, "run", clock.timed("read", session.run)),
        (numerics, "_not_finite", clock.timed("check for NaN", numerics._not_finite)),
        (sink, "xxhash", _Hashes(clock.hash)),
        (Descriptor, "put", clock.timed("write", Descriptor.put)),
        (os, "posix_fallocate", clock.timed("reserve", os.posix_fallocate)),
        (os, "fsync", clock.timed("fsync", os.fsync)),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, value in places:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def times(name, rounds, directory):
    """In a child process: return {stage: seconds} of each save after the first; "save" is all."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    found = []
    with Session(models.build(name), directory) as session:
        for turn in range(rounds + 1):
            session.folder.clean()
            clock = Clock()
            session.hook.watch = functools.partial(stages, clock)
            clock.seconds["save"] = session.freeze()
            if turn:
                found.append(clock.seconds)
        return {"file_mib": session.size / MIB, "saves": found}
