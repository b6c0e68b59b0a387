"""Writes, keeps and deletes one training's frozen files, for all adapters."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import math
import os
import re
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Tuple

from .. import _tf
from ..errors import FreezeError, NotFiniteError
from ..frozen.artifact import Artifact, Undescribed
from ..frozen.reader import description
from ..sources.own_lines import told
from ..storage import atomic, in_flight, locks, retention, state_file
from ..storage.directories import is_ours, publish_symlink
from ..storage.filesystem import directory_of, filesystem_of
from ..storage.listing import checkpoint_may_exist
from .background import Background
from .best import Best, load_best, save_best
from .no_file import Saves
from .options import Options

_DIGITS = re.compile(r"\d+|[0-9a-f]{12}")  # these differ between saves


@dataclasses.dataclass(frozen=True)
class Due:
    """A file to write, and what happens to other files then.

    Attributes:
      freeze: writes the file to a path.
      directory: the directory with the state.
      base: the file's path from there.
      keep: how many files to keep; None keeps all except those of deleted checkpoints.
      prefix: the prefix of the file's checkpoint, if it has one.
      best: the value that the file claims to be the best.
      link: a second name for the file, from `directory`.
      makes_directory: whether to make the directory that `base` names.
    """

    freeze: Callable[[str], Artifact]
    directory: str
    base: str
    keep: Optional[int] = None
    prefix: Optional[str] = None
    best: Optional[Best] = None
    link: Optional[str] = None
    makes_directory: bool = False

    @property
    def path(self) -> str:
        """Path of the file."""
        return os.path.join(self.directory, self.base)

    @property
    def stays(self) -> bool:
        """Whether nothing ever deletes the file."""
        return self.keep is None and self.prefix is None


class Unnoted(OSError):
    """A frozen file was written, but not noted in the directory's state."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.errno = error.errno


class Unlinked(Unnoted):
    """A frozen file was written, but not its second name."""


_LACKS: Dict[type, Tuple[str, str]] = {
    Undescribed: ("no description of the frozen file", "describe the frozen file"),
    Unnoted: ("no note of the frozen file", f"note in {state_file.STATE_FILE} the frozen file"),
    Unlinked: ("no other name of the frozen file", "make latest= of the frozen file"),
}
_CLAIMED = 8  # directories at the same time; each is an open file


