"""Writes the frozen files of a training session, and measures metrics at each save."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, Callable, Mapping, Optional, Tuple

import tensorflow as tf

from .. import _saver, _tf
from ..errors import FreezeError
from ..frozen.numbers import metrics_of
from ..plan.formats import PB, Format, format_of
from ..sources.checkpoint_index import step_in
from ..sources.session import LiveGraph
from ..storage import atomic
from ..storage.filesystem import filesystem_of
from ..storage.paths import plain_path
from .background import held
from .concurrency import queues_update, updates_meanwhile
from .delivery import Delivery, Due
from .metrics import monitored
from .options import Listeners, Options
from .placement import Place, place, refuse_mixed

Evaluate = Callable[[Any, Optional[int]], Mapping[str, Any]]
SCHEDULED_KEEP = 5  # what a Saver keeps by default


@dataclasses.dataclass(frozen=True)
class SessionOptions(Options):
    """The options for a session's files, whose metrics are measured at each save."""

    output_dir: Optional[str] = None
    name: str = ""
    latest: bool = False
    evaluate: Optional[Evaluate] = None
    save_on_background: bool = False
    form: Format = PB

    @classmethod
    def make(cls, on_publish: Listeners = (), **given: Any) -> SessionOptions:
        """Return the options for a user's arguments; see `Options.make`."""
        asked = super().make(on_publish, **given)
        if asked.name and not re.match(r"[A-Za-z0-9_-]+\Z", asked.name):
            raise FreezeError(f"name= takes letters, digits, - and _, not {asked.name!r}")
        if asked.save_best_only and (asked.evaluate is None or asked.monitor is None):
            raise FreezeError("save_best_only=True needs evaluate= and monitor=")
        asked = dataclasses.replace(asked, form=format_of(asked.form))
        if asked.output_dir is None:
            return asked
        directory = plain_path(asked.output_dir)
        linked = asked.latest and asked.form.is_directory
        if linked and not filesystem_of(directory).rewrites:
            raise FreezeError(
                f"latest= makes a symbolic link, which {directory} cannot have: leave it out"
            )
        return dataclasses.replace(asked, output_dir=directory)

    def check(self) -> None:
        """Create output_dir if missing.

        Raises:
          FreezeError: it cannot be created or written, or has files of another format.
        """
        if self.output_dir is None:
            return
        try:
            atomic.ensure_writable(self.output_dir)
        except OSError as error:
            raise FreezeError(f"output_dir= cannot be written to: {error}") from error
        refuse_mixed(self.form, self.output_dir)

    def place(self, stem: str, step: Optional[int]) -> Place:
        """Return where the artifact of a save goes; `stem` is its path without an ending."""
        return place(self.form, stem, step, self.output_dir, self.name, self.save_best_only)

    @property
    def key(self) -> str:
        """The key of these files in a directory's state."""
        return self.name + self.form.suffix if self.form.is_directory else self.name


class SessionDelivery(Delivery):
    """Writes the frozen files of a training session."""

    def __init__(self, graph: Any, live: LiveGraph, options: SessionOptions, who: str) -> None:
        super().__init__(options, options.key, who)
        self.options: SessionOptions = options
        self._graph = graph
        self._live = live
        self._queues_update: Optional[bool] = None
        self._ended = False
        self._first_step: Optional[int] = None
        self.report(live.plan.findings)

    def begin_at(self, step: int) -> None:
        """Note the first global step of training; without this, it is that of the first save."""
        if self._first_step is None:
            self._first_step = step

    def after_save(
        self, saver: Any, session: Any, prefix: str, numbered: bool, raising: bool = False
    ) -> None:
        """Freeze a session beside the checkpoint that `saver` has just saved; see `save`.

        Args:
          numbered: whether Saver.save was given the global step, which then ends the prefix.
        """
        named = step_in(prefix) if numbered else None
        step = _step_of(session) if named is None else named
        self.save(session, prefix, step, (prefix, saver), raising)

    def save(
        self,
        session: Any,
        stem: str,
        step: Optional[int],
        checkpoint: Optional[Tuple[str, Any]] = None,
        raising: bool = False,
    ) -> None:
        """Freeze a session's values, unless save_best_only= says not to.

        Args:
          session: the live session.
          stem: the path of the file without its ending.
          step: the global step.
          checkpoint: (prefix, saver) of the checkpoint that was just written.
          raising: raise errors even without `strict`.

        Raises:
          AbortedError, UnavailableError: re-raised so that the session can recover.
          FreezeError: with `strict`, this save or an earlier one in the background has failed.
        """
        self.raise_error()
        try:
            self._save(session, stem, step, checkpoint)
        except (tf.errors.AbortedError, tf.errors.UnavailableError):
            raise
        except Exception as error:
            self.failed(error, stem, raising)

    def end(self) -> None:
        """Wait until all files are written; later saves are not in the background.

        Raises:
          FreezeError: with `strict`, a save in the background has failed.
        """
        self._ended = True
        self.flush()

    def _save(
        self, session: Any, stem: str, step: Optional[int], checkpoint: Optional[Tuple[str, Any]]
    ) -> None:
        options = self.options
        background = options.save_on_background and not (self._ended or options.form.links)
        metrics = self._measure(session, step)
        prefix = checkpoint[0] if checkpoint else None
        keep, value = options.keep, math.nan
        first = step if self._first_step is None else self._first_step
        where = options.place(stem, step)
        best = self.best(where.directory, where.known, bool(first))
        if best is not None:
            value = monitored(best.monitor, metrics, "evaluate=")
            if not self.beats(best, value):
                return
            keep, prefix = where.keep, None
        elif keep is None and prefix is None:
            keep = SCHEDULED_KEEP
        saved = self._saved(session, checkpoint)
        source = self._live.source(session, step, saved)
        values = held(source.at_once) if background else None
        freeze = source.prepare(metrics, values=values)
        claimed = None if best is None else best.claim(value)

        latest = where.link if options.latest else None
        makes = options.form.is_directory
        due = Due(freeze, where.directory, where.base, keep, prefix, claimed, latest, makes)
        self.deliver(due, due.path, background)

    def _saved(self, session: Any, checkpoint: Optional[Tuple[str, Any]]) -> Any:
        values = self._live.spec.values
        if checkpoint is None or values == "live":
            return None
        if self.options.form.links:
            values = "checkpoint"
        if self._queues_update is None:
            self._queues_update = queues_update(self._graph)
        if values == "auto" and not (self._queues_update or updates_meanwhile(session)):
            return None
        prefix, saver = checkpoint
        return prefix, _saver.saved_keys(saver), saver.saver_def

    def _measure(self, session: Any, step: Optional[int]) -> Mapping[str, float]:
        if self.options.evaluate is None:
            return {}
        found = self.options.evaluate(session, step)
        metrics = metrics_of(found, "what evaluate= returns", session.run)
        if self.options.monitor is not None:
            monitored(self.options.monitor, metrics, "evaluate=")
        return metrics


def _step_of(session: Any) -> Optional[int]:
    """Return the session's global step; None if it has none yet."""
    global_step = _tf.global_step(session.graph)
    try:
        return None if global_step is None else int(session.run(global_step))
    except tf.errors.FailedPreconditionError:  # it is not initialized
        return None
