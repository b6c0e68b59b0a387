"""Proof of a written file: its answers are compared with the model's."""

from __future__ import annotations

import json
import mmap
import os
import uuid
from typing import Optional

import xxhash

from ..storage.filesystem import filesystem_of
from .expected import Expected


class Proof:
    """Compares a written file with its model, and notes the difference in its description.

    Attributes:
      mark: a placeholder in the description that the difference replaces; None for a remote path.
      difference: the largest difference, once `check` has run.
    """

    def __init__(self, expected: Expected, path: str) -> None:
        self._expected = expected
        self._path = path
        # it is overwritten in place
        self.mark: Optional[str] = uuid.uuid4().hex if filesystem_of(path).rewrites else None
        self.difference: Optional[float] = None

    def check(self, temporary: str) -> Optional[str]:
        """Run a complete file, and note the difference in it.

        Returns:
          The file's new hash, if it was changed.

        Raises:
          NotVerifiedError: its answers are not the live model's.
        """
        self.difference = self._expected.difference(temporary, self._path)
        if self.mark is None:
            return None
        mark = json.dumps(self.mark).encode()
        with open(temporary, "r+b") as file:
            with mmap.mmap(file.fileno(), 0) as view:
                place = view.rfind(mark)
                view[place : place + len(mark)] = _padded(self.difference, len(mark))
                view.flush()
                digest = xxhash.xxh3_64(view).hexdigest()
            os.fsync(file.fileno())
        return digest


def _padded(number: float, length: int) -> bytes:
    return json.dumps(number).encode().ljust(length)
