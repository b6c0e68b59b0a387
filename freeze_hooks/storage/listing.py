"""What is at a path of either file system: files, directories, checkpoints."""

from __future__ import annotations

from typing import List

from .filesystem import filesystem_of


def exists(path: str) -> bool:
    """Return whether there is a file or directory at the path."""
    return filesystem_of(path).exists(path)


def is_directory(path: str) -> bool:
    """Return whether there is a directory; `ram://` takes the beginning of any name for one."""
    return filesystem_of(path).has_names(path)


def names(directory: str) -> List[str]:
    """Return the names in a directory, sorted."""
    return filesystem_of(directory).names(directory)


def matching(pattern: str) -> List[str]:
    """Return the paths that match a pattern with `*` and `?`, sorted."""
    return filesystem_of(pattern).matching(pattern)


def modified(path: str) -> int:
    """Return when a file was last written, in nanoseconds."""
    return filesystem_of(path).modified(path)


def checkpoint_exists(prefix: str) -> bool:
    """Return whether a checkpoint of either format exists (tf.train's function is deprecated)."""
    if exists(prefix + ".index") or matching(prefix + "-?????-of-?????"):
        return True
    return exists(prefix) and not is_directory(prefix)


def checkpoint_may_exist(prefix: str) -> bool:
    """Return whether a checkpoint exists, or its file system cannot be asked."""
    try:
        return checkpoint_exists(prefix)
    except OSError:
        return True
