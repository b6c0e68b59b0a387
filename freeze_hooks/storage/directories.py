"""Publishes complete directories or none: a temporary name, fsync, then one rename or exchange."""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import Callable, Iterator, List, Optional

from ..errors import FreezeError
from . import in_flight, locks
from .exchange import put_in_place
from .file_kinds import ABOUT, MAINS
from .filesystem import filesystem_of, pieces
from .sink import Sink, open_sink
from .unsynced import Unsynced

TEMPORARY = ".saved_model.tmp"
Check = Callable[[str, str], Optional[str]]  # as in `atomic`


class Directory:
    """A directory that is being written; `file` writes a file in it.

    Attributes:
      path: where its files are now.
      names: the files' names in it, in the order in which they were begun.
    """

    def __init__(self, path: str, unsynced: Optional[Unsynced] = None) -> None:
        self.path = path
        self._later = None if unsynced is None else unsynced.add
        self.names: List[str] = []

    @contextlib.contextmanager
    def file(self, name: str, expected: int = 0, check: Optional[Check] = None) -> Iterator[Sink]:
        """Give a sink for a file; `expected` and `check` are as in `atomic.publishing`."""
        path = self._place(name)
        files = filesystem_of(path)

        def finish() -> None:
            assert check is not None
            changed = check(path, sink.written.hash)
            if changed is not None:
                sink.written = sink.written._replace(hash=changed)

        def given_up() -> None:
            in_flight.check(self.path)

        finishing = None if check is None else finish
        opened = files.created(path, expected, check=given_up, finish=finishing, later=self._later)
        with opened as file, open_sink(file, expected=expected) as sink:
            yield sink
            sink.result()

    def link(self, source: str, name: str) -> int:
        """Make a file that is another one too; return its length.

        Raises:
          FreezeError: the directory's file system cannot do that.
        """
        path = self._place(name)
        try:
            if not filesystem_of(path).rewrites:
                raise OSError("it is a remote path")
            os.link(source, path)
        except OSError as error:
            raise FreezeError(
                f"{self.path} cannot have {source} as a hard link ({error.strerror or error}): "
                "give a directory of the checkpoint's own file system, or variables=True"
            ) from None
        with open(path, "rb") as file:
            if self._later is not None:
                self._later(file.fileno())  # the program that wrote it need not have waited
            return os.fstat(file.fileno()).st_size

    def copy(self, source: str, name: str) -> None:
        """Write a copy of a file."""
        with self.file(name) as sink:
            for piece in pieces(source):
                sink.write(piece)

    def _place(self, name: str) -> str:
        """Return the path to write a file at, in an existing directory."""
        self.names.append(name)
        return _path_in(self.path, name)


@contextlib.contextmanager
def publishing_directory(path: str) -> Iterator[Directory]:
    """Give a Directory that appears at `path` complete when the block ends, or not at all.

    A directory that is there is replaced as a whole, in one step where the system can do that. On a
    remote path, whose directories cannot be renamed, each file appears whole, and the file that was
    written first appears last.

    Raises:
      OSError: from the file system, such as ENOSPC; what was at `path` stays.
    """
    with in_flight.saving():
        if filesystem_of(path).rewrites:
            with _local(path) as directory:
                yield directory
        else:
            with _remote(path) as directory:
                yield directory


@contextlib.contextmanager
def _local(path: str) -> Iterator[Directory]:
    path = os.path.abspath(path)
    temporary = _temporary(path)
    process = os.getpid()
    try:
        with contextlib.ExitStack() as held, in_flight.temporary(temporary, delete_tree):
            _make(temporary, held)
            unsynced = held.enter_context(Unsynced())
            yield Directory(temporary, unsynced)
            in_flight.check(temporary)
            for directory, _, _ in os.walk(temporary):
                unsynced.add_directory(directory)
            unsynced.sync()
            left = put_in_place(temporary, path)
            _sync(os.path.dirname(path))
            if left:
                delete_tree(left)
    except BaseException:
        # a process that was forked during the block may get here too; the files are its parent's
        if os.getpid() == process:
            delete_tree(temporary)
        raise


def _temporary(path: str) -> str:
    files = filesystem_of(path)
    parent, base = files.split(files.absolute(path))
    return files.join(parent, f".{base}.{uuid.uuid4().hex[:12]}{TEMPORARY}")


def _path_in(directory: str, name: str) -> str:
    """Return the path of a file, in a directory that is there from now on."""
    files = filesystem_of(directory)
    path = files.join(directory, name)
    files.make_directory(files.split(path)[0])
    return path


def _make(path: str, held: contextlib.ExitStack) -> None:
    """Make a directory that no other process deletes as left over."""
    while True:
        os.mkdir(path)
        if locks.marked(path, held):
            return


@contextlib.contextmanager
def _remote(path: str) -> Iterator[Directory]:
    temporary, process = _temporary(path), os.getpid()
    directory = Directory(temporary)
    try:
        with in_flight.temporary(temporary, delete_tree):
            yield directory
            in_flight.check(temporary)
            for name in reversed(directory.names):
                source = filesystem_of(path).join(temporary, name)
                filesystem_of(path).replace(source, _path_in(path, name))
    finally:
        if os.getpid() == process:  # as in `_local`
            delete_tree(temporary)


def publish_symlink(source: str, path: str) -> None:
    """Publish `path` as a symbolic link to a directory beside it."""
    temporary = _temporary(path)
    parent = os.path.dirname(temporary)
    os.symlink(os.path.relpath(os.path.abspath(source), parent), temporary, True)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    _sync(parent)


def copy_directory(source: str, path: str) -> None:
    """Publish a copy of an artifact's directory; its main file is written first."""
    with publishing_directory(path) as directory:
        for name in sorted(files_in(source), key=lambda name: name not in MAINS):
            directory.copy(filesystem_of(source).join(source, name), name)


def files_in(directory: str, within: str = "") -> Iterator[str]:
    """Yield the paths of all files under a directory, relative to it.

    Links to directories are not followed: they may lead in circles.
    """
    files = filesystem_of(directory)
    here = files.join(directory, within)
    for name in files.names(here):
        inner = files.join(within, name)
        path = files.join(directory, inner)
        if not files.has_names(path):
            yield inner
        elif not os.path.islink(path):
            yield from files_in(directory, inner)


def is_ours(path: str) -> bool:
    """Return whether a path is a directory that freeze_hooks wrote as an artifact."""
    about = filesystem_of(path).join(path, ABOUT)
    return filesystem_of(path).stamp(about) is not None


def delete_directory(path: str) -> None:
    """Delete a directory that freeze_hooks wrote, if it is there; it disappears as a whole.

    On a remote path, its main file goes first, and the others one after the other.

    Raises:
      OSError: it cannot be deleted.
    """
    files = filesystem_of(path)
    if not is_ours(path):
        return
    if not files.rewrites:
        for name in MAINS:
            files.delete(files.join(path, name))
        files.delete_tree(path)
        return
    temporary = _temporary(path)
    os.rename(path, temporary)
    delete_tree(temporary)


def delete_tree(path: str) -> None:
    """Delete a directory with all that is in it, as far as that is possible."""
    with contextlib.suppress(OSError):
        filesystem_of(path).delete_tree(path)


def _sync(path: str) -> None:
    with contextlib.suppress(OSError):  # systems that cannot open a directory do not need this
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
