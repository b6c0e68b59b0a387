"""Waits for the disk once for several files and directories."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from typing import List


class Unsynced:
    """Files and directories that are complete, but perhaps not on disk; for a `with` statement.

    One fsync after the other would wait for the disk each time. At the same time, all of them take
    little longer than one. Until then their descriptors stay open, since only these are told that
    the system failed to write.
    """

    def __init__(self) -> None:
        self._files: List[int] = []
        self._directories: List[int] = []

    def __enter__(self) -> Unsynced:
        return self

    def __exit__(self, *error: object) -> None:
        for descriptor in self._files + self._directories:
            os.close(descriptor)

    def add(self, descriptor: int) -> None:
        """Add an open file, whose descriptor may be closed then."""
        self._files.append(os.dup(descriptor))

    def add_directory(self, path: str) -> None:
        """Add a directory."""
        with contextlib.suppress(OSError):  # systems that cannot open a directory do not need this
            self._directories.append(os.open(path, os.O_RDONLY))

    def sync(self) -> None:
        """Wait until all are on disk.

        Raises:
          OSError: a file could not be written.
        """
        errors: List[OSError] = []
        threads = []
        for descriptor in self._files + self._directories:
            raised = errors if descriptor in self._files else []  # not all systems sync directories
            wait = functools.partial(_sync, descriptor, raised)
            thread = threading.Thread(target=wait, name="freeze_hooks sync", daemon=True)
            try:
                thread.start()
                threads.append(thread)
            except RuntimeError:  # the interpreter is about to end
                wait()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def _sync(descriptor: int, errors: List[OSError]) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        errors.append(error)
