"""Finds temporary files of killed programs, and other processes that write in a directory.

Both use flock(2) locks. The system releases these when a process ends, even if it is killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
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
# a SavedModel that was not complete, or that stepped aside for a new one
_DIRECTORY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.saved_model\.(tmp|old)\Z")


def marked(path: str, held: contextlib.ExitStack) -> bool:
    """Mark a new file or directory as in use until `held` or the process ends.

    Return False if it is gone: another process deleted it as old before it was marked.
    """
    if fcntl is None:
        return True
    how = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR
    try:
        mark = os.open(path, how)  # not a duplicate, so that it has its own lock
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
    """Delete a directory's temporary files that no process writes; return their names.

    A SavedModel that stepped aside for one that did not come is put back.
    """
    try:
        names = os.listdir(directory)
    except OSError:  # the directory is gone, or has a scheme
        return []
    return [name for name in names if _swept(directory, name)]


def _swept(directory: str, name: str) -> bool:
    path = os.path.join(directory, name)
    if _TEMPORARY.match(name):
        return _deleted(path)
    found = _DIRECTORY.match(name)
    return found is not None and _settled(path, os.path.join(directory, found.group(1)))


def _settled(path: str, final: str) -> bool:
    """Put a directory back that stepped aside, or delete it; return False if it is in use."""
    try:
        if os.path.islink(path):  # a link to a directory, which was about to be renamed
            os.unlink(path)
            return True
        with contextlib.ExitStack() as held:
            if fcntl is not None:
                how = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)
                descriptor = os.open(path, how)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.endswith(".old") and not os.path.lexists(final):
                os.rename(path, final)
            else:
                shutil.rmtree(path)
    except OSError:  # in use, or gone
        return False
    return True


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
