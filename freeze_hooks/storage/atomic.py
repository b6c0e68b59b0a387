"""Complete files or none: temporary name, fsync, rename; and names of files, local or not."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import math
import os
import shutil
import tempfile
import uuid
from typing import Any, Callable, Iterator, Optional, Union

from . import filesystem, in_flight, locks
from .sink import Descriptor, Written, open_sink


def publish(
    path: str,
    write: Callable[[Any], None],
    expected: int = 0,
    beside: Optional[str] = None,
    check: Optional[Callable[[str], Optional[str]]] = None,
) -> Written:
    """Let `write(file)` fill a file that appears at `path` complete, or not at all.

    A reader sees the old file until the new one is whole and on disk; if `write` or the disk
    fails, the old file stays and the temporary one goes.

    Args:
      path: final name, in an existing directory.
      write: is given an object with `write(buffer)`.
      expected: bytes to reserve at once, so that a full disk is met before the first write.
      beside: a file that tells of the old one, and goes just before that does.
      check: is given the temporary name of the whole file; what it raises keeps the file from
        appearing. It may change the file, and then returns its new hash.

    Raises:
      OSError: from the file system, among them ENOSPC.
    """
    with in_flight.saving(), contextlib.ExitStack() as held, _replacing(path, beside) as temporary:
        with _opened(temporary, expected, held) as file, open_sink(file, expected=expected) as sink:
            write(sink)
            written = sink.result()
        changed = None if check is None else check(temporary)
        return written if changed is None else written._replace(hash=changed)


@contextlib.contextmanager
def _opened(path: str, expected: int, held: Any) -> Iterator[Any]:
    """A new file for a Sink; what was written is on disk when the block ends well.

    That it is in use is known until the ExitStack `held` ends, which is after it was renamed.
    """
    if filesystem.is_remote(path):
        with filesystem.opened(path) as writer:
            yield writer
        return
    with locks.created(path, held) as file:
        _reserve(file, expected)
        yield Descriptor(file.fileno(), functools.partial(in_flight.check, path))
        file.truncate()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _replacing(path: str, beside: Optional[str] = None) -> Iterator[str]:
    """A temporary name that becomes `path` if all goes well, and goes if not."""
    far = filesystem.is_remote(path)
    directory, base = filesystem.split(path) if far else os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{base}.{uuid.uuid4().hex[:12]}.tmp")
    process = os.getpid()
    try:
        with in_flight.temporary(temporary, delete):
            yield temporary
            in_flight.check(temporary)
            if beside is not None:
                with contextlib.suppress(FileNotFoundError):
                    delete(beside)
            (filesystem.rename if far else os.replace)(temporary, path)
        if not far:  # two names of one file: renaming one to the other does nothing
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except BaseException:
        # a process that was forked in the midst of it may come here too, and the file is not its
        if os.getpid() == process:
            with contextlib.suppress(OSError):
                delete(temporary)
        raise
    if not far:
        _sync_directory(directory)


def publish_json(path: str, content: Any) -> None:
    """Publish `content` as indented JSON."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
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


def is_absolute(path: str) -> bool:
    """Whether a path means the same wherever the program is."""
    return filesystem.is_remote(path) or os.path.isabs(path)


def directory_of(path: str) -> str:
    """The directory of a path, local or with a scheme; "." where it names none."""
    return str((filesystem.split if filesystem.is_remote(path) else os.path.split)(path)[0]) or "."


def make_directory(directory: str) -> None:
    """Make a directory, and those above it, if it is missing.

    Raises:
      OSError: it cannot be made.
    """
    if filesystem.is_remote(directory):
        filesystem.make_directory(directory)
    else:
        os.makedirs(directory, exist_ok=True)


def ensure_writable(directory: str) -> None:
    """Make the directory if it is missing, try to write in it, and clear what was left over there.

    Raises:
      OSError: it cannot be made, or not be written in.
    """
    make_directory(directory)
    if filesystem.is_remote(directory):
        trial = os.path.join(directory, f".{uuid.uuid4().hex[:12]}.tmp")
        with filesystem.opened(trial) as writer:
            writer.put(b"\0")
        filesystem.delete(trial)
    else:
        with tempfile.TemporaryFile(dir=directory):
            pass
        locks.sweep(directory)


def publish_link(source: str, path: str, beside: Optional[str] = None) -> None:
    """Make `path` another name of `source`'s content, or a copy where links are not to be had.

    `beside` is as for `publish`.
    """
    if filesystem.is_remote(path):
        with _replacing(path, beside) as temporary:
            filesystem.copy(source, temporary)
        return
    try:
        with _replacing(path, beside) as temporary:
            os.link(source, temporary)
    except OSError:
        with open(source, "rb") as file:
            publish(path, lambda sink: shutil.copyfileobj(file, sink), beside=beside)


def relative(path: str, directory: str) -> str:
    """A path from a directory on; whole, where only one of them has a scheme."""
    if not (filesystem.is_remote(path) or filesystem.is_remote(directory)):
        return os.path.relpath(path, directory)
    start = os.path.join(directory, "")
    if path.startswith(start):
        return path[len(start) :]
    return path if filesystem.is_remote(path) else os.path.abspath(path)


def delete(path: str) -> None:
    """Delete a file, local or with a scheme.

    Raises:
      OSError: it cannot be deleted; FileNotFoundError: it is not there.
    """
    (filesystem.delete if filesystem.is_remote(path) else os.unlink)(path)


def read(path: str) -> bytes:
    """All of a file, local or with a scheme.

    Raises:
      OSError: it cannot be read.
    """
    if filesystem.is_remote(path):
        return filesystem.read(path)
    with open(path, "rb") as file:
        return file.read()


def json_number(value: Optional[float]) -> Union[float, str, None]:
    """A number as JSON allows it: NaN and infinities are strings, which float() reads."""
    return value if value is None or math.isfinite(value) else repr(value)
