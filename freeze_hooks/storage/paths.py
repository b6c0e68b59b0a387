"""Paths as users write them: with "~", as bytes or path objects."""

from __future__ import annotations

import os
from typing import Any


def plain_path(path: Any) -> str:
    """A path as a string, from the root if it began with "~"."""
    return os.path.expanduser(os.fsdecode(path))
