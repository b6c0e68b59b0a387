"""on_sigterm: a process that is told to end leaves no file half written."""

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
    """What `on_sigterm` has installed; `close()`, or the end of a `with` block, undoes it."""

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
        """Give SIGTERM the handler back that it had; call it in the main thread."""
        self._active = False
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._previous)

    def __enter__(self) -> SigtermHandler:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _handle(self, number: int, frame: Any) -> None:
        """In the main thread, wherever that is: perhaps in the middle of a save."""
        if not self._active or self._previous == signal.SIG_IGN:
            self._pass_on(number, frame)
            return
        if self._busy:  # told already
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
        with contextlib.suppress(RuntimeError):  # no thread to spare: the save may take its time
            # not threading.Thread, whose locks the main thread may have been stopped in
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
        """The main thread is still in its save, perhaps in a call that takes long."""
        in_flight.give_up()
        if self._previous == signal.SIG_DFL:
            with contextlib.suppress(AttributeError):  # there may be no libc to be had
                # signal.signal is for the main thread alone
                libc().signal(int(signal.SIGTERM), None)
                os.kill(os.getpid(), signal.SIGTERM)

    def _pass_on(self, number: int, frame: Any) -> None:
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


def on_sigterm(grace: float = 20.0) -> SigtermHandler:
    """Call it once before training, and a process that is told to end (SIGTERM: a preempted
    machine, a stopped container, `kill`) first finishes the frozen file it is writing.

        fh.on_sigterm(grace=20)

    A save that is under way, in the foreground or the background, is finished, with its
    description and the directory's state; no further one begins. If that takes longer than
    `grace`, it is given up: the file that was there stays, and no temporary one. Then SIGTERM
    does what it did before this call: it ends the process, as a rule, with the usual exit status
    of a process ended by SIGTERM; a handler that was installed before is called.

    Without this call nothing is installed, and SIGTERM during a save leaves a temporary file,
    which the next program that writes into the directory deletes.

    Python runs the handler in the main thread, between two of its own instructions: a training
    step that is under way is finished first, and its time comes on top of `grace`.

    Handlers of others: one that is there is called afterwards, such as that of
    tf.distribute.experimental.PreemptionCheckpointHandler, which notes the signal and saves its
    checkpoint after a later step; frozen files may be written then, too. What installs its own
    after this call replaces this one: call this one last. Keras 3 and MonitoredTrainingSession
    install none, so their training ends where the signal finds it.

    Args:
      grace: seconds, from the signal on, that a save may still take; less than what the sender
        grants before SIGKILL (30 seconds in Kubernetes and on preemptible machines of clouds).

    Returns:
      What undoes it, by `close()` or as a context manager.

    Raises:
      FreezeError: it is not called in the main thread, `grace` is not a number of seconds from 0
        on, or SIGTERM has a handler that was not installed from Python.
    """
    if threading.current_thread() is not threading.main_thread():
        raise FreezeError("on_sigterm() installs a signal handler: call it in the main thread")
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace < 1e6:
        raise FreezeError(f"grace= is a number of seconds from 0 on, not {grace!r}")
    return SigtermHandler(float(grace))
