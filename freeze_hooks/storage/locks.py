"""Finds temporary files of killed programs, and other processes that write in a directory.

Both use flock(2) locks. The system releases these when a process ends, even if it is killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import weakref
from typing import Any, List, Optional, Set

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(
    r"\.(.+\.(pb|onnx|tflite)(\.json)?|frozen_state\.json)\.[0-9a-f]{12}\.tmp\Z"
)


def marked(path: str, held: contextlib.ExitStack) -> bool:
    """Mark a new file as in use until `held` or the process ends.

    Return False if the file is gone: another process deleted it as old before it was marked.
    """
    if fcntl is None:
        return True
    try:
        mark = os.open(path, os.O_RDWR)  # not a duplicate, so that it has its own lock
    except FileNotFoundError:
        return False
    _marks.add(mark)
    held.callback(_unmark, mark)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(mark, fcntl.LOCK_EX)
    return os.fstat(mark).st_nlink > 0


def _unmark(mark: int) -> None:
    if mark in _marks:
        _marks.remove(mark)
        os.close(mark)


class Claim:
    """A claim that this process writes in a directory, as long as a reference to it exists."""

    def __init__(self, path: str, descriptor: Optional[int] = None) -> None:
        self._path, self._of = path, _identity(path)
        self._given_back = False
        self._close: Any = (
            None if descriptor is None else weakref.finalize(self, os.close, descriptor)
        )

    def holds(self) -> bool:
        """Return whether the claim is this process's own, and the directory is still the same."""
        return not self._given_back and _identity(self._path) == self._of

    def give_back(self) -> None:
        """Give the claim back now."""
        self._given_back = True
        if self._close is not None:
            self._close()


def _identity(path: str) -> Any:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


_marks: Set[int] = set()  # descriptors
_claims: Any = weakref.WeakValueDictionary()
_claiming = threading.Lock()


def _leave_to_parent() -> None:
    """Close a forked process's copies of its parent's locks, which would outlive the parent."""
    global _claiming
    _claiming = threading.Lock()  # another thread may have held it
    for mark in list(_marks):
        with contextlib.suppress(OSError):
            _unmark(mark)
    for known in list(_claims.values()):
        known.give_back()
    _claims.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def claim(directory: str) -> Optional[Claim]:
    """Claim a directory for this process; return None if another process has claimed it."""
    path = os.path.realpath(directory)
    with _claiming:
        known = _claims.get(path)
        if known is None or not known.holds():
            known = _claimed(path)
            if known is not None:
                _claims[path] = known
        return known


def _claimed(path: str) -> Optional[Claim]:
    if fcntl is None:
        return Claim(path)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a path with a scheme, or no directory
        return Claim(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        taken = error.errno in (errno.EAGAIN, errno.EACCES)
        return None if taken else Claim(path)
    return Claim(path, descriptor)


def sweep(directory: str) -> List[str]:
    """Delete a directory's temporary files that no process writes; return their names."""
    try:
        names = [name for name in os.listdir(directory) if _TEMPORARY.match(name)]
    except OSError:  # the directory is gone, or has a scheme
        return []
    return [name for name in names if _deleted(os.path.join(directory, name))]


def _deleted(path: str) -> bool:
    try:
        if fcntl is not None:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # 2 names: it is a hard link that is about to become latest.pb. 0 names: another
                # process deleted it, and the path may be a newer file's
                if os.fstat(descriptor).st_nlink != 1:
                    return False
                os.unlink(path)
            finally:
                os.close(descriptor)
        else:
            os.unlink(path)
    except OSError:  # in use, or gone
        return False
    return True
