"""Files behind a scheme, such as `gs://` or `ram://`, which TensorFlow (tf.io.gfile) serves.

They have no fsync, and a rename may be a copy. On an object store, a reader of the final name sees
the old file, the new one, or for a moment none. `frozen.reader.read_graph_def` tells from the end
of a frozen file whether it is complete.
"""

from __future__ import annotations

import contextlib
import posixpath
import uuid
from typing import Any, Callable, Iterator, List, Optional, Tuple

PIECE = 8 << 20  # bytes; gfile takes only bytes, so each piece is copied once


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
        finish: Optional[Callable[[], None]] = None,
        durable: bool = True,
        later: Optional[Callable[[int], None]] = None,
    ) -> Iterator[Any]:
        """Create a file with `put(buffer)`; an error at closing it is raised too.

        `expected`, `is_ours`, `durable` and `later` are not used: remote files cannot be reserved
        or locked, and closing them waits. `finish` is called once the file is complete.
        """
        writer = _Writer(path, check)
        try:
            yield writer
        except BaseException:
            with contextlib.suppress(OSError):
                writer.close()
            raise
        writer.close()
        if finish is not None:
            finish()

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """Open a file to read, with `read` and `seek`, for a `with` statement."""
        with _os_errors(path), _gfile().GFile(path, "rb") as file:
            yield file

    def replace(self, source: str, path: str, durable: bool = True) -> None:
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

    def delete_tree(self, path: str) -> None:
        """Delete a directory with all that is in it, if it is there."""
        with _os_errors(path):
            if _gfile().isdir(path):
                _gfile().rmtree(path)

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

    def has_names(self, path: str) -> bool:
        """Return whether `names` can list names under the path, which may be a prefix of some."""
        with _os_errors(path):
            return bool(_gfile().isdir(path))

    def exists(self, path: str) -> bool:
        """Return whether there is a file or directory at the path."""
        with _os_errors(path):
            return bool(_gfile().exists(path))

    def names(self, directory: str) -> List[str]:
        """Return the names in a directory, sorted."""
        with _os_errors(directory):
            return sorted(name.rstrip("/") for name in _gfile().listdir(directory))

    def matching(self, pattern: str) -> List[str]:
        """Return the paths that match a pattern with `*` and `?`, sorted."""
        with _os_errors(pattern):
            return sorted(_gfile().glob(pattern))

    def modified(self, path: str) -> int:
        """Return when a file was last written, in nanoseconds."""
        with _os_errors(path):
            return int(_gfile().stat(path).mtime_nsec)

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


class _Writer:
    """Writes a new file; there must be none yet, since `ram://` does not truncate files."""

    def __init__(self, path: str, check: Optional[Callable[[], None]] = None) -> None:
        self._path, self._check = path, check
        with _os_errors(path):
            self._file = _gfile().GFile(path, "wb")
            self._file.write(b"")  # makes the file, even if nothing follows

    def put(self, data: Any) -> None:
        """Append a buffer."""
        if self._check is not None:
            self._check()
        view = memoryview(data).cast("B")
        with _os_errors(self._path):
            for start in range(0, len(view), PIECE):
                self._file.write(bytes(view[start : start + PIECE]))

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
