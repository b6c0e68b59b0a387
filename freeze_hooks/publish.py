"""Complete files or none: temporary name, fsync, rename; and which files to keep."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import math
import os
import shutil
import tempfile
import threading
import uuid
from typing import Any, Callable, Dict, Iterator, List, Optional, Union

from . import in_use, remote, underway
from .sink import Descriptor, Written, open_sink

STATE_FILE = "frozen_state.json"
_state_lock = threading.Lock()  # several adapters may write in one directory, in threads


def _unlock() -> None:
    """In a forked process: who had the lock may be no thread of it."""
    global _state_lock
    _state_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


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
    with underway.saving(), contextlib.ExitStack() as held, _replacing(path, beside) as temporary:
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
    if remote.is_remote(path):
        with remote.opened(path) as writer:
            yield writer
        return
    with in_use.created(path, held) as file:
        _reserve(file, expected)
        yield Descriptor(file.fileno(), functools.partial(underway.check, path))
        file.truncate()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _replacing(path: str, beside: Optional[str] = None) -> Iterator[str]:
    """A temporary name that becomes `path` if all goes well, and goes if not."""
    far = remote.is_remote(path)
    directory, base = remote.split(path) if far else os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{base}.{uuid.uuid4().hex[:12]}.tmp")
    process = os.getpid()
    try:
        with underway.temporary(temporary, _unlink):
            yield temporary
            underway.check(temporary)
            if beside is not None:
                with contextlib.suppress(FileNotFoundError):
                    _unlink(beside)
            (remote.rename if far else os.replace)(temporary, path)
        if not far:  # two names of one file: renaming one to the other does nothing
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except BaseException:
        # a process that was forked in the midst of it may come here too, and the file is not its
        if os.getpid() == process:
            with contextlib.suppress(OSError):
                _unlink(temporary)
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
    return remote.is_remote(path) or os.path.isabs(path)


def directory_of(path: str) -> str:
    """The directory of a path, local or with a scheme; "." where it names none."""
    return str((remote.split if remote.is_remote(path) else os.path.split)(path)[0]) or "."


def make_directory(directory: str) -> None:
    """Make a directory, and those above it, if it is missing.

    Raises:
      OSError: it cannot be made.
    """
    if remote.is_remote(directory):
        remote.make_directory(directory)
    else:
        os.makedirs(directory, exist_ok=True)


def ensure_writable(directory: str) -> None:
    """Make the directory if it is missing, try to write in it, and clear what was left over there.

    Raises:
      OSError: it cannot be made, or not be written in.
    """
    make_directory(directory)
    if remote.is_remote(directory):
        trial = os.path.join(directory, f".{uuid.uuid4().hex[:12]}.tmp")
        with remote.opened(trial) as writer:
            writer.put(b"\0")
        remote.delete(trial)
    else:
        with tempfile.TemporaryFile(dir=directory):
            pass
        in_use.sweep(directory)


def publish_link(source: str, path: str, beside: Optional[str] = None) -> None:
    """Make `path` another name of `source`'s content, or a copy where links are not to be had.

    `beside` is as for `publish`.
    """
    if remote.is_remote(path):
        with _replacing(path, beside) as temporary:
            remote.copy(source, temporary)
        return
    try:
        with _replacing(path, beside) as temporary:
            os.link(source, temporary)
    except OSError:
        with open(source, "rb") as file:
            publish(path, lambda sink: shutil.copyfileobj(file, sink), beside=beside)


def retain(
    directory: str,
    name: str,
    file: str,
    checkpoint: str,
    exists: Callable[[str], bool],
    keep: Optional[int] = None,
) -> List[str]:
    """Note a new file, and delete those that outlived their checkpoint or their turn.

    Args:
      directory: where the files and their state are.
      name: whose files to look at; others are left alone.
      file: the base name of the new file.
      checkpoint: the prefix of its checkpoint; "" for a file that has none.
      exists: whether a checkpoint of such a prefix is there.
      keep: keep the newest so many files instead, whatever becomes of their checkpoints; of those
        with a checkpoint where the new file has one, and else of those without.

    Returns:
      The paths of the deleted files.
    """

    def deleted(known: str) -> bool:
        return _delete(os.path.join(directory, known))

    def is_same(known: str, mark: str) -> bool:
        return not mark or _mark(os.path.join(directory, known)) == mark

    with _state(directory, name) as own:
        files = _ours(_dict(own.get("files")))
        files.pop(file, None)  # the newest comes last
        # what was to go when a program ended, or could not be deleted then
        leaving = _ours(_dict(own.get("leaving")))
        leaving.pop(file, None)
        leaving = {k: mark for k, mark in leaving.items() if is_same(k, mark) and not deleted(k)}
        files[file] = checkpoint and relative(checkpoint, directory)

        def outlived(known: str) -> bool:
            prefix = files[known]
            return bool(prefix) and not exists(_joined(directory, prefix))

        others = [known for known in files if known != file]
        if keep is None:
            over = [known for known in others if outlived(known)]
        else:
            alike = [known for known in others if bool(files[known]) == bool(checkpoint)]
            over = alike[: max(0, len(alike) + 1 - keep)]
        for known in over:
            del files[known]
        own["files"] = files
        own.pop("leaving", None)
        leaving.update((known, _mark(os.path.join(directory, known))) for known in over)
        if leaving:
            own["leaving"] = leaving
    # only now, so that the state never names what is not there
    return [os.path.join(directory, known) for known in over if deleted(known)]


def relative(path: str, directory: str) -> str:
    """A path from a directory on; whole, where only one of them has a scheme."""
    if not (remote.is_remote(path) or remote.is_remote(directory)):
        return os.path.relpath(path, directory)
    start = os.path.join(directory, "")
    if path.startswith(start):
        return path[len(start) :]
    return path if remote.is_remote(path) else os.path.abspath(path)


def _joined(directory: str, prefix: str) -> str:
    if remote.is_remote(prefix):
        return prefix
    joined = os.path.join(directory, prefix)
    return joined if remote.is_remote(joined) else os.path.normpath(joined)


class Best:
    """Whether a metric is the best so far; NaN never is.

    Args:
      monitor: the metric's name.
      mode: "min" or "max".
      threshold: what the first value must beat; None lets any number be the first best.
    """

    def __init__(self, monitor: str, mode: str, threshold: Optional[float] = None) -> None:
        self.monitor = monitor
        self.mode = mode
        self.value = self._written = threshold

    def beaten_by(self, value: float) -> bool:
        """Whether `value` is better than the best so far."""
        if math.isnan(value):
            return False
        if self.value is None:
            return True
        return value < self.value if self.mode == "min" else value > self.value

    def claim(self, value: float) -> Best:
        """Take a better value as the best; returns what is to be remembered with its file."""
        self.value = value
        return Best(self.monitor, self.mode, value)

    def written(self, value: Optional[float]) -> None:
        """Note that there is a file of this value, claimed before or by an earlier training."""
        self._written = value

    def disclaim(self, claimed: Best) -> None:
        """Go back to what there is a file of, as that of a claimed value could not be written.

        A claim before it need not have one: in the background, a newer job takes its place.
        """
        if self.value == claimed.value:
            self.value = self._written


def json_number(value: Optional[float]) -> Union[float, str, None]:
    """A number as JSON allows it: NaN and infinities are strings, which float() reads."""
    return value if value is None or math.isfinite(value) else repr(value)


def load_best(directory: str, name: str, monitor: str) -> Optional[float]:
    """The best value of a metric that the directory's state remembers."""
    own = _dict(_load(os.path.join(directory, STATE_FILE)).get(name))
    try:
        return float(_dict(own.get("best"))[monitor])
    except (KeyError, TypeError, ValueError):
        return None


