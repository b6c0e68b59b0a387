"""The file system of a path, local or remote: both have the same methods."""

from __future__ import annotations

import re
from typing import Iterator, Union

from .local_files import Local
from .remote_files import PIECE, Remote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL, _REMOTE = Local(), Remote()


def filesystem_of(path: str) -> Union[Local, Remote]:
    """Return the file system of a path; all its methods raise OSError for failures."""
    return _REMOTE if _SCHEME.match(path) else _LOCAL


def read(path: str) -> bytes:
    """Return the content of a file.

    Raises:
      OSError: it cannot be read.
    """
    with filesystem_of(path).opened(path) as file:
        return bytes(file.read())


def pieces(path: str) -> Iterator[bytes]:
    """Yield the content of a file, a few megabytes at a time."""
    with filesystem_of(path).opened(path) as file:
        yield from iter(lambda: file.read(PIECE), b"")


def directory_of(path: str) -> str:
    """Return the directory of a path; "." if it names none."""
    return filesystem_of(path).split(path)[0] or "."


def relative(path: str, directory: str) -> str:
    """Return a path relative to a directory; absolute if it is on another file system."""
    own, there = filesystem_of(path), filesystem_of(directory)
    return own.relative(path, directory) if own is there else own.absolute(path)


def resolved(path: str, directory: str) -> str:
    """Return a path that the program can open from one that `relative` returned."""
    if not filesystem_of(path).is_absolute(path):
        path = filesystem_of(directory).join(directory, path)
    return filesystem_of(path).normal(path)
