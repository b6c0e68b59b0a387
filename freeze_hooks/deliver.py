"""What every adapter does when it is time to save: measure, choose, write, keep, link, report."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import os
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import tensorflow as tf

from . import _tf, in_use, publish, underway
from .background import Background
from .concurrency import queues_update, updates_meanwhile
from .errors import FreezeError, NotFiniteError, UnknownNameError
from .freezer import Artifact, Freezer, Undescribed
from .graph.names import near
from .load import description

Evaluate = Callable[[Any, Optional[int]], Mapping[str, float]]
Listeners = Union[Callable[[Artifact], Any], Sequence[Callable[[Artifact], Any]]]
_DIGITS = re.compile(r"\d+|[0-9a-f]{12}")  # what differs from save to save
SCHEDULED_KEEP = 5  # what a Saver keeps by default


@dataclasses.dataclass(frozen=True)
class Options:
    """Which frozen files are written, and which stay; as the adapters document."""

    keep: Optional[int] = None
    save_best_only: bool = False
    monitor: Optional[str] = None
    mode: str = "min"
    threshold: Optional[float] = None
    resume: Union[bool, str] = "auto"
    strict: bool = False
    on_publish: Listeners = ()

    def __post_init__(self) -> None:
        listeners = (self.on_publish,) if callable(self.on_publish) else tuple(self.on_publish)
        for listener in listeners:
            if not callable(listener):
                raise FreezeError(f"on_publish= takes functions of an Artifact, not {listener!r}")
        object.__setattr__(self, "on_publish", listeners)
        if self.mode not in ("min", "max"):
            raise FreezeError(f'mode= is "min" or "max", not {self.mode!r}')
        if self.resume not in (True, False, "auto"):
            raise FreezeError(f'resume= is True, False or "auto", not {self.resume!r}')
        if self.keep is not None and self.keep < 1:
            raise FreezeError(f"keep= is a number of files from 1 on, not {self.keep!r}")


@dataclasses.dataclass(frozen=True)
class SessionOptions(Options):
    """The same for a session's files, whose metrics are measured at each save."""

    output_dir: Optional[str] = None
    name: str = ""
    latest: bool = False
    evaluate: Optional[Evaluate] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name and not re.match(r"[A-Za-z0-9_-]+\Z", self.name):
            raise FreezeError(f"name= takes letters, digits, - and _, not {self.name!r}")
        if self.save_best_only and (self.evaluate is None or self.monitor is None):
            raise FreezeError("save_best_only=True needs evaluate= and monitor=")
        if self.output_dir is not None:
            object.__setattr__(self, "output_dir", os.fspath(self.output_dir))

    def check(self) -> None:
        """Make output_dir if need be.

        Raises:
          FreezeError: it cannot be made, or not be written in.
        """
        if self.output_dir is None:
            return
        try:
            publish.ensure_writable(self.output_dir)
        except OSError as error:
            raise FreezeError(f"output_dir= cannot be written to: {error}") from error

    def file(self, stem: str) -> str:
        """The base name of a frozen file."""
        return f"{stem}.{self.name}.pb" if self.name else f"{stem}.pb"


