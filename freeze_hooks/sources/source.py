"""A graph with its values: what every frozen file is made of."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

from .. import _tf
from ..frozen.writer import Artifact, write_frozen
from ..graph.lint import Finding
from ..plan.types import FreezePlan
from ..proof.expected import Expected
from ..storage.paths import plain_path
from ..values.value import Value

Values = Callable[[], Iterator[Value]]
Expecting = Callable[[], Optional[Expected]]
LIVE, CHECKPOINT = "live", "checkpoint"


def nothing_expected() -> None:
    """What is expected of a file that is not proved."""


class Source:
    """Write a frozen file of it, now or later: `source.freeze(path)`, `source.prepare()(path)`.

    A session, a function, a Keras model, a checkpoint and a SavedModel are such.

    Args:
      plan: the compiled graph.
      values: gives one value for each of the plan's slots; each is read when it is asked for.
      expected: gives what a file of this moment must answer, with `verify=`.
      step: the global step of the values.
      origin: LIVE or CHECKPOINT: where a file says that its values are from.
      at_once: gives the values as `values` does, all of them of one moment.
    """

    def __init__(
        self,
        plan: FreezePlan,
        values: Values,
        expected: Expecting = nothing_expected,
        step: Optional[int] = None,
        origin: str = LIVE,
        at_once: Optional[Values] = None,
    ) -> None:
        self.plan = plan
        self.values = values
        self.expected = expected
        self.step = step
        self._origin = origin
        self._at_once = at_once

    def held(self) -> Iterator[Value]:
        """All values, read now, to be used later; each is let go as the next is asked for."""
        values = (self._at_once or self.values)()
        taken = [dataclasses.replace(value, chunks=list(value.chunks)) for value in values]
        taken.reverse()

        def release() -> Iterator[Value]:
            while taken:
                yield taken.pop()

        return release()

    def prepare(
        self,
        metrics: Optional[Mapping[str, float]] = None,
        step: Optional[int] = None,
        hold: bool = False,
        values: Optional[Iterator[Value]] = None,
        beside: bool = True,
    ) -> Callable[[str], Artifact]:
        """What writes a file of the present values to a path, once.

        Args:
          metrics: what was measured at this step.
          step: the global step, where the source does not tell it.
          hold: whether to read all values now, so that later steps do not change the file; else
            each is read as it is written.
          values: takes these, which were read before.
          beside: whether the description stands beside the file too.
        """
        expected = self.expected()  # of this moment's values
        if values is None:
            values = self.held() if hold else self.values()
        return functools.partial(
            write_frozen,
            self.plan,
            values,
            step=self.step if step is None else step,
            metrics=metrics,
            origin=self._origin,
            beside=beside,
            expected=expected,
        )

    def freeze(self, path: Any, beside: bool = True) -> Artifact:
        """Write a frozen file of the present values, and warn of what was found in the graph.

        Raises:
          FreezeError: a variable's shape is not the declared one, the file passes 2 GiB, or it
            answers otherwise than `verify=` allows.
          OSError: the file system refuses; what was at `path` stays.
        """
        warn_of(self.plan.findings)
        return self.prepare(beside=beside)(plain_path(path))


def warn_of(findings: Iterable[Finding]) -> None:
    """Warn of what was found in a graph, where there is no training to do so."""
    for finding in findings:
        _tf.warn(str(finding))
