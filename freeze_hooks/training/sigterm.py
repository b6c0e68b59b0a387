"""on_sigterm: lets a process that gets SIGTERM finish the file that it is writing."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
import time
from typing import Any

from ..errors import FreezeError
from ..storage import in_flight
from ..storage.descriptor import libc


class SigtermHandler:
    """The handler that `on_sigterm` installs; `close()` or the end of a `with` block removes it."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._active, self._busy = True, False
        self._previous = signal.getsignal(signal.SIGTERM)
        if self._previous is None:
            raise FreezeError(
                "SIGTERM has a handler that was not installed from Python, and so cannot be called "
                "after the one of on_sigterm(): call on_sigterm() before what installs that"
            )
        signal.signal(signal.SIGTERM, self._handle)

    def close(self) -> None:
        """Restore the earlier handler of SIGTERM; call it in the main thread."""
        self._active = False
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)

    def __enter__(self) -> SigtermHandler:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _handle(self, number: int, frame: Any) -> None:
        """Handle SIGTERM in the main thread, which may be in the middle of a save."""
        if not self._active or self._previous == signal.SIG_IGN:
            self._pass_on(number, frame)
            return
        if self._busy:  # a second SIGTERM
            return
        self._busy = True
        until = time.monotonic() + self._grace
        in_flight.close()
        if not in_flight.is_saving():
            self._finish(until, number, frame)
            return
        ended = threading.Event()
        in_flight.then(lambda: self._finish(until, number, frame, ended))
        if self._grace == 0:
            self._expire()
            return
        with contextlib.suppress(RuntimeError):  # no thread can start: the save has no limit
            # not threading.Thread: the main thread may hold one of its locks
            _thread.start_new_thread(self._watch, (ended,))
        # and the save goes on

    def _finish(self, until: float, number: int, frame: Any, ended: Any = None) -> None:
        if ended is not None:
            ended.set()
        if not in_flight.wait(until):
            in_flight.give_up()
        if self._previous != signal.SIG_DFL:
            in_flight.reopen()
        self._busy = False
        self._pass_on(number, frame)

    def _watch(self, ended: Any) -> None:
        if not ended.wait(self._grace):
            self._expire()

    def _expire(self) -> None:
        """Give up the saves: the main thread is still in its own, perhaps in a long call."""
        in_flight.give_up()
        if self._previous == signal.SIG_DFL:
            with contextlib.suppress(AttributeError):  # libc() may be None
                # signal.signal works only in the main thread
                libc().signal(int(signal.SIGTERM), None)
                os.kill(os.getpid(), signal.SIGTERM)

    def _pass_on(self, number: int, frame: Any) -> None:
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


def on_sigterm(grace: float = 20.0) -> SigtermHandler:
    """Call it once before training, and a process that gets SIGTERM (from a preempted machine, a
    stopped container, `kill`) first finishes the frozen file that it is writing.

        fh.on_sigterm(grace=20)

    A running save, in the foreground or the background, is finished, with its description and the
    directory's state. No new save begins. If this takes longer than `grace`, the save is given up:
    the old file stays, and the temporary file is deleted. Then SIGTERM does what it did before this
    call. Usually it ends the process, with the exit status of a process ended by SIGTERM. If there
    was a handler before, that is called.

    Without this call nothing is installed. Then SIGTERM during a save leaves a temporary file,
    which the next program that writes into the directory deletes.

    Python runs the handler in the main thread, between two Python instructions. So a running
    training step is finished first, and its time is added to `grace`.

    A handler that was there before is called afterwards. An example is that of
    tf.distribute.experimental.PreemptionCheckpointHandler: it notes the signal, and saves its
    checkpoint after a later step; frozen files may be written then, too. A handler that is
    installed after this call replaces this one, so make this call last. Keras 3 and
    MonitoredTrainingSession install none: their training ends at once.

    Args:
      grace: seconds after the signal that a save may still take; less than the sender waits before
        SIGKILL (30 seconds in Kubernetes and on preemptible cloud machines).

    Returns:
      The handler; `close()`, or the end of a `with` block, removes it.

    Raises:
      FreezeError: the call is not in the main thread, `grace` is not a number of seconds >= 0, or
        SIGTERM has a handler that was not installed from Python.
    """
    if threading.current_thread() is not threading.main_thread():
        raise FreezeError("on_sigterm() installs a signal handler: call it in the main thread")
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace < 1e6:
        raise FreezeError(f"grace= is a number of seconds from 0 on, not {grace!r}")
    return SigtermHandler(float(grace))
