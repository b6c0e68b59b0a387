"""The file in an artifact's directory that describes it, and lists its other files."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Optional

from xxhash import xxh3_64

from ...storage.directories import Directory
from ...storage.file_kinds import ABOUT
from ...storage.sink import Written
from ..description import completed


def write_note(
    description: Mapping[str, Any],
    difference: Optional[float],
    files: Mapping[str, Written],
    directory: Directory,
) -> Written:
    """Write the note, and return what was written to the directory in all.

    Args:
      description, difference: as in `completed`.
      files: {name in the directory: what was written}, the main file included.
      directory: where to write.
    """
    about = completed(description, "", difference)
    del about["hash"]
    about["files"] = {name: _told(written) for name, written in files.items()}
    with directory.file(ABOUT) as file:
        file.write((json.dumps(about, indent=1, allow_nan=False) + "\n").encode())
    hashes = [written.hash for written in files.values() if written.hash]
    whole = hashes[0] if len(hashes) == 1 else str(xxh3_64("".join(hashes).encode()).hexdigest())
    return Written(sum(written.bytes for written in files.values()) + file.bytes, whole)


def _told(written: Written) -> Dict[str, Any]:
    """Describe a file; the index of variables has the checksums of linked files."""
    about: Dict[str, Any] = {"bytes": written.bytes}
    if not written.hash:
        return {**about, "linked": True}
    return {**about, "hash": {"algorithm": "xxh3_64", "value": written.hash}}
