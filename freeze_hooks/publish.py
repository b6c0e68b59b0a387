"""Complete files or none: temporary name, fsync, rename; and which files to keep."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import uuid
from typing import Any, Callable, Dict, List, NamedTuple

import xxhash

STATE_FILE = "frozen_state.json"
_BUFFER = 1 << 20  # smaller writes are gathered, larger ones go straight to the file


class Written(NamedTuple):
    """What was written: length in bytes, and the xxh3_64 hash of it in hexadecimal."""

    bytes: int
    hash: str


class _HashedFile:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = xxhash.xxh3_64()
        self._bytes = 0

    def write(self, data: Any) -> None:
        self._hash.update(data)
        self._file.write(data)
        self._bytes += memoryview(data).nbytes

    def result(self) -> Written:
        return Written(self._bytes, self._hash.hexdigest())


def publish(path: str, write: Callable[[Any], None], expected: int = 0) -> Written:
    """Let `write(file)` fill a file that appears at `path` complete, or not at all.

    A reader sees the old file until the new one is whole and on disk; if `write` or the disk
    fails, the old file stays and the temporary one goes.

    Args:
      path: final name, in an existing directory.
      write: is given an object with `write(buffer)`.
      expected: bytes to reserve at once, so that a full disk is met before the first write.

    Raises:
      OSError: from the file system, among them ENOSPC.
    """
    directory, base = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{base}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "xb", buffering=_BUFFER) as file:
            _reserve(file, expected)
            hashed = _HashedFile(file)
            write(hashed)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(directory)
    return hashed.result()


def publish_json(path: str, content: Any) -> None:
    """Publish `content` as indented JSON."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    publish(path, lambda file: file.write(text.encode()))


def _reserve(file: Any, size: int) -> None:
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _sync_directory(directory: str) -> None:
    """Make a rename last; some systems cannot open a directory, and need not."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def ensure_writable(directory: str) -> None:
    """Make the directory if it is missing, and try to write in it.

    Raises:
      OSError: it cannot be made, or not be written in.
    """
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def retain(
    directory: str, name: str, file: str, checkpoint: str, exists: Callable[[str], bool]
) -> List[str]:
    """Keep `file` as long as its checkpoint is there, and delete those that outlived theirs.

    Args:
      directory: where the files and their state are.
      name: whose files to look at; others are left alone.
      file: the base name of a new file.
      checkpoint: the prefix of its checkpoint.
      exists: whether a checkpoint of such a prefix is there.

    Returns:
      The paths of the deleted files.
    """
    path = os.path.join(directory, STATE_FILE)
    state = _load(path)
    own = _dict(state.get(name))
    files = _ours(_dict(own.get("files")))
    before = dict(files)
    files[file] = os.path.relpath(checkpoint, directory)
    gone = []
    for known in [f for f in files if f != file]:
        prefix = os.path.normpath(os.path.join(directory, files[known]))
        if not exists(prefix) and _delete(os.path.join(directory, known)):
            gone.append(os.path.join(directory, known))
            del files[known]
    if files != before:
        publish_json(path, {**state, name: {**own, "files": files}})
    return gone


def _dict(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _ours(files: Dict[str, Any]) -> Dict[str, str]:
    """What can be ours of a state's files: frozen files in this very directory."""
    return {
        file: checkpoint
        for file, checkpoint in files.items()
        if isinstance(checkpoint, str)
        and file == os.path.basename(file)
        and file.endswith(".pb")
        and "\0" not in file + checkpoint
    }


def _delete(path: str) -> bool:
    """Delete a frozen file and its description; False if the system refuses for now."""
    try:
        for doomed in (path, path + ".json"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(doomed)
    except OSError:  # Windows: somebody reads it
        return False
    return True


def _load(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        json.dumps(state, allow_nan=False, ensure_ascii=False).encode()  # else it is none of ours
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return _dict(state)
