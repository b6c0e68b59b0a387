"""Paths as users write them: with "~", as bytes or path objects, with a "/" at the end."""

from __future__ import annotations

import os
from typing import Any

from .errors import FreezeError


def directory_path(path: Any) -> str:
    """A directory's path."""
    return os.path.expanduser(os.fsdecode(path))


def file_path(path: Any) -> str:
    """The path of a file to write.

    Raises:
      FreezeError: it is that of a directory.
    """
    found = directory_path(path)
    if found.endswith(("/", os.sep)):
        raise FreezeError(f"{found!r} is a directory: give the file's name too, {found}model.pb")
    return found
