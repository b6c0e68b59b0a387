"""An open file descriptor that takes buffers, and has the disk begin before all is there."""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any, Callable, Optional

_SYNC_FILE_RANGE_WRITE = 2
_WRITEBACK = 8 << 20  # bytes to gather before the disk is told to begin


class Descriptor:
    """Takes bytes for an open file descriptor, and tells the disk to begin before all is there."""

    def __init__(self, descriptor: int, check: Optional[Callable[[], None]] = None) -> None:
        self._descriptor = descriptor
        self._check = check  # raises if no more is wanted
        self._sent = 0
        self._done = 0

    def put(self, data: Any) -> None:
        """Append a buffer."""
        if self._check is not None:
            self._check()
        view = memoryview(data).cast("B")
        self._done += view.nbytes
        while view:
            view = view[os.write(self._descriptor, view) :]
        if self._done - self._sent >= _WRITEBACK:
            _start_writeback(self._descriptor, self._sent, self._done - self._sent)
            self._sent = self._done


def _start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Let the disk begin, so that fsync need not wait for all of it (sync_file_range(2))."""
    start = getattr(libc(), "sync_file_range", None)  # Linux alone has it
    if start is not None:
        start(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


@functools.lru_cache(maxsize=None)
def libc() -> Any:
    """The C library's functions; None where they cannot be reached by ctypes."""
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
