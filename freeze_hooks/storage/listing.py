"""What is at a path, here or behind a scheme; TensorFlow is imported for schemes only."""

from __future__ import annotations

import glob
import os
from typing import Any, List, Optional

from .filesystem import filesystem_of


def exists(path: str) -> bool:
    """Whether a file or directory is there."""
    there = _remote(path)
    if there is not None:
        return bool(there.exists(path))
    try:
        return os.path.exists(path)
    except ValueError:  # of Python 3.7, for a zero byte
        return False


def is_directory(path: str) -> bool:
    """Whether a directory is there; `ram://` takes the beginning of any name for one."""
    there = _remote(path)
    if there is not None:
        return bool(there.isdir(path))
    try:
        return os.path.isdir(path)
    except ValueError:
        return False


def names(directory: str) -> List[str]:
    """The names in a directory, in order.

    Raises:
      OSError: it cannot be read.
    """
    there = _remote(directory)
    found = os.listdir(directory) if there is None else there.listdir(directory)
    return sorted(name.rstrip("/") for name in found)


def matching(pattern: str) -> List[str]:
    """The paths that a pattern with `*` and `?` stands for."""
    there = _remote(pattern)
    return sorted(glob.glob(pattern) if there is None else there.glob(pattern))


def modified(path: str) -> int:
    """When a file was written last, in nanoseconds.

    Raises:
      OSError: it cannot be asked for.
    """
    there = _remote(path)
    return os.stat(path).st_mtime_ns if there is None else int(there.stat(path).mtime_nsec)


def checkpoint_exists(prefix: str) -> bool:
    """Whether a checkpoint of either format is there (tf.train's own function is deprecated)."""
    if exists(prefix + ".index") or matching(prefix + "-?????-of-?????"):
        return True
    return exists(prefix) and not is_directory(prefix)  # ram:// takes beginnings for those


def _remote(path: str) -> Optional[Any]:
    """The functions for the files behind a scheme; None for those of this machine."""
    if filesystem_of(path).rewrites:
        return None
    import tensorflow as tf

    return tf.io.gfile