class Unnoted(OSError):
    """A frozen file is there, but the directory's state could not take note of it."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.errno = error.errno


_LACKS: Dict[type, Tuple[str, str]] = {
    Undescribed: ("no description of the frozen file", "describe the frozen file"),
    Unnoted: ("no note of the frozen file", f"note in {publish.STATE_FILE} the frozen file"),
}


class Delivery:
    """One training's frozen files: which of them are wanted, and what becomes of the others.

    Args:
      options: what is wanted.
      key: under which name the directory's state remembers them.
      who: the adapter, for messages.
    """

    def __init__(self, options: Options, key: str, who: str) -> None:
        self.options = options
        self._key = key
        self._who = who
        self._best: Optional[publish.Best] = None
        self._entered: Dict[str, Optional[in_use.Claim]] = {}
        self._telling = Background(math.inf)
        self._failures: Dict[Any, int] = collections.Counter()
        self._unnoted: Dict[Tuple[str, str], str] = {}  # (directory, file): prefix
        self.artifacts: List[Artifact] = []

    def report(self, found: Iterable[Any]) -> None:
        """Warn of what a plan's findings are; raise them if `strict`."""
        findings = [str(finding) for finding in found]
        if findings and self.options.strict:
            raise FreezeError("strict=True, and the frozen graph has\n  " + "\n  ".join(findings))
        for finding in findings:
            _tf.warn(f"{self._who}: {finding}")

    def best(self, directory: str, file: str, resumed: bool) -> Optional[publish.Best]:
        """The best value so far, with save_best_only; an older training's if this one goes on.

        That one may have been killed between writing its file and noting the file's value.
        """
        options = self.options
        if options.monitor is None or not options.save_best_only:
            return None
        if self._best is None:  # the first save tells whether training goes on from an older one
            resumed = resumed if options.resume == "auto" else bool(options.resume)
            best = publish.Best(options.monitor, options.mode, options.threshold)
            if resumed:
                noted = publish.load_best(directory, self._key, options.monitor)
                told = _metric(os.path.join(directory, file), options.monitor)
                for known in (noted, told):
                    if known is not None and best.beaten_by(known):
                        best.value = known
                best.written(best.value)
            self._best = best
        return self._best

    def put(
        self,
        freeze: Callable[[str], Artifact],
        directory: str,
        base: str,
        keep: Optional[int] = None,
        prefix: Optional[str] = None,
        best: Optional[publish.Best] = None,
    ) -> None:
        """Write a file, and remember or delete others.

        Args:
          freeze: writes a path.
          directory: where the state is.
          base: the file's name from there.
          keep: how many files stay; None keeps all, but those of deleted checkpoints.
          prefix: that of the file's checkpoint, if it has one.
          best: the claim on being the best that the file makes.
        """
        path = os.path.join(directory, base)
        claim = self._entered.get(directory)
        if directory not in self._entered or (claim is not None and not claim.holds()):
            self._enter(directory)
        with underway.saving():
            artifact, trouble = self._written(freeze, path, best)
            if keep is not None or prefix is not None:
                self._unnoted[directory, base] = prefix or ""
            try:
                self._note(directory, keep, best)
            except OSError as error:
                trouble = trouble or Unnoted(error)
        _tf.info(str(artifact))
        if self.options.on_publish:
            self._telling.submit(path, functools.partial(self._tell, artifact))
        if trouble is not None:
            raise trouble
        if self._failures:
            failed = sum(self._failures.values())
            self._failures.clear()
            _tf.warn(f"{self._who}: files are written again, after {failed} saves that failed")

    def _written(
        self, freeze: Callable[[str], Artifact], path: str, best: Optional[publish.Best]
    ) -> Tuple[Artifact, Optional[OSError]]:
        """The new file, and what befell its description."""
        trouble: Optional[OSError] = None
        try:
            artifact = freeze(path)
        except Undescribed as error:
            artifact, trouble = error.artifact, error
        except BaseException:
            if self._best is not None and best is not None:
                self._best.disclaim(best)
            raise
        if self._best is not None and best is not None:
            self._best.written(best.value)
        self.artifacts = [a for a in self.artifacts if a.path != path]
        self.artifacts.append(artifact)
        return artifact, trouble

    def _note(self, directory: str, keep: Optional[int], best: Optional[publish.Best]) -> None:
        """Note new files in the state, also those that it could not take when they were new."""
        if best is not None:
            publish.save_best(directory, self._key, best)
        for where, base in list(self._unnoted):
            if where == directory:
                exists, prefix = _tf.checkpoint_exists, self._unnoted[where, base]
                gone = publish.retain(directory, self._key, base, prefix, exists, keep)
                self.artifacts = [a for a in self.artifacts if a.path not in gone]
                self._unnoted.pop((where, base), None)

    def flush(self) -> None:
        """Wait until all of on_publish= is done."""
        self._telling.flush()

    def _tell(self, artifact: Artifact) -> None:
        """Call on_publish=, each for itself: what fails is a warning."""
        listeners: Any = self.options.on_publish  # a tuple by now
        for listener in listeners:
            try:
                listener(artifact)
            except Exception as error:
                name = getattr(listener, "__name__", repr(listener))
                _tf.warn(f"{self._who}: on_publish= {name} failed for {artifact.path}: {error}")

    def _enter(self, directory: str) -> None:
        """Clear what a killed program left in a directory, and say so if another one runs."""
        in_use.sweep(directory)
        self._entered[directory] = in_use.claim(directory)
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
        """Warn of a save that failed, once a cause until saving works; raise it if asked to."""
        raising = raising or isinstance(error, NotFiniteError)
        cause = (type(error), getattr(error, "errno", None) or _DIGITS.sub("", str(error)))
        lack, act = _LACKS.get(type(error), ("no frozen file", "write a frozen file"))
        if isinstance(error, OSError):
            error = FreezeError(f"cannot {act} for {path}: {error}")
        if self.options.strict or raising:
            raise error
        self._failures[cause] += 1
        if self._failures[cause] == 1:
            more = "training goes on, and this is not said again until a file was written"
            _tf.warn(f"{self._who}: {lack} for {path}: {error} ({more})")


