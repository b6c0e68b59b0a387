"""What every adapter does when it is time to save: measure, choose, write, keep, link, report."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, Callable, List, Mapping, Optional, Tuple, Union

import tensorflow as tf

from . import _tf, publish
from .concurrency import queues_update, updates_meanwhile
from .errors import FreezeError, UnknownNameError
from .freezer import Artifact, Freezer
from .graph.names import near

Evaluate = Callable[[Any, Optional[int]], Mapping[str, float]]
SCHEDULED_KEEP = 5  # what a Saver keeps by default


@dataclasses.dataclass(frozen=True)
class Options:
    """Where frozen files go, which ones are written, and which stay; as FreezeHook documents."""

    output_dir: Optional[str] = None
    name: str = ""
    keep: Optional[int] = None
    latest: bool = False
    save_best_only: bool = False
    evaluate: Optional[Evaluate] = None
    monitor: Optional[str] = None
    mode: str = "min"
    threshold: Optional[float] = None
    resume: Union[bool, str] = "auto"
    strict: bool = False

    def __post_init__(self) -> None:
        if self.name and not re.match(r"[A-Za-z0-9_-]+\Z", self.name):
            raise FreezeError(f"name= takes letters, digits, - and _, not {self.name!r}")
        if self.mode not in ("min", "max"):
            raise FreezeError(f'mode= is "min" or "max", not {self.mode!r}')
        if self.resume not in (True, False, "auto"):
            raise FreezeError(f'resume= is True, False or "auto", not {self.resume!r}')
        if self.keep is not None and self.keep < 1:
            raise FreezeError(f"keep= is a number of files from 1 on, not {self.keep!r}")
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


class Delivery:
    """One training's frozen files: one for each `save` that `options` want written."""

    def __init__(self, graph: Any, freezer: Freezer, options: Options, who: str) -> None:
        self._graph = graph
        self._freezer = freezer
        self._options = options
        self._who = who
        self._best: Optional[publish.Best] = None
        self._queues_update: Optional[bool] = None
        self.artifacts: List[Artifact] = []

    def report(self) -> None:
        """Warn of what the plan's findings are; raise them if `strict`."""
        findings = [str(finding) for finding in self._freezer.plan.findings]
        if findings and self._options.strict:
            raise FreezeError("strict=True, and the frozen graph has\n  " + "\n  ".join(findings))
        for finding in findings:
            _tf.warn(f"{self._who}: {finding}")

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
            if isinstance(error, OSError):
                error = FreezeError(f"cannot write a frozen file for {stem}: {error}")
            if self._options.strict or raising:
                raise error
            _tf.warn(f"{self._who}: no frozen file for {stem}: {error}")

    def _save(
        self, session: Any, stem: str, step: Optional[int], checkpoint: Optional[Tuple[str, Any]]
    ) -> None:
        options = self._options
        directory = options.output_dir or os.path.dirname(stem) or "."
        metrics = self._measure(session, step)
        best = self._best_so_far(directory, step)
        value = metrics[best.monitor] if best is not None else 0.0
        improves = best is not None and best.beaten_by(value)
        if options.save_best_only and not improves:
            return
        base = options.file("best" if options.save_best_only else os.path.basename(stem))
        path = os.path.join(directory, base)
        artifact = self._freezer.freeze(
            session, path, step, metrics, self._saved(session, checkpoint)
        )
        gone: List[str] = []
        if best is not None and improves:
            best.value = value
        if options.save_best_only and best is not None:
            publish.save_best(directory, options.name, best)
        else:
            prefix, keep = (checkpoint[0] if checkpoint else ""), options.keep
            keep = SCHEDULED_KEEP if keep is None and not checkpoint else keep
            exists = _tf.checkpoint_exists
            gone = publish.retain(directory, options.name, base, prefix, exists, keep)
        if options.latest:
            publish.publish_link(path, os.path.join(directory, options.file("latest")))
        self.artifacts = [a for a in self.artifacts if a.path != path and a.path not in gone]
        self.artifacts.append(artifact)
        _tf.info(str(artifact))

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
        if self._options.evaluate is None:
            return {}
        found = self._options.evaluate(session, step)
        if not isinstance(found, Mapping):
            raise FreezeError(f"evaluate= must return a dict of metrics, not {found!r}")
        metrics = {str(name): float(value) for name, value in found.items()}
        monitor = self._options.monitor
        if monitor is not None and monitor not in metrics:
            close = near(monitor, metrics) or sorted(metrics)
            raise UnknownNameError(
                f"monitor={monitor!r} is not among the metrics of evaluate=: "
                f"{', '.join(map(repr, close)) or 'there are none'}"
            )
        return metrics

    def _best_so_far(self, directory: str, step: Optional[int]) -> Optional[publish.Best]:
        options = self._options
        if options.monitor is None or not options.save_best_only:
            return None
        if self._best is None:  # the first save tells whether training goes on from an older one
            resumed = bool(step) if options.resume == "auto" else bool(options.resume)
            self._best = publish.Best(options.monitor, options.mode, options.threshold)
            if resumed:
                known = publish.load_best(directory, options.name, options.monitor)
                if known is not None and self._best.beaten_by(known):
                    self._best.value = known
        return self._best
