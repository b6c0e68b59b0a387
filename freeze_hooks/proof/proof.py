"""Proof of a written file: its answers are compared with those of the model it was made of."""

from __future__ import annotations

import json
import mmap
import os
import uuid
from typing import Optional

import xxhash

from ..storage import filesystem
from .expected import Expected


class Proof:
    """The place in a file's description where the difference is noted once it is known.

    Attributes:
      mark: stands in the description until then.
      difference: what was found.
    """

    def __init__(self, expected: Expected, path: str) -> None:
        self._expected = expected
        self._path = path
        # written over in place, which a path with a scheme does not allow
        self.mark: Optional[str] = None if filesystem.is_remote(path) else uuid.uuid4().hex
        self.difference: Optional[float] = None

    def check(self, temporary: str) -> Optional[str]:
        """Run a file that is all written, and note the difference in it.

        Returns:
          The file's new hash, if it was changed.

        Raises:
          NotVerifiedError: it does not answer as the live model.
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
