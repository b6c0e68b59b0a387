"""Runs jobs, such as writing a file, in one thread while training goes on; holds their values."""

from __future__ import annotations

import os
import threading
import time
from typing import Callable, Dict, Iterator, Optional

import xxhash

from ..errors import NotVerifiedError
from ..values.value import Value

Job = Callable[[], None]
# Seconds between wake-ups of a wait. Python runs signal handlers in the main thread, and only when
# it comes back from a wait.
_LOOK = 1.0
_YIELD = 0.001


class Background:
    """Runs jobs one after the other in a thread.

    A new job replaces a waiting one for the same path. At most `room` jobs wait: `submit` of a
    further one for another path blocks until one of them starts. The thread ends when it has no
    more jobs. It is no daemon, so Python does not exit before a file is complete, even after an
    exception. A forked process starts without its parent's jobs.
    """

    def __init__(self, room: float = 1) -> None:
        self._room = room
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: Dict[str, Job] = {}
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[BaseException] = None

    def submit(self, path: str, job: Job) -> None:
        """Run `job`, which writes `path`, after the earlier jobs.

        It runs at once if the system cannot start a thread.
        """
        with self._own():
            while len(self._waiting) >= self._room and path not in self._waiting:
                self._changed.wait(_LOOK)
            self._waiting[path] = job
            if self._thread is not None:
                return
            try:
                self._thread = threading.Thread(target=self._run, name="freeze_hooks background")
                self._thread.start()
                return
            except BaseException as error:  # including KeyboardInterrupt
                self._waiting.clear()
                self._thread = None
                if not isinstance(error, RuntimeError):
                    raise
        job()

    def flush(self) -> None:
        """Wait until all jobs are done."""
        with self._own():
            while self._thread is not None:
                self._changed.wait(_LOOK)

    def _own(self) -> threading.Condition:
        if self._process != os.getpid():  # a fork: thread and lock are the parent's
            self._begin()
        return self._changed

    def raise_error(self) -> None:
        """Raise a job's error, if there is one, once."""
        with self._own():
            error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        time.sleep(_YIELD)  # lets the thread that started this one run on first
        while True:
            with self._changed:
                if self._thread is not threading.current_thread():
                    return  # its start was interrupted
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                job = self._waiting.pop(next(iter(self._waiting)))
                self._changed.notify_all()
            try:
                job()
            except BaseException as error:
                with self._changed:
                    self._error = error
            del job  # frees its values while the thread waits for the next one


def held(read: Callable[[], Iterator[Value]], checked: bool = False) -> Iterator[Value]:
    """Read all values now and yield them later; each is freed when the next is taken.

    Args:
      read: returns the values.
      checked: whether to compare the hash of each value's bytes now and later: a value that shares
        a variable's memory must not change with the variable.

    Raises:
      NotVerifiedError: raised later: a value has changed.
    """
    taken = [Value(v.shape, v.nbytes, list(v.chunks), v.strings) for v in read()]
    taken.reverse()
    hashes = [_hash(value) for value in taken] if checked else []

    def release() -> Iterator[Value]:
        while taken:
            value = taken.pop()
            if checked and _hash(value) != hashes.pop():
                raise NotVerifiedError(
                    f"a value of shape {list(value.shape)} changed after it was read, before it "
                    "was written: save_on_background=False writes it at once"
                )
            yield value

    return release()


def _hash(value: Value) -> int:
    found = xxhash.xxh3_64()
    for chunk in value.chunks:
        found.update(chunk)
    for text in value.strings or ():
        found.update(text)
    return int(found.intdigest())
