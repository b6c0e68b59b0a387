"""Puts a directory in another's place: in one step where the system can, else in two."""

from __future__ import annotations

import contextlib
import os
import uuid

from . import locks
from .descriptor import libc

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def put_in_place(source: str, path: str) -> str:
    """Rename a directory to `path`; return where the directory is that was there, or "".

    On Linux, readers of `path` see the old directory or the new one (renameat2(2) with
    RENAME_EXCHANGE). Elsewhere there is a moment without any. If the program is killed then,
    `locks.sweep` puts the old one back.
    """
    if not os.path.lexists(path):
        os.rename(source, path)
        return ""
    if _exchanged(source, path):
        return source
    aside = _aside(path)
    with contextlib.ExitStack() as held:
        locks.marked(path, held)  # so that no other process puts it back meanwhile
        os.rename(path, aside)
        try:
            os.rename(source, path)
        except OSError:
            os.rename(aside, path)
            raise
    return aside


def _aside(path: str) -> str:
    directory, base = os.path.split(path)
    return os.path.join(directory, f".{base}.{uuid.uuid4().hex[:12]}.saved_model.old")


def _exchanged(source: str, path: str) -> bool:
    """Exchange two directories; return False if the system or the file system cannot."""
    rename = getattr(libc(), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(source), os.fsencode(path)
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
