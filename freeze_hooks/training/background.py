"""One thread that writes while training goes on."""

from __future__ import annotations

import os
import threading
import time
from typing import Callable, Dict, Optional

Job = Callable[[], None]
# Seconds. If the system gave a signal to another thread, Python runs its handler no sooner than the
# main thread comes back from a wait.
_LOOK = 1.0
_YIELD = 0.001


class Background:
    """Runs jobs one after the other in a thread.

    A newer job for the same path takes the place of one that waits. At most `room` of them wait: a
    job for another path is held up until the first has begun. The thread ends with its work and is
    no daemon, so that Python does not exit before a file is whole, even after an exception. A
    forked process has nothing of its parent's to do.
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
        """Run `job`, which writes `path`, when those before it are done; now, if the system has
        no thread to spare."""
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
            except BaseException as error:  # among them KeyboardInterrupt
                self._waiting.clear()
                self._thread = None
                if not isinstance(error, RuntimeError):
                    raise
        job()

    def flush(self) -> None:
        """Wait until nothing is left to do."""
        with self._own():
            while self._thread is not None:
                self._changed.wait(_LOOK)

    def _own(self) -> threading.Condition:
        if self._process != os.getpid():  # the thread and who had the lock are the parent's
            self._begin()
        return self._changed

    def raise_error(self) -> None:
        """Raise what a job raised, if one did, once."""
        with self._own():
            error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        time.sleep(_YIELD)  # who has begun this thread waits for it to let go of the interpreter
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
            del job  # else its values stay alive while the next one is awaited
