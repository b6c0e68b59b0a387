"""A plan together with the eager variables whose values it takes."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Optional, Sequence, Set, Tuple

from .. import _tf
from ..errors import FreezeError
from ..frozen.numbers import Run, metrics_of, whole
from ..frozen.writer import Artifact
from ..graph.lint import Finding
from ..plan.fingerprint.traced_from import TracedFrom
from ..plan.types import FreezePlan
from ..signature import Signature
from ..storage.paths import plain_path
from .source import Expecting, Source, Values, nothing_expected, warn_of

_TOLD = 3  # changes that a message lists


class FunctionPlan(Source):
    """Call its `write` as often as wanted: each streams the values that the variables have then.

        plan = fh.plan_function(predict)
        plan.write("step-100.pb", step=100)

    It is what `plan_function` and `plan_keras_model` give. Where Python's own values have changed
    since they were traced (a number that a call reads, a layer that was replaced), a write traces
    anew, and warns of what that costs.
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
        self.handles = handles  # of their variables, where a function was traced
        self._run = run  # the session's, in graph mode
        self._traced: Optional[TracedFrom] = None
        self._again: Optional[Callable[[], FunctionPlan]] = None
        self._told: Set[str] = set()  # of what changes were warned of

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
        warn_of(self.renew())
        step = None if step is None else whole(step, "step=", self._run)
        measured = metrics_of(metrics or {}, "metrics=", self._run)
        return self.prepare(measured, step)(plain_path(path))

    def follow(self, root: Any, again: Optional[Callable[[], FunctionPlan]]) -> FunctionPlan:
        """Have `renew` look whether what was traced, a model or function, is as it is now.

        Args:
          root: the model or function.
          again: makes another plan of it; without, a change is only told.
        """
        self._again = again
        try:
            self._traced = TracedFrom(root)
        except Exception as error:  # by objects of the user's own, which need not concern a file
            _tf.warn(
                "the model or function that was traced cannot be looked at for changes, so files "
                f"hold Python's values of now for good: {type(error).__name__}: {error}"
            )
        return self

    def renew(self) -> Tuple[Finding, ...]:
        """Plan anew if what was traced has changed; returns the findings that this brings.

        Raises:
          FreezeError: as it is now, it cannot be frozen.
        """
        changes = [] if self._traced is None else self._traced.changes()
        if not changes:
            return ()
        told = "; ".join(changes[:_TOLD] + ["..."] * (len(changes) > _TOLD))
        if self._again is None:
            self._say(
                changes,
                f"changed since the function was traced: {told}. Neither it nor its files take "
                "notice, for a tf.function is traced once; input_signature= traces it anew",
            )
            return ()
        before, start = self.findings, time.perf_counter()
        try:
            new = self._again()
        except Exception as error:
            kind = "" if isinstance(error, FreezeError) else f"{type(error).__name__}: "
            raise FreezeError(
                f"{kind}{error} (traced anew, for this changed since the last trace: {told})"
            ) from error
        self.plan, self.values, self.handles = new.plan, new.values, new.handles
        self.expected, self._traced = new.expected, new._traced
        seconds = time.perf_counter() - start
        self._say(
            changes,
            f"changed since the last trace: {told}. It was traced anew, which took {seconds:.1f} "
            "s, as it will at each such change; what changes while training runs costs nothing "
            "where it is a variable (add_weight, tf.Variable)",
        )
        return tuple(finding for finding in self.findings if finding not in before)

    def _say(self, changes: Sequence[str], message: str) -> None:
        """Warn of changes, of each once."""
        names = {change.split(":")[0] for change in changes}
        (_tf.info if names <= self._told else _tf.warn)(message)
        self._told |= names
