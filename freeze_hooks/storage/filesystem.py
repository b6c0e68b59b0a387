"""The file system of a path: ask `filesystem_of(path)`, and local and remote files are alike.

A path with a scheme, such as `gs://` or `ram://`, is TensorFlow's to read and write (tf.io.gfile).
There is no fsync there, and a rename may be a copy. On an object store, a reader of the final name
sees the old file, the new one, or in between none. The end of a frozen file tells a part of it from
the whole (`frozen.reader.read_graph_def`).
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
    """Files of this machine.

    Attributes:
      rewrites: whether a part of a file can be written over in place.
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
        """A new file with `put(buffer)`; all of it is on disk when the block ends well.

        Args:
          path: there must be no file yet.
          expected: bytes to reserve at once, so that a full disk is met before the first write.
          is_ours: asked once the file is there; if it says no, the file is made anew.
          check: called before each write; raises if no more is wanted.
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
        """A file to read, with `read` and `seek`, for a `with` statement."""
        return open(path, "rb")

    def replace(self, source: str, path: str) -> None:
        """Give a file its final name, for good, in place of what is there."""
        os.replace(source, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)  # two names of one file: renaming one to the other does nothing
        _sync_directory(os.path.dirname(path) or ".")

    def link(self, source: str, path: str) -> None:
        """Make `path` another name of a file's content."""
        os.link(source, path)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it, if they are missing."""
        os.makedirs(path, exist_ok=True)

    def try_writing(self, directory: str) -> None:
        """Write a file in a directory and delete it, to find out now whether that works."""
        with tempfile.TemporaryFile(dir=directory):
            pass

    def size(self, path: str) -> int:
        """The length of a file in bytes."""
        return os.path.getsize(path)

    def stamp(self, path: str) -> Optional[Tuple[int, ...]]:
        """What changes when a file is written anew; None if there is no file."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        is_file = stat.S_ISREG(status.st_mode)
        return (status.st_ino, status.st_mtime_ns, status.st_size) if is_file else None

    def identity(self, path: str) -> str:
        """What tells a file from one that somebody puts in its place; "" if nothing does."""
        try:
            return str(os.stat(path).st_ctime_ns)
        except OSError:
            return ""

    def is_directory(self, path: str) -> bool:
        """Whether a directory is there."""
        return os.path.isdir(path)

    def is_absolute(self, path: str) -> bool:
        """Whether a path means the same wherever the program is."""
        return os.path.isabs(path)

    def absolute(self, path: str) -> str:
        """The path from the root."""
        return os.path.abspath(path)

    def normal(self, path: str) -> str:
        """The path without detours such as `a/../`."""
        return os.path.normpath(path)

    def relative(self, path: str, directory: str) -> str:
        """The path from a directory of the same file system."""
        return os.path.relpath(path, directory)

    def split(self, path: str) -> Tuple[str, str]:
        """(directory, base name)."""
        return os.path.split(path)

    def join(self, directory: str, name: str) -> str:
        """The path of a name in a directory."""
        return os.path.join(directory, name)


class Remote:
    """Files of all file systems that TensorFlow knows by a scheme; the methods are as Local's."""

    rewrites = False

    @contextlib.contextmanager
    def created(
        self,
        path: str,
        expected: int = 0,
        is_ours: Optional[Callable[[], bool]] = None,
        check: Optional[Callable[[], None]] = None,
    ) -> Iterator[Any]:
        """A new file with `put(buffer)`; a failure to close it is one to write it.

        `expected` and `is_ours` are not used: nothing can be reserved or locked.
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
        """A file to read, with `read` and `seek`, for a `with` statement."""
        with _os_errors(path), _gfile().GFile(path, "rb") as file:
            yield file

    def replace(self, source: str, path: str) -> None:
        """Give a file its final name, in place of what is there."""
        with _os_errors(path):
            _gfile().rename(source, path, overwrite=True)

    def link(self, source: str, path: str) -> None:
        """Copy a file, which may be local."""
        with _os_errors(source):
            _gfile().copy(source, path, overwrite=True)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        with _os_errors(path):
            if _gfile().exists(path):
                _gfile().remove(path)

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it, where the file system has any."""
        with _os_errors(path):
            _gfile().makedirs(path)

    def try_writing(self, directory: str) -> None:
        """Write a file in a directory and delete it, to find out now whether that works."""
        trial = self.join(directory, f".{uuid.uuid4().hex[:12]}.tmp")
        with self.created(trial) as writer:
            writer.put(b"\0")
        self.delete(trial)

    def size(self, path: str) -> int:
        """The length of a file in bytes."""
        with _os_errors(path):
            return int(_gfile().stat(path).length)

    def stamp(self, path: str) -> Optional[Tuple[int, ...]]:
        """What changes when a file is written anew; None if there is no file."""
        with _os_errors(path):
            if not _gfile().exists(path) or _gfile().isdir(path):
                return None
            status = _gfile().stat(path)
            return int(status.mtime_nsec), int(status.length)

    def identity(self, path: str) -> str:
        """Always "": nothing tells a file from one that is put in its place."""
        return ""

    def is_directory(self, path: str) -> bool:
        """Always False: object stores have none, and `ram://` takes beginnings of names for one."""
        return False

    def is_absolute(self, path: str) -> bool:
        """Always True: the scheme is the root."""
        return True

    def absolute(self, path: str) -> str:
        """The path itself."""
        return path

    def normal(self, path: str) -> str:
        """The path itself: `a/../` may be a part of an object's name."""
        return path

    def relative(self, path: str, directory: str) -> str:
        """The path from a directory; all of it if it is elsewhere."""
        start = self.join(directory, "")
        return path[len(start) :] if path.startswith(start) else path

    def split(self, path: str) -> Tuple[str, str]:
        """(directory, base name); a scheme is not taken for a directory."""
        head, tail = posixpath.split(path)
        return (head + "//" if head.endswith(":") else head), tail

    def join(self, directory: str, name: str) -> str:
        """The path of a name in a directory."""
        return posixpath.join(directory, name)


_LOCAL, _REMOTE = Local(), Remote()


def filesystem_of(path: str) -> Union[Local, Remote]:
    """The file system that a path belongs to; all methods raise OSError for what fails there."""
    return _REMOTE if _SCHEME.match(path) else _LOCAL


def read(path: str) -> bytes:
    """All of a file.

    Raises:
      OSError: it cannot be read.
    """
    with filesystem_of(path).opened(path) as file:
        return bytes(file.read())


def pieces(path: str) -> Iterator[bytes]:
    """All of a file, a few megabytes at a time."""
    with filesystem_of(path).opened(path) as file:
        yield from iter(lambda: file.read(_PIECE), b"")


def directory_of(path: str) -> str:
    """The directory of a path; "." where it names none."""
    return filesystem_of(path).split(path)[0] or "."


def relative(path: str, directory: str) -> str:
    """A path from a directory; from the root, where they are of two file systems."""
    own, there = filesystem_of(path), filesystem_of(directory)
    return own.relative(path, directory) if own is there else own.absolute(path)


def resolved(path: str, directory: str) -> str:
    """The path that `relative` gave, from where the program is."""
    if not filesystem_of(path).is_absolute(path):
        path = filesystem_of(directory).join(directory, path)
    return filesystem_of(path).normal(path)


class _Writer:
    """A file to write, which must not be there yet: `ram://` does not shorten one."""

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
        """Have the file system take what is still on its way."""
        with _os_errors(self._path):
            self._file.close()


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
