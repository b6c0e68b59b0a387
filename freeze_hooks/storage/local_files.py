"""Files of this machine."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import stat
import tempfile
import threading
from typing import Any, Callable, Iterator, List, Optional, Tuple

from .descriptor import Descriptor

_LARGE = 8 << 20  # bytes; for a smaller file, a thread costs more than it saves


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
        finish: Optional[Callable[[], None]] = None,
        durable: bool = True,
        later: Optional[Callable[[int], None]] = None,
    ) -> Iterator[Any]:
        """Create a file with `put(buffer)`; it is on disk when the block ends without error.

        Args:
          path: a path without a file.
          expected: bytes to reserve first, so that a full disk is found before the first write.
          is_ours: called once the file exists; if it returns False, the file is created again.
          check: called before each write; raises if the save was given up.
          finish: called once the file is complete, before it is all on disk.
          durable: whether to wait for the disk.
          later: called with the complete file's descriptor, in place of waiting for the disk.
        """
        while True:
            with open(path, "xb", buffering=0) as file:
                if is_ours is None or is_ours():
                    _reserve(file, expected)
                    yield Descriptor(file.fileno(), check)
                    file.truncate()
                    if finish is not None:
                        with _going_to_disk(file):
                            finish()
                    if later is not None:
                        later(file.fileno())
                    elif durable:
                        os.fsync(file.fileno())
                    return

    def opened(self, path: str) -> Any:
        """Open a file to read, with `read` and `seek`, for a `with` statement."""
        return open(path, "rb")

    def replace(self, source: str, path: str, durable: bool = True) -> None:
        """Rename a file to its final name, and replace the file there."""
        os.replace(source, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)  # rename does nothing if both are names of one file
        if durable:
            _sync_directory(os.path.dirname(path) or ".")

    def link(self, source: str, path: str) -> None:
        """Make `path` a hard link to a file."""
        os.link(source, path)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def delete_tree(self, path: str) -> None:
        """Delete a directory with all that is in it, as far as that is possible."""
        shutil.rmtree(path, ignore_errors=True)

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

    def has_names(self, path: str) -> bool:
        """Return whether `names` can list names under the path."""
        try:
            return os.path.isdir(path)
        except ValueError:  # Python 3.7, for a zero byte
            return False

    def exists(self, path: str) -> bool:
        """Return whether there is a file or directory at the path."""
        try:
            return os.path.exists(path)
        except ValueError:  # Python 3.7, for a zero byte
            return False

    def names(self, directory: str) -> List[str]:
        """Return the names in a directory, sorted."""
        return sorted(os.listdir(directory))

    def matching(self, pattern: str) -> List[str]:
        """Return the paths that match a pattern with `*` and `?`, sorted."""
        return sorted(glob.glob(pattern))

    def modified(self, path: str) -> int:
        """Return when a file was last written, in nanoseconds."""
        return os.stat(path).st_mtime_ns

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


def _reserve(file: Any, size: int) -> None:
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


@contextlib.contextmanager
def _going_to_disk(file: Any) -> Iterator[None]:
    """Write a large file to disk in a thread meanwhile."""
    errors: List[OSError] = []

    def sync() -> None:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=sync, name="freeze_hooks sync", daemon=True)
    started = os.fstat(file.fileno()).st_size >= _LARGE
    try:
        if started:
            thread.start()
    except RuntimeError:  # the interpreter is about to end
        started = False
    try:
        yield
    finally:
        if started:
            thread.join()
    if errors:  # a later fsync of the file does not report them again
        raise errors[0]


def _sync_directory(directory: str) -> None:
    """Make a rename durable; systems that cannot open a directory do not need this."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