def save_best(directory: str, name: str, best: Best) -> None:
    """Remember the best value of a metric in the directory's state."""
    with _state(directory, name) as own:
        own["best"] = {best.monitor: json_number(best.value)}


@contextlib.contextmanager
def _state(directory: str, name: str) -> Iterator[Dict[str, Any]]:
    """What the directory's state has under a name, to be changed: one thread at a time."""
    path = os.path.join(directory, STATE_FILE)
    with _state_lock:
        state = _load(path)
        own = dict(_dict(state.get(name)))
        before = json.dumps(own)
        yield own
        if json.dumps(own) != before:
            publish_json(path, {**state, name: own})


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


def _mark(path: str) -> str:
    """What tells a file from one that somebody puts in its place; "" where nothing does."""
    try:
        return "" if remote.is_remote(path) else str(os.stat(path).st_ctime_ns)
    except OSError:
        return ""


def _delete(path: str) -> bool:
    """Delete a frozen file and its description; False if the system refuses for now."""
    try:
        for doomed in (path, path + ".json"):
            with contextlib.suppress(FileNotFoundError):
                _unlink(doomed)
    except OSError:  # Windows: somebody reads it
        return False
    return True


def _unlink(path: str) -> None:
    (remote.delete if remote.is_remote(path) else os.unlink)(path)


def read(path: str) -> bytes:
    """All of a file, local or with a scheme.

    Raises:
      OSError: it cannot be read.
    """
    if remote.is_remote(path):
        return remote.read(path)
    with open(path, "rb") as file:
        return file.read()


def _load(path: str) -> Dict[str, Any]:
    try:
        state = json.loads(read(path).decode())
        json.dumps(state, allow_nan=False, ensure_ascii=False).encode()  # else it is none of ours
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return _dict(state)
