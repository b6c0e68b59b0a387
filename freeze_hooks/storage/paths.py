"""Reads paths as users write them: with "~", as bytes or path objects."""

from __future__ import annotations

import os
from typing import Any


def plain_path(path: Any) -> str:
    """Return a path as a string, with "~" expanded."""
    return os.path.expanduser(os.fsdecode(path))
