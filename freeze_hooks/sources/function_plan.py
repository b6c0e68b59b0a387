"""FunctionPlan: the plan of a traced function or Keras model, with its variables."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Optional, Sequence, Set, Tuple

from .. import _tf
from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..frozen.numbers import Run, metrics_of, whole
from ..graph.lint import Finding
from ..plan.fingerprint.traced_from import TracedFrom
from ..plan.types import FreezePlan
from ..signature import Signature
from ..storage.paths import plain_path
from .source import Expecting, Source, Values, nothing_expected, warn_of

_TOLD = 3  # changes that a message lists


class FunctionPlan(Source):
    """Call its `write` any number of times: each call writes the variables' present values.

        plan = fh.plan_function(predict)
        plan.write("step-100.pb", step=100)

    `plan_function` and `plan_keras_model` return one. If Python values have changed since the trace
    (a number that a call reads, a layer that was replaced), a write traces again, and warns of the
    time that this takes.
    """

    def __init__(
        self,
        plan: FreezePlan,
        values: Values,
        handles: Sequence[Any] = (),
        expected: Expecting = nothing_expected,
        run: Run = None,
    ) -> None:
        super().__init__(plan, values, expected)
        self.handles = handles  # of the slots' variables, if a function was traced
        self._run = run  # the session's, in graph mode
        self._traced: Optional[TracedFrom] = None
        self._again: Optional[Callable[[], FunctionPlan]] = None
        self._told: Set[str] = set()  # names of the changes that were warned of

    @property
    def signature(self) -> Signature:
        """Inputs and outputs of the files."""
        return self.plan.signature

    @property
    def findings(self) -> Tuple[Finding, ...]:
        """Problems in the graph that may show where it is deployed."""
        return self.plan.findings

    @property
    def weight_bytes(self) -> int:
        """Number of bytes of all variables that go into a file."""
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
          step: the global step to note in the file: a whole number, or an array, tensor or
            variable with one, such as `optimizer.iterations`.
          metrics: {name: number} to note in the file; numbers may be of the same types.

        Returns:
          The Artifact that was written.

        Raises:
          FreezeError: `step` or a metric is not a number, a variable's shape has changed, the
            file passes 2 GiB, or its answers differ by more than `verify=` allows.
          OSError: the file system fails; an old file at `path` stays.
        """
        warn_of(self.renew())
        step = None if step is None else whole(step, "step=", self._run)
        measured = metrics_of(metrics or {}, "metrics=", self._run)
        return self.prepare(measured, step)(plain_path(path))

    def follow(self, again: Optional[Callable[[], FunctionPlan]], *roots: Any) -> FunctionPlan:
        """Make `renew` look for changes of the traced model or functions since now.

        Args:
          again: makes a new plan of them; without, a change is only warned of.
          *roots: the model, or the functions.
        """
        self._again = again
        try:
            self._traced = TracedFrom(*roots)
        except Exception as error:  # raised by a user's object, which need not concern a file
            _tf.warn(
                "the traced model or function cannot be checked for changes, so all files hold the "
                f"Python values of the trace: {type(error).__name__}: {error}"
            )
        return self

    def renew(self) -> Tuple[Finding, ...]:
        """Plan again if the traced model or function has changed; return new findings.

        Raises:
          FreezeError: the changed one cannot be frozen.
        """
        changes = [] if self._traced is None else self._traced.changes()
        if not changes:
            return ()
        told = "; ".join(changes[:_TOLD] + ["..."] * (len(changes) > _TOLD))
        if self._again is None:
            self._say(
                changes,
                f"changed since the function was traced: {told}. Neither it nor its files "
                "notice this, since a tf.function is traced once; input_signature= traces it anew",
            )
            return ()
        before, start = self.findings, time.perf_counter()
        try:
            new = self._again()
        except Exception as error:
            kind = "" if isinstance(error, FreezeError) else f"{type(error).__name__}: "
            raise FreezeError(
                f"{kind}{error} (traced anew, because this changed since the last trace: {told})"
            ) from error
        self.plan, self.values, self.handles = new.plan, new.values, new.handles
        self.expected, self._traced = new.expected, new._traced
        seconds = time.perf_counter() - start
        self._say(
            changes,
            f"changed since the last trace: {told}. It was traced anew, which took {seconds:.1f} "
            "s, as it will at each such change; a change during training costs nothing if it is of "
            "a variable (add_weight, tf.Variable)",
        )
        return tuple(finding for finding in self.findings if finding not in before)

    def _say(self, changes: Sequence[str], message: str) -> None:
        """Warn of changes, once of each."""
        names = {change.split(":")[0] for change in changes}
        (_tf.info if names <= self._told else _tf.warn)(message)
        self._told |= names
