"""Finds other callbacks or hooks of the same training that write to the same path."""

from __future__ import annotations

import os
import sys
from typing import Any, List, Optional

from .. import _keras, _tf
from ..errors import FreezeError
from ..storage.filesystem import filesystem_of

_LISTS = (_keras.CALLBACKS, _tf.HOOKS)


def others(own: Any) -> List[Any]:
    """Return the other callbacks or hooks of the caller that runs `own` now.

    Neither Keras nor TensorFlow gives this list, so it is read from the caller's stack frame.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        caller = getattr(frame.f_locals.get("self"), "__dict__", {})
        for name in _LISTS:
            listed = caller.get(name)
            if isinstance(listed, (list, tuple)) and any(other is own for other in listed):
                found = list(listed)
                found.remove(own)  # once, so that a callback listed twice is found
                return found
        frame = frame.f_back
    return []


def refuse_shared(own: Any, path: str, driven: Any = None) -> None:
    """Check that no other callback of the same training writes to this path.

    Args:
      own: the callback; callbacks of its kind have an attribute `writes_to`.
      path: where it writes; may have fields such as {epoch}.
      driven: a ModelCheckpoint that it runs.

    Raises:
      FreezeError: another callback does; or `own`, or `driven`, runs twice.
    """
    for other in others(own):
        if driven is not None and other is driven:
            raise FreezeError(
                "beside= runs the ModelCheckpoint, which is also among the callbacks of fit, so it "
                "would save twice: leave it out there"
            )
        if other is own:
            raise FreezeError(f"a {type(own).__name__} stands twice among the callbacks of one fit")
        found = _owned(other, path)
        if found is not None:
            raise FreezeError(
                f"{type(other).__name__} of the same fit writes to {found!r} too, and each would "
                f"overwrite or delete the other's {path!r}: give one of them another path"
            )


def _owned(other: Any, path: str) -> Optional[str]:
    """Return another callback's file or directory that is, or contains, `path`; else None."""
    attributes = getattr(other, "__dict__", {})
    files = [attributes.get(name) for name in _keras.WRITTEN_FILES]
    files.append(getattr(other, "writes_to", None))
    for file in files:
        if isinstance(file, (str, os.PathLike)) and _same(os.fspath(file), path):
            return str(file)
    for name in _keras.WRITTEN_DIRECTORIES:
        directory = attributes.get(name)
        if not isinstance(directory, (str, os.PathLike)):
            continue
        inside = "backup" in name and _absolute(path).startswith(
            os.path.join(_absolute(os.fspath(directory)), "")
        )
        if inside or _same(os.fspath(directory), path):
            return str(directory)
    return None


def _same(one: str, another: str) -> bool:
    return _absolute(one) == _absolute(another)


def _absolute(path: str) -> str:
    return filesystem_of(path).absolute(path)
