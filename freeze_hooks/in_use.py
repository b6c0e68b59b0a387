"""Locks: which temporary files a killed program left, and who else writes in a directory.

They are flock(2)'s, which the system gives back when a process ends, however it does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import weakref
from typing import Any, Iterator, List, Optional

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody writes cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.(.+\.pb(\.json)?|frozen_state\.json)\.[0-9a-f]{12}\.tmp\Z")


@contextlib.contextmanager
def created(path: str, held: contextlib.ExitStack) -> Iterator[Any]:
    """A new file to write, marked as being written until `held` ends, or the process does."""
    while True:
        with open(path, "xb", buffering=0) as file:
            if _marked(file.fileno(), held):
                yield file
                return
        # somebody took it for left over before it was marked


def _marked(descriptor: int, held: contextlib.ExitStack) -> bool:
    """Whether the file has its mark, and is still there."""
    if fcntl is None:
        return True
    mark = os.dup(descriptor)
    held.callback(os.close, mark)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(mark, fcntl.LOCK_EX)
    return os.fstat(mark).st_nlink > 0


class Claim:
    """That this process writes in a directory, as long as somebody holds on to it."""

    def __init__(self, descriptor: Optional[int] = None) -> None:
        if descriptor is not None:
            weakref.finalize(self, os.close, descriptor)


_claims: Any = weakref.WeakValueDictionary()
_claiming = threading.Lock()


def claim(directory: str) -> Optional[Claim]:
    """Claim a directory for this process; None if another one has, as far as the system tells."""
    path = os.path.realpath(directory)
    with _claiming:
        known = _claims.get(path)
        if known is None:
            known = _claimed(path)
            if known is not None:
                _claims[path] = known
        return known


def _claimed(path: str) -> Optional[Claim]:
    if fcntl is None:
        return Claim()
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a path with a scheme, or none
        return Claim()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        taken = error.errno in (errno.EAGAIN, errno.EACCES)
        return None if taken else Claim()
    return Claim(descriptor)


def sweep(directory: str) -> List[str]:
    """Delete a directory's temporary files that nobody writes any more; returns their names."""
    try:
        names = [name for name in os.listdir(directory) if _TEMPORARY.match(name)]
    except OSError:
        return []
    return [name for name in names if _deleted(os.path.join(directory, name))]


def _deleted(path: str) -> bool:
    try:
        if fcntl is not None:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                # another name of the file is a link on its way to be latest.pb
                if os.fstat(descriptor).st_nlink > 1:
                    return False
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)
        else:
            os.unlink(path)
    except OSError:  # it is in use, or gone
        return False
    return True
