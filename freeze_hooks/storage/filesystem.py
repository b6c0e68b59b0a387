"""Local and remote file systems with the same methods: `filesystem_of(path)` returns the right one.

TensorFlow (tf.io.gfile) reads and writes paths with a scheme, such as `gs://` or `ram://`. They
have no fsync, and a rename may be a copy. On an object store, a reader of the final name sees the
old file, the new one, or for a moment none. `frozen.reader.read_graph_def` tells from the end of a
frozen file whether it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import re
import stat
import tempfile
import uuid
from typing import Any, Callable, Iterator, Optional, Tuple, Union

from .descriptor import Descriptor

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PIECE = 8 << 20  # bytes; gfile takes only bytes, so each piece is copied once


class Local:
    """The local file system.

    Attributes:
      rewrites: whether a part of a file can be overwritten in place.
    """

    rewrites = True

    @contextlib.contextmanager
    def created(
        self,
        path: str,
        expected: int = 0,
        is_ours: Optional[Callable[[], bool]] = None,
        check: Optional[Callable[[], None]] = None,
    ) -> Iterator[Any]:
        """Create a file with `put(buffer)`; it is on disk when the block ends without error.

        Args:
          path: a path without a file.
          expected: bytes to reserve first, so that a full disk is found before the first write.
          is_ours: called once the file exists; if it returns False, the file is created again.
          check: called before each write; raises if the save was given up.
        """
        while True:
            with open(path, "xb", buffering=0) as file:
                if is_ours is None or is_ours():
                    _reserve(file, expected)
                    yield Descriptor(file.fileno(), check)
                    file.truncate()
                    os.fsync(file.fileno())
                    return

    def opened(self, path: str) -> Any:
        """Open a file to read, with `read` and `seek`, for a `with` statement."""
        return open(path, "rb")

    def replace(self, source: str, path: str) -> None:
        """Rename a file to its final name, durably, and replace the file there."""
        os.replace(source, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)  # rename does nothing if both are names of one file
        _sync_directory(os.path.dirname(path) or ".")

    def link(self, source: str, path: str) -> None:
        """Make `path` a hard link to a file."""
        os.link(source, path)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents, if missing."""
        os.makedirs(path, exist_ok=True)

    def try_writing(self, directory: str) -> None:
        """Write a file in a directory and delete it, to test early that this works."""
        with tempfile.TemporaryFile(dir=directory):
            pass

    def size(self, path: str) -> int:
        """Return the length of a file in bytes."""
        return os.path.getsize(path)

    def stamp(self, path: str) -> Optional[Tuple[int, ...]]:
        """Return a value that changes when the file is rewritten; None if there is no file."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        is_file = stat.S_ISREG(status.st_mode)
        return (status.st_ino, status.st_mtime_ns, status.st_size) if is_file else None

    def identity(self, path: str) -> str:
        """Return a mark that changes if another file replaces this one; "" if unknown."""
        try:
            return str(os.stat(path).st_ctime_ns)
        except OSError:
            return ""

    def is_directory(self, path: str) -> bool:
        """Return whether there is a directory at the path."""
        return os.path.isdir(path)

    def is_absolute(self, path: str) -> bool:
        """Return whether a path does not depend on the working directory."""
        return os.path.isabs(path)

    def absolute(self, path: str) -> str:
        """Return the absolute path."""
        return os.path.abspath(path)

    def normal(self, path: str) -> str:
        """Return the path without parts such as `a/../`."""
        return os.path.normpath(path)

    def relative(self, path: str, directory: str) -> str:
        """Return the path relative to a directory of the same file system."""
        return os.path.relpath(path, directory)

    def split(self, path: str) -> Tuple[str, str]:
        """Return (directory, base name)."""
        return os.path.split(path)

    def join(self, directory: str, name: str) -> str:
        """Return the path of a name in a directory."""
        return os.path.join(directory, name)


class Remote:
    """Remote file systems that TensorFlow knows by a scheme; the methods are those of Local."""

    rewrites = False

    @contextlib.contextmanager
    def created(
        self,
        path: str,
        expected: int = 0,
        is_ours: Optional[Callable[[], bool]] = None,
        check: Optional[Callable[[], None]] = None,
    ) -> Iterator[Any]:
        """Create a file with `put(buffer)`; an error at closing it is raised too.

        `expected` and `is_ours` are not used: remote files cannot be reserved or locked.
        """
        writer = _Writer(path, check)
        try:
            yield writer
        except BaseException:
            with contextlib.suppress(OSError):
                writer.close()
            raise
        writer.close()

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """Open a file to read, with `read` and `seek`, for a `with` statement."""
        with _os_errors(path), _gfile().GFile(path, "rb") as file:
            yield file

    def replace(self, source: str, path: str) -> None:
        """Rename a file to its final name, and replace the file there."""
        with _os_errors(path):
            _gfile().rename(source, path, overwrite=True)

    def link(self, source: str, path: str) -> None:
        """Copy a file; `source` may be local."""
        with _os_errors(source):
            _gfile().copy(source, path, overwrite=True)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        with _os_errors(path):
            if _gfile().exists(path):
                _gfile().remove(path)

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents, if the file system has directories."""
        with _os_errors(path):
            _gfile().makedirs(path)

    def try_writing(self, directory: str) -> None:
        """Write a file in a directory and delete it, to test early that this works."""
        trial = self.join(directory, f".{uuid.uuid4().hex[:12]}.tmp")
        with self.created(trial) as writer:
            writer.put(b"\0")
        self.delete(trial)

    def size(self, path: str) -> int:
        """Return the length of a file in bytes."""
        with _os_errors(path):
            return int(_gfile().stat(path).length)

    def stamp(self, path: str) -> Optional[Tuple[int, ...]]:
        """Return a value that changes when the file is rewritten; None if there is no file."""
        with _os_errors(path):
            if not _gfile().exists(path) or _gfile().isdir(path):
                return None
            status = _gfile().stat(path)
            return int(status.mtime_nsec), int(status.length)

    def identity(self, path: str) -> str:
        """Return "", since remote files have no such mark."""
        return ""

    def is_directory(self, path: str) -> bool:
        """Return False: object stores have none, and `ram://` takes prefixes of names for some."""
        return False

    def is_absolute(self, path: str) -> bool:
        """Return True: the scheme is the root."""
        return True

    def absolute(self, path: str) -> str:
        """Return the path unchanged."""
        return path

    def normal(self, path: str) -> str:
        """Return the path unchanged: `a/../` may be a part of an object's name."""
        return path

    def relative(self, path: str, directory: str) -> str:
        """Return the path relative to a directory; the whole path if it is not inside."""
        start = self.join(directory, "")
        return path[len(start) :] if path.startswith(start) else path

    def split(self, path: str) -> Tuple[str, str]:
        """Return (directory, base name); the scheme alone is not a directory."""
        head, tail = posixpath.split(path)
        return (head + "//" if head.endswith(":") else head), tail

    def join(self, directory: str, name: str) -> str:
        """Return the path of a name in a directory."""
        return posixpath.join(directory, name)


