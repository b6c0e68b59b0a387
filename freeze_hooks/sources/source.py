"""A graph with its values: every frozen file is written from one."""

from __future__ import annotations

import functools
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

from .. import _tf
from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..frozen.formats.writer import write_frozen
from ..graph.lint import Finding
from ..plan.types import FreezePlan
from ..proof.expected import Expected
from ..storage.paths import plain_path
from ..values.value import Value

Values = Callable[[], Iterator[Value]]
Expecting = Callable[[], Optional[Expected]]
LIVE, CHECKPOINT = "live", "checkpoint"
NO_CHECKPOINT = (
    'variables="link" takes the files of a checkpoint, and here is none: freeze beside '
    "checkpoints (FreezeHook, FreezingSaver, FreezeExporter, fh.freeze_checkpoint), or give "
    "variables=True"
)


def nothing_expected() -> None:
    """Expect nothing of a file: it is not proved."""


class Source:
    """Write frozen files from it: at once by `freeze(path)`, or later by what `prepare()` returns.

    Sessions, functions, Keras models, checkpoints and SavedModels all become a Source.

    Args:
      plan: the compiled graph.
      values: returns one value for each of the plan's slots; each is read when it is taken.
      expected: with `verify=`, returns the answers that a file of the present values must give.
      step: the global step of the values.
      origin: LIVE or CHECKPOINT: where the values are from, for the file's description.
      at_once: returns the same as `values`, all read at the same moment.
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

    @property
    def at_once(self) -> Values:
        """The function that returns all values, read at the same moment."""
        return self._at_once or self.values

    def prepare(
        self,
        metrics: Optional[Mapping[str, float]] = None,
        step: Optional[int] = None,
        values: Optional[Iterator[Value]] = None,
        beside: bool = True,
    ) -> Callable[[str], Artifact]:
        """Return a function that writes the present values to a path; it works once.

        Args:
          metrics: {name: number} to note in the file.
          step: the global step, if the source does not know it.
          values: values that were read before; None reads each when it is written.
          beside: whether to write the description also into a file beside the frozen one.

        Raises:
          FreezeError: the format links to a checkpoint's files, and there is none; or the function
            of `custom_metadata=` fails, or gives what is not JSON.
        """
        if self.plan.format.links and self.plan.checkpoint is None:
            raise FreezeError(NO_CHECKPOINT)
        step = self.step if step is None else step
        custom = self.plan.carried.metadata_at(step, metrics or {})
        expected = self.expected()  # of this moment's values
        if values is None:
            values = self.values()
        return functools.partial(
            write_frozen,
            self.plan,
            values,
            step=step,
            metrics=metrics,
            origin=self._origin,
            custom=custom,
            beside=beside,
            expected=expected,
        )

    def freeze(self, path: Any, beside: bool = True) -> Artifact:
        """Write a frozen file of the present values, and warn of the findings in the graph.

        Raises:
          FreezeError: a variable's shape is not the declared one, the file passes 2 GiB, or its
            answers differ by more than `verify=` allows.
          OSError: the file system refuses; what was at `path` stays.
        """
        warn_of(self.plan.findings)
        return self.prepare(beside=beside)(plain_path(path))


def warn_of(findings: Iterable[Finding]) -> None:
    """Warn of findings in a graph, where no training does so."""
    for finding in findings:
        _tf.warn(str(finding))
