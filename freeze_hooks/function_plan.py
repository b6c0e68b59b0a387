"""A plan together with the eager variables whose values it takes."""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, Tuple

from .freezer import Artifact, write_frozen
from .graph.lint import Finding
from .numbers import Run, metrics_of, whole
from .plan import FreezePlan, Signature
from .proof.expected import Expected
from .stream import Value, held


class FunctionPlan:
    """Call its `write` as often as wanted: each streams the values that the variables have then.

        plan = fh.plan_function(predict)
        plan.write("step-100.pb", step=100)

    It is what `plan_function` and `plan_keras_model` give.
    """

    def __init__(
        self,
        plan: FreezePlan,
        values: Callable[[], Iterator[Value]],
        handles: Sequence[Any] = (),
        expected: Callable[[], Optional[Expected]] = lambda: None,
        run: Run = None,
    ) -> None:
        self.plan = plan
        self.values = values  # gives one for each of the plan's slots
        self.handles = handles  # of their variables, where a function was traced
        self._run = run  # the session's, in graph mode
        self.expected = expected  # gives what a file of this moment must answer, with verify=

    @property
    def signature(self) -> Signature:
        """Inputs and outputs of the files."""
        return self.plan.signature

    @property
    def findings(self) -> Tuple[Finding, ...]:
        """What in the graph may not work where it is deployed."""
        return self.plan.findings

    @property
    def weight_bytes(self) -> int:
        """Bytes of all variables that go into a file."""
        return self.plan.weight_bytes

    def write(
        self,
        path: str,
        *,
        step: Any = None,
        metrics: Optional[Mapping[str, Any]] = None,
    ) -> Artifact:
        """Write a frozen file of the variables' present values, and its description beside it.

        Args:
          path: the file to write; its directory must exist.
          step: the global step, to be noted in the file: a whole number, also one in an array,
            a tensor or a variable, such as `optimizer.iterations`.
          metrics: {name: number} to be noted in the file, of the same kinds.

        Returns:
          The Artifact that was written.

        Raises:
          FreezeError: `step` or a metric is no number, a variable's shape has changed, the file
            passes 2 GiB, or it answers otherwise than `verify=` allows.
          OSError: the file system refuses; what was at `path` stays.
        """
        return self.prepare(step, metrics)(os.fspath(path))

    def prepare(
        self,
        step: Any,
        metrics: Optional[Mapping[str, Any]],
        values: Optional[Iterator[Value]] = None,
        hold: bool = False,
    ) -> Callable[[str], Artifact]:
        """What writes the variables' present values (or `values`) to a path, once.

        With `hold`, all of them are taken now; else each as it is written.
        """
        step = None if step is None else whole(step, "step=", self._run)
        metrics = metrics_of(metrics or {}, "metrics=", self._run)
        expected = self.expected()  # of this moment's values
        values = self.values() if values is None else values
        return functools.partial(
            write_frozen,
            self.plan,
            held(values) if hold else values,
            step=step,
            metrics=metrics,
            source="live",
            expected=expected,
        )
