"""Proof of a written file: its bytes are read back, and its answers compared with the model's."""

from __future__ import annotations

import json
import uuid
from typing import Any, Optional

from ..storage.filesystem import filesystem_of
from .expected import Expected
from .layout import Content

_AT_ONCE = 1 << 20  # bytes


class Proof:
    """Compares a written file with its model, and notes the difference in its description.

    Attributes:
      mark: a placeholder in the description that the difference replaces; None if no difference is
        found, or the file is on a remote path, where it cannot be overwritten.
      difference: the largest difference, once `check` has run; None if the file is not run.
    """

    def __init__(self, expected: Expected, path: str) -> None:
        self._expected = expected
        self._path = path
        noted = expected.runs_files and filesystem_of(path).rewrites
        self.mark: Optional[str] = uuid.uuid4().hex if noted else None
        self.difference: Optional[float] = None

    def check(self, temporary: str, digest: str) -> Optional[str]:
        """Read and run a complete file, and note the difference in it.

        Args:
          temporary: the file's present name.
          digest: xxh3_64 of what was written, in hexadecimal.

        Returns:
          The file's new hash, if it was changed.

        Raises:
          NotVerifiedError: it has other bytes than were written, or its answers are not the live
            model's.
        """
        if not self._expected.runs_files:
            self._expected.read_back(temporary, self._path, digest)
            return None
        found = self._expected.difference(temporary, self._path, digest)
        self.difference, content = found
        return None if self.mark is None else self._note(temporary, content)

    def read_back(self, temporary: str, digest: str) -> None:
        """Read a file that is not run by itself, such as one of variables.

        Args:
          temporary, digest: as in `check`.

        Raises:
          NotVerifiedError: it has other bytes than were written.
        """
        self._expected.read_back(temporary, self._path, digest)

    def _note(self, temporary: str, content: Content) -> str:
        """Replace the mark by the difference, and return the new hash."""
        mark = json.dumps(self.mark).encode()
        noted = json.dumps(self.difference).encode().ljust(len(mark))
        found: Any = content.before
        with open(temporary, "r+b") as file:
            file.seek(content.start)
            node = file.read(content.length).replace(mark, noted)
            file.seek(content.start)
            file.write(node)
            found.update(node)
            for data in iter(lambda: file.read(_AT_ONCE), b""):
                found.update(data)
        return str(found.hexdigest())