class Delivery:
    """Writes one training's frozen files, and deletes those that are not kept.

    Args:
      options: which files to write and keep.
      key: the files' key in the directory's state.
      who: the adapter's name, for messages.
    """

    def __init__(self, options: Options, key: str, who: str) -> None:
        self.options = options
        self._key = key
        self._who = who
        self.saves = Saves()
        self._best: Optional[Best] = None
        self._entered: Dict[str, Optional[locks.Claim]] = {}
        self._writing = Background()
        self._telling = Background(math.inf)
        self._failures: Dict[Any, int] = collections.Counter()
        self._unnoted: Dict[Tuple[str, str], str] = {}  # (directory, file): prefix
        self.artifacts: List[Artifact] = []
        self.news: Deque[Artifact] = collections.deque(maxlen=100)  # for progress lines

    def __deepcopy__(self, memo: Any) -> Delivery:
        """Return a new Delivery: tuners copy callbacks, one for each training."""
        return type(self)(self.options, self._key, self._who)

    def report(self, found: Iterable[Any]) -> None:
        """Warn of a plan's findings, or raise them if `strict`."""
        findings = [str(finding) for finding in found]
        if findings and self.options.strict:
            raise FreezeError("strict=True, and the frozen graph has\n  " + "\n  ".join(findings))
        for finding in findings:
            _tf.warn(f"{self._who}: {finding}")

    def begin(self, resumed: bool) -> bool:
        """Begin a training: forget the one before it, unless this one goes on from it.

        Args:
          resumed: whether it seems to go on, for resume="auto".

        Returns:
          Whether it goes on.
        """
        self._writing.flush()
        self.saves.begin()
        goes_on = resumed if self.options.resume == "auto" else bool(self.options.resume)
        if not goes_on:
            with contextlib.suppress(Exception):  # the error of an interrupted training
                self.raise_error()
            self._best = None
            self._failures.clear()
            self.artifacts = []
        return goes_on

    def best(
        self, directory: str, file: str, resumed: bool, mode: Optional[str] = None
    ) -> Optional[Best]:
        """Return the best value so far, with save_best_only; an older training's if this goes on.

        The value is read from the state and from the file: the older training may have been killed
        after it wrote the file and before it noted the value. `mode` is "min" or "max", if the
        options do not say which.
        """
        options = self.options
        if options.monitor is None or not options.save_best_only:
            return None
        if self._best is None:  # the first save tells whether training goes on from an older one
            resumed = resumed if options.resume == "auto" else bool(options.resume)
            best = Best(options.monitor, mode or options.mode, options.threshold)
            if resumed:
                noted = load_best(directory, self._key, options.monitor)
                told = _metric(os.path.join(directory, file), options.monitor)
                for known in (noted, told):
                    if known is not None and best.beaten_by(known):
                        best.value = known
                best.written(best.value)
            self._best = best
        return self._best

    def beats(self, best: Best, value: float) -> bool:
        """Return whether a value beats the best one, and note a value that does not."""
        better = best.beaten_by(value)
        if not better:
            self.saves.passed_over(best, value)
        return better

    def deliver(self, due: Due, told: str, background: bool) -> None:
        """Write a file: now, or in the background while training goes on.

        In the background, `failed` gets errors, with `told` as the path. What `failed` raises,
        `raise_error` raises later.
        """
        if not background:
            self.put(due)
            return
        here = None if filesystem_of(told).is_absolute(told) else os.getcwd()
        self._writing.submit(told, functools.partial(self._put_there, due, told, here))

    def _put_there(self, due: Due, told: str, here: Optional[str]) -> None:
        """Write a file in the background; `here` is the working directory of a relative path."""
        try:
            if here is not None and here != os.getcwd():
                raise FreezeError(
                    f"{told} is a relative path, and the program has left {here}: give an "
                    "absolute one"
                )
            self.put(due)
        except Exception as error:
            try:
                self.failed(error, told)
            except Exception as raised:  # raised again at the next save or the end
                _tf.warn(f"{self._who}: {raised}")
                raise

    def put(self, due: Due) -> None:
        """Write a file, note it in the state, and delete files that are not kept."""
        directory, base, prefix = due.directory, due.base, due.prefix or ""
        if due.makes_directory:
            with contextlib.suppress(OSError):  # raised when the file is written
                filesystem_of(directory).make_directory(directory)
        claim = self._entered.get(directory)
        if directory not in self._entered or (claim is not None and not claim.holds()):
            self._enter(directory)
        with in_flight.saving():
            if not due.stays:
                with contextlib.suppress(OSError):  # `_note` says so
                    retention.announce(directory, self._key, base, prefix)
            artifact, trouble = self._written(due)
            if not due.stays:
                self._unnoted[directory, base] = prefix
            try:
                if due.link is not None:  # before the directory that it led to may go
                    link = os.path.join(directory, due.link)
                    publish = publish_symlink if is_ours(due.path) else atomic.publish_link
                    publish(due.path, link)
            except OSError as error:
                trouble = trouble or Unlinked(error)
            try:
                self._note(directory, due.keep, due.best)
            except OSError as error:
                trouble = trouble or Unnoted(error)
        self.news.append(artifact)
        _tf.info(str(artifact))
        if self.options.on_publish:
            deletes = None if due.stays else directory
            self._telling.submit(due.path, functools.partial(self._tell, artifact, deletes))
        if trouble is not None:
            raise trouble
        if self._failures:
            failed = sum(self._failures.values())
            self._failures.clear()
            _tf.warn(f"{self._who}: files are written again, after {failed} saves that failed")

    def _written(self, due: Due) -> Tuple[Artifact, Optional[OSError]]:
        """Write the file; return its Artifact, and the error of its description, if any."""
        trouble: Optional[OSError] = None
        try:
            if due.makes_directory:
                directory = directory_of(due.path)
                filesystem_of(directory).make_directory(directory)
            artifact = due.freeze(due.path)
        except Undescribed as error:
            artifact, trouble = error.artifact, error
        except BaseException:
            if self._best is not None and due.best is not None:
                self._best.disclaim(due.best)
            raise
        self.saves.wrote()
        if self._best is not None and due.best is not None:
            self._best.written(due.best.value)
        self.artifacts = [a for a in self.artifacts if a.path != due.path]
        self.artifacts.append(artifact)
        return artifact, trouble

    def _note(self, directory: str, keep: Optional[int], best: Optional[Best]) -> None:
        """Note new files in the state, also those that could not be noted before."""
        if best is not None:
            save_best(directory, self._key, best)
        for where, base in list(self._unnoted):
            if where == directory:
                exists, prefix = checkpoint_may_exist, self._unnoted[where, base]
                awaited = {file for place, file in self._unnoted if place == directory}
                gone = retention.retain(
                    directory, self._key, base, prefix, exists, keep, awaited - {base}
                )
                self.artifacts = [a for a in self.artifacts if a.path not in gone]
                self._unnoted.pop((where, base), None)

    def flush(self) -> None:
        """Wait until all files are written and all of on_publish= is done.

        Raises:
          FreezeError: with `strict`, a file could not be written in the background.
        """
        self._writing.flush()
        self._telling.flush()
        self.raise_error()

    def explain(self, no_save: str, writes: bool = True) -> None:
        """Warn at the end of a training, if this process `writes` and has written no file.

        The warning tells the results of its saves, or `no_save` if none was due.
        """
        if writes:
            self.saves.explain(self._who, no_save)

    def written(self) -> Tuple[Artifact, ...]:
        """Return the files that are still kept, oldest first, after all writes have ended."""
        self._writing.flush()
        return tuple(self.artifacts)

    def raise_error(self) -> None:
        """Raise the error of a save in the background, if there is one, once."""
        self._writing.raise_error()

    def _tell(self, artifact: Artifact, directory: Optional[str]) -> None:
        """Call the functions of on_publish=; an error in one is a warning.

        A file that one makes beside a file of `directory` is noted, and is deleted with it.
        """
        for listener in self.options.on_publish:
            ending = getattr(listener, "makes_beside", None)
            try:
                if directory is not None and ending is not None:
                    base = os.path.basename(artifact.path)
                    retention.accompany(directory, self._key, base, ending)
                listener(artifact)
            except Exception as error:
                name = getattr(listener, "__name__", repr(listener))
                what = f"{self._who}: on_publish= {name} failed for {artifact.path}"
                _tf.warn(f"{what}: {error if isinstance(error, FreezeError) else told(error)}")
            if directory is not None and ending is not None:
                retention.delete_if_alone(artifact.path, ending)

    def _enter(self, directory: str) -> None:
        """Delete a killed program's temporary files; warn if another program writes there."""
        locks.sweep(directory)
        while len(self._entered) >= _CLAIMED:
            del self._entered[next(iter(self._entered))]
        self._entered[directory] = locks.claim(directory)
        if self._entered[directory] is not None:
            return
        message = (
            f"another process writes frozen files into {directory} too: the two may overwrite and "
            "delete each other's; give each a directory of its own"
        )
        if self.options.strict:
            raise FreezeError(message)
        _tf.warn(f"{self._who}: {message}")

    def failed(self, error: Exception, path: str, raising: bool = False) -> None:
        """Warn of a failed save, once for each cause until a save works; raise it if asked to."""
        raising = raising or isinstance(error, NotFiniteError)
        cause = (type(error), getattr(error, "errno", None) or _DIGITS.sub("", str(error)))
        lack, act = _LACKS.get(type(error), ("no frozen file", "write a frozen file"))
        if isinstance(error, OSError):
            refused = FreezeError(f"cannot {act} for {path}: {error}")
            refused.__cause__ = error
            error = refused
        said = str(error) if isinstance(error, FreezeError) else told(error)
        self.saves.failed(said)
        if self.options.strict or raising:
            raise error
        self._failures[cause] += 1
        if self._failures[cause] == 1:
            more = "training goes on, and this is not said again until a file was written"
            _tf.warn(f"{self._who}: {lack} for {path}: {said} ({more})")


def _metric(path: str, monitor: str) -> Optional[float]:
    """Return a metric from a frozen file's description; None without file or metric."""
    try:
        return float(description(path)["metrics"][monitor])
    except (KeyError, TypeError, ValueError):
        return None
