"""Files of any file system that TensorFlow knows by a scheme, such as `ram://` (tf.io.gfile).

There is no fsync there, and a rename may be a copy: on an object store, a reader of the final name
sees the old file, the new one, or in between none. A part of one is told from the whole by its
end (`frozen.reader.read_graph_def`).
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from typing import Any, Iterator, Optional, Tuple

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PIECE = 8 << 20  # bytes; each is copied once, for gfile takes nothing but bytes


def is_remote(path: str) -> bool:
    """Whether a path has a scheme, and so is not this machine's file system's."""
    return bool(_SCHEME.match(path))


def split(path: str) -> Any:
    """(directory, base name), as os.path.split; a scheme is not taken for a directory."""
    head, tail = posixpath.split(path)
    return (head + "//" if head.endswith(":") else head), tail


class Writer:
    """A file to write, which must not be there yet: `ram://` does not shorten one."""

    def __init__(self, path: str) -> None:
        self._path = path
        with _os_errors(path):
            self._file = _gfile().GFile(path, "wb")

    def put(self, data: Any) -> None:
        """Append a buffer."""
        view = memoryview(data).cast("B")
        with _os_errors(self._path):
            for start in range(0, len(view), _PIECE):
                self._file.write(bytes(view[start : start + _PIECE]))

    def close(self) -> None:
        """Have the file system take what is still on its way."""
        with _os_errors(self._path):
            self._file.close()


@contextlib.contextmanager
def opened(path: str) -> Iterator[Writer]:
    """A new file to write; a failure to close it is one to write it."""
    writer = Writer(path)
    try:
        yield writer
    except BaseException:
        with contextlib.suppress(OSError):
            writer.close()
        raise
    writer.close()


def read(path: str) -> bytes:
    """All of a file."""
    with _os_errors(path), _gfile().GFile(path, "rb") as file:
        return bytes(file.read())


def rename(source: str, path: str) -> None:
    """Move a file to its final name, in place of what is there."""
    with _os_errors(path):
        _gfile().rename(source, path, overwrite=True)


def copy(source: str, path: str) -> None:
    """Copy a file."""
    with _os_errors(source):
        _gfile().copy(source, path, overwrite=True)


def delete(path: str) -> None:
    """Delete a file, if it is there."""
    with _os_errors(path):
        if _gfile().exists(path):
            _gfile().remove(path)


def make_directory(path: str) -> None:
    """Make a directory and those above it, where the file system has any."""
    with _os_errors(path):
        _gfile().makedirs(path)


def size(path: str) -> int:
    """The length of a file in bytes."""
    with _os_errors(path):
        return int(_gfile().stat(path).length)


def stamp(path: str) -> Optional[Tuple[int, ...]]:
    """What changes when a file is written anew; None if there is none."""
    with _os_errors(path):
        if not _gfile().exists(path) or _gfile().isdir(path):
            return None
        status = _gfile().stat(path)
        return int(status.mtime_nsec), int(status.length)


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


@contextlib.contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Errors as the local file system has them: those of TensorFlow could be a session's own."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(2, error.message, path) from error
    except tf.errors.OpError as error:
        raise OSError(f"{path}: {error.message}") from error
