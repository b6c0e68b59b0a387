"""Writes the weights of a TF.js model one after the other into files of one size."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional

from ...storage.directories import Directory
from ...storage.sink import Sink, Written

Check = Callable[[str, str], Optional[str]]  # as in `atomic`
_NAME = "group1-shard{}"


class Shards:
    """Takes bytes, and begins a new file where one is full; see `shards`.

    Attributes:
      written: what was written, by the names of the files, in their order.
    """

    def __init__(
        self, directory: Directory, size: int, total: Optional[int], check: Optional[Check]
    ) -> None:
        self._directory, self._size, self._total, self._check = directory, size, total, check
        self._count = None if total is None else -(-total // size)
        self._file: Optional[Sink] = None
        self._name = ""
        self._held = contextlib.ExitStack()
        self._before = 0
        self.written: Dict[str, Written] = {}

    @property
    def names(self) -> List[str]:
        """The names of the files."""
        return list(self.written)

    def write(self, data: Any) -> None:
        """Write a buffer, which must not change afterwards.

        Raises:
          OSError: an earlier buffer could not be written.
        """
        view = memoryview(data)
        if not view.nbytes:  # a view without elements cannot be cast
            return
        view = view.cast("B")
        while view.nbytes:
            file = self._file or self._begin()
            room = self._size - file.bytes
            file.write(view[:room])
            view = view[room:]
            if file.bytes == self._size:
                self._end()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Write in the block; the last file is complete when it ends."""
        with self._held:
            yield
            if self._file is not None:
                self._end()

    def _begin(self) -> Sink:
        number = len(self.written) + 1
        # without the number of all, if only the values tell it
        of = "" if self._count is None else f"of{self._count}"
        self._name = _NAME.format(number) + f"{of}.bin"
        left = 0 if self._total is None else min(self._size, self._total - self._before)
        opened = self._directory.file(self._name, left, self._check)
        self._file = self._held.enter_context(opened)
        return self._file

    def _end(self) -> None:
        assert self._file is not None
        file, self._file = self._file, None
        self._before += file.bytes
        self._held.close()
        self.written[self._name] = file.written