_LOCAL, _REMOTE = Local(), Remote()


def filesystem_of(path: str) -> Union[Local, Remote]:
    """Return the file system of a path; all its methods raise OSError for failures."""
    return _REMOTE if _SCHEME.match(path) else _LOCAL


def read(path: str) -> bytes:
    """Return the content of a file.

    Raises:
      OSError: it cannot be read.
    """
    with filesystem_of(path).opened(path) as file:
        return bytes(file.read())


def pieces(path: str) -> Iterator[bytes]:
    """Yield the content of a file, a few megabytes at a time."""
    with filesystem_of(path).opened(path) as file:
        yield from iter(lambda: file.read(_PIECE), b"")


def directory_of(path: str) -> str:
    """Return the directory of a path; "." if it names none."""
    return filesystem_of(path).split(path)[0] or "."


def relative(path: str, directory: str) -> str:
    """Return a path relative to a directory; absolute if it is on another file system."""
    own, there = filesystem_of(path), filesystem_of(directory)
    return own.relative(path, directory) if own is there else own.absolute(path)


def resolved(path: str, directory: str) -> str:
    """Return a path that the program can open from one that `relative` returned."""
    if not filesystem_of(path).is_absolute(path):
        path = filesystem_of(directory).join(directory, path)
    return filesystem_of(path).normal(path)


class _Writer:
    """Writes a new file; there must be none yet, since `ram://` does not truncate files."""

    def __init__(self, path: str, check: Optional[Callable[[], None]] = None) -> None:
        self._path, self._check = path, check
        with _os_errors(path):
            self._file = _gfile().GFile(path, "wb")

    def put(self, data: Any) -> None:
        """Append a buffer."""
        if self._check is not None:
            self._check()
        view = memoryview(data).cast("B")
        with _os_errors(self._path):
            for start in range(0, len(view), _PIECE):
                self._file.write(bytes(view[start : start + _PIECE]))

    def close(self) -> None:
        """Write what is still buffered, and close the file."""
        with _os_errors(self._path):
            self._file.close()


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


@contextlib.contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Turn TensorFlow's errors into OSErrors: else a session may take them for its own."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(2, error.message, path) from error
    except tf.errors.OpError as error:
        raise OSError(f"{path}: {error.message}") from error


def _reserve(file: Any, size: int) -> None:
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _sync_directory(directory: str) -> None:
    """Make a rename durable; systems that cannot open a directory do not need this."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
