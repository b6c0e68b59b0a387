"""Temporary files of programs that were killed: a lock tells them from those in use."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, ContextManager, List

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody writes cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.(.+\.pb(\.json)?|frozen_state\.json)\.[0-9a-f]{12}\.tmp\Z")


def hold(descriptor: int) -> ContextManager[Any]:
    """Mark an open file as being written until the block ends, or the process does."""
    held = contextlib.ExitStack()
    if fcntl is not None:
        mark = os.dup(descriptor)
        held.callback(os.close, mark)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return held


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