class SessionDelivery(Delivery):
    """The frozen files of a training session."""

    def __init__(self, graph: Any, freezer: Freezer, options: SessionOptions, who: str) -> None:
        super().__init__(options, options.name, who)
        self.options: SessionOptions = options
        self._graph = graph
        self._freezer = freezer
        self._queues_update: Optional[bool] = None
        self.report(freezer.plan.findings)

    def save(
        self,
        session: Any,
        stem: str,
        step: Optional[int],
        checkpoint: Optional[Tuple[str, Any]] = None,
        raising: bool = False,
    ) -> None:
        """Freeze a session's values, if they are wanted.

        Args:
          session: the live session.
          stem: where the file goes, without its ending.
          step: the global step.
          checkpoint: (prefix, saver) of the checkpoint that was just written.
          raising: raise what fails, even if it is not `strict`.

        Raises:
          AbortedError, UnavailableError: the session's own, by whose sight it recovers.
        """
        try:
            self._save(session, stem, step, checkpoint)
        except (tf.errors.AbortedError, tf.errors.UnavailableError):
            raise
        except Exception as error:
            self.failed(error, stem, raising)

    def _save(
        self, session: Any, stem: str, step: Optional[int], checkpoint: Optional[Tuple[str, Any]]
    ) -> None:
        options = self.options
        directory = options.output_dir or publish.directory_of(stem)
        metrics = self._measure(session, step)

        def freeze(path: str) -> Artifact:
            return self._freezer.freeze(
                session, path, step, metrics, self._saved(session, checkpoint)
            )

        prefix = checkpoint[0] if checkpoint else None
        keep, base, claimed = options.keep, os.path.basename(stem), None
        best = self.best(directory, options.file("best"), bool(step))
        if best is not None:
            value = monitored(best.monitor, metrics, "evaluate=")
            if not best.beaten_by(value):
                return
            keep, prefix, base, claimed = None, None, "best", best.claim(value)
        elif keep is None and prefix is None:
            keep = SCHEDULED_KEEP
        self.put(freeze, directory, options.file(base), keep, prefix, claimed)
        if options.latest:
            source = os.path.join(directory, options.file(base))
            publish.publish_link(source, os.path.join(directory, options.file("latest")))

    def _saved(self, session: Any, checkpoint: Optional[Tuple[str, Any]]) -> Any:
        values = self._freezer.spec.values
        if checkpoint is None or values == "live":
            return None
        if self._queues_update is None:
            self._queues_update = queues_update(self._graph)
        if values == "auto" and not (self._queues_update or updates_meanwhile(session)):
            return None
        prefix, saver = checkpoint
        return prefix, _tf.saved_keys(saver)

    def _measure(self, session: Any, step: Optional[int]) -> Mapping[str, float]:
        if self.options.evaluate is None:
            return {}
        found = self.options.evaluate(session, step)
        if not isinstance(found, Mapping):
            raise FreezeError(f"evaluate= must return a dict of metrics, not {found!r}")
        metrics = {str(name): float(value) for name, value in found.items()}
        if self.options.monitor is not None:
            monitored(self.options.monitor, metrics, "evaluate=")
        return metrics


def _metric(path: str, monitor: str) -> Optional[float]:
    """A metric that a frozen file says it has, if there is such a file."""
    try:
        return float(description(path)["metrics"][monitor])
    except (KeyError, TypeError, ValueError):
        return None


def monitored(monitor: str, metrics: Mapping[str, float], source: str) -> float:
    """The monitored metric.

    Raises:
      UnknownNameError: `source` gave no such metric; near matches are listed.
    """
    if monitor not in metrics:
        close = near(monitor, metrics) or sorted(metrics)
        raise UnknownNameError(
            f"monitor={monitor!r} is not among the metrics of {source}: "
            f"{', '.join(map(repr, close)) or 'there are none'}"
        )
    return metrics[monitor]
