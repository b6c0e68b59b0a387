"""Tracks running saves, so that other code can wait for them or give them up.

A forked process starts with none: the running saves belong to its parent.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any, Callable, Dict, Iterator, List

Delete = Callable[[str], None]


class _State:
    """State that all threads share; the lock is reentrant for the sake of signal handlers."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.saves: Dict[int, int] = {}  # {thread: depth of nested saves}
        self.files: Dict[str, Delete] = {}  # temporary files being written
        self.given_up: List[str] = []
        self.closed = False
        self.then: List[Callable[[], None]] = []  # called when the main thread's save has ended


_state = _State()


def _forget() -> None:
    global _state
    _state = _State()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """Mark the block as one save with all its files; a save inside it is a part of it."""
    thread, state = threading.get_ident(), _state
    with state.changed:
        while state.closed and thread not in state.saves and not _is_main():
            state.changed.wait()
        state.saves[thread] = state.saves.get(thread, 0) + 1
    try:
        yield
    finally:
        with state.changed:
            state.saves[thread] -= 1
            if not state.saves[thread]:
                del state.saves[thread]
            state.changed.notify_all()
        while _is_main() and state is _state and not is_saving() and state.then:
            state.then.pop()()


@contextlib.contextmanager
def temporary(path: str, delete: Delete) -> Iterator[None]:
    """Track a temporary file in the block; `give_up` deletes it by `delete`."""
    files = _state.files
    files[path] = delete
    try:
        yield
    finally:
        files.pop(path, None)


def check(path: str) -> None:
    """Check that a temporary file has not been given up.

    Raises:
      OSError: it has.
    """
    if path in _state.given_up:
        raise InterruptedError("given up, since the process was told to end (on_sigterm)")


def is_saving() -> bool:
    """Return whether this thread is in a save."""
    return threading.get_ident() in _state.saves


def then(action: Callable[[], None]) -> None:
    """Make the main thread call `action` when its current save has ended."""
    _state.then.append(action)


def close() -> None:
    """Keep other threads from starting saves until `reopen`."""
    _state.closed = True


def reopen() -> None:
    """Allow saves again."""
    with _state.changed:
        _state.closed = False
        _state.changed.notify_all()


def wait(until: float) -> bool:
    """Wait for other threads' saves; return False if time.monotonic() reaches `until` first."""
    me = threading.get_ident()
    with _state.changed:
        while any(thread != me for thread in _state.saves):
            left = until - time.monotonic()
            if left <= 0:
                return False
            _state.changed.wait(min(left, threading.TIMEOUT_MAX))
    return True


def give_up() -> None:
    """Delete the temporary files of all saves, so that these fail."""
    for path, delete in list(_state.files.items()):
        _state.given_up.append(path)
        with contextlib.suppress(OSError):
            delete(path)


def _is_main() -> Any:
    return threading.current_thread() is threading.main_thread()
