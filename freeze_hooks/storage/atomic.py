"""Publishes complete files or none: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import uuid
from typing import Any, Callable, Iterator, Optional, Union

from . import in_flight, locks
from .filesystem import filesystem_of, pieces
from .sink import Sink, Written, open_sink

Check = Callable[[str, str], Optional[str]]  # (temporary name, hash) -> the hash, if it changed


@contextlib.contextmanager
def publishing(
    path: str,
    expected: int = 0,
    beside: Optional[str] = None,
    check: Optional[Check] = None,
    durable: bool = True,
) -> Iterator[Sink]:
    """Give a sink for a file that appears at `path` complete when the block ends, or not at all.

    A reader sees the old file until the new one is complete and on disk. If the block or the disk
    fails, the old file stays and the temporary one is deleted.

    Args:
      path: final name, in an existing directory.
      expected: bytes to reserve first, so that a full disk is found before the first write.
      beside: a file that describes the old one; it is deleted just before the old one is replaced.
      check: called with the temporary name of the complete file and the hash of what was written;
        if it raises, the file does not appear. It may change the file, and then returns the new
        hash. Meanwhile a large file goes to disk.
      durable: whether the file is on disk when the block ends. Without, it outlives the process,
        but perhaps not the machine.

    Raises:
      OSError: from the file system, such as ENOSPC.
    """
    replacing = _replacing(path, beside, durable)
    with in_flight.saving(), contextlib.ExitStack() as held, replacing as temporary:

        def finish() -> None:
            assert check is not None
            changed = check(temporary, sink.written.hash)
            if changed is not None:
                sink.written = sink.written._replace(hash=changed)

        finishing = None if check is None else finish
        opened = _opened(temporary, expected, held, finishing, durable)
        with opened as file, open_sink(file, expected=expected) as sink:
            yield sink
            sink.result()


def publish(
    path: str,
    write: Callable[[Any], None],
    expected: int = 0,
    beside: Optional[str] = None,
    check: Optional[Check] = None,
    durable: bool = True,
) -> Written:
    """Publish a file that `write(file)` fills by `file.write(buffer)`; else as `publishing`."""
    with publishing(path, expected, beside, check, durable) as sink:
        write(sink)
    return sink.written


@contextlib.contextmanager
def _opened(
    path: str,
    expected: int,
    held: contextlib.ExitStack,
    finish: Optional[Callable[[], None]],
    durable: bool,
) -> Iterator[Any]:
    """Open a new file for a Sink; if `durable`, it is on disk when the block ends without error.

    The file is marked as in use until the ExitStack `held` ends, which is after the rename.
    `finish`, if any, is called once the file is complete.
    """
    is_ours = functools.partial(locks.marked, path, held)
    check = functools.partial(in_flight.check, path)
    with filesystem_of(path).created(path, expected, is_ours, check, finish, durable) as file:
        yield file


@contextlib.contextmanager
def _replacing(path: str, beside: Optional[str] = None, durable: bool = True) -> Iterator[str]:
    """Give a temporary name; the file is renamed to `path` at the end, or deleted on an error."""
    files = filesystem_of(path)
    directory, base = files.split(files.absolute(path))
    temporary = files.join(directory, f".{base}.{uuid.uuid4().hex[:12]}.tmp")
    process = os.getpid()
    try:
        with in_flight.temporary(temporary, files.delete):
            yield temporary
            in_flight.check(temporary)
            if beside is not None:
                files.delete(beside)
            files.replace(temporary, path, durable)
    except BaseException:
        # a process that was forked during the block may get here too; the file is its parent's
        if os.getpid() == process:
            with contextlib.suppress(OSError):
                files.delete(temporary)
        raise


def publish_json(path: str, content: Any, durable: bool = True) -> None:
    """Publish `content` as indented JSON."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    publish(path, lambda file: file.write(text.encode()), durable=durable)


def ensure_writable(directory: str) -> None:
    """Create the directory if missing, test that it is writable, and delete old temporary files.

    Raises:
      OSError: the directory cannot be created or written.
    """
    files = filesystem_of(directory)
    files.make_directory(directory)
    files.try_writing(directory)
    locks.sweep(directory)


def publish_link(source: str, path: str, beside: Optional[str] = None) -> None:
    """Publish `path` as a hard link to `source`, or as a copy if links are not possible.

    `beside` is as for `publish`.
    """
    try:
        with _replacing(path, beside) as temporary:
            filesystem_of(path).link(source, temporary)
    except InterruptedError:  # given up
        raise
    except OSError:
        size = filesystem_of(source).size(source)
        publish(path, functools.partial(_copy, source), size, beside)


def _copy(source: str, sink: Any) -> None:
    for piece in pieces(source):
        sink.write(piece)


def json_number(value: Optional[float]) -> Union[float, str, None]:
    """Return a number for JSON: NaN and infinities become strings that float() reads."""
    return value if value is None or math.isfinite(value) else repr(value)
