"""Writes to an open file descriptor, and starts the disk before all data is written."""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any, Callable, Optional

_SYNC_FILE_RANGE_WRITE = 2
_WRITEBACK = 8 << 20  # bytes; the disk is started each time that so many are written


class Descriptor:
    """Writes buffers to an open file descriptor, and starts the disk every few megabytes."""

    def __init__(self, descriptor: int, check: Optional[Callable[[], None]] = None) -> None:
        self._descriptor = descriptor
        self._check = check  # raises if the save was given up
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
    """Start to write to disk, so that fsync has less to wait for (sync_file_range(2))."""
    start = getattr(libc(), "sync_file_range", None)  # only on Linux
    if start is not None:
        start(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


@functools.lru_cache(maxsize=None)
def libc() -> Any:
    """Return the C library; None if ctypes cannot load it."""
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
