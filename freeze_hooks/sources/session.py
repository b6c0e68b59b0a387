"""One graph, compiled; freezes a session of it to a file as often as wanted."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Tuple

import tensorflow as tf

from .. import _tf
from ..errors import FreezeError
from ..frozen.writer import Artifact, write_frozen
from ..graph import restore_ops
from ..graph.lint import Finding
from ..plan.compiler import compile_plan
from ..plan.spec import FreezeSpec, Names
from ..plan.types import FreezePlan
from ..proof.asked import Verifying
from ..proof.ends import ends_of
from ..proof.expected import Expected
from ..proof.renamed import renaming_in
from ..proof.sessions import SessionAnswers
from ..storage.paths import plain_path
from ..values import value
from ..values.checkpoint_reads import CheckpointValues
from ..values.renaming import Renaming, find_sources
from ..values.session_reads import SessionValues
from ..values.static_tables import static_contents

# a checkpoint's prefix, its keys, and the SaverDef of who wrote it
Saved = Tuple[str, Mapping[str, restore_ops.SavedKey], Any]
_STEP = re.compile(r"-(\d+)$")  # how Saver.save appends the global step


def warn_of(findings: Iterable[Finding]) -> None:
    """Warn of what was found in a graph, where there is no training to do so."""
    for finding in findings:
        _tf.warn(str(finding))


def plan_graph(graph: Any, spec: FreezeSpec) -> FreezePlan:
    """Compile a live tf.Graph; see `compile_plan` for the errors."""
    shape_of = functools.partial(_tf.static_shape, graph)
    graph_def = graph.as_graph_def()
    return compile_plan(graph_def, spec, shape_of, content_of=static_contents(graph_def))


def inference_graph(spec: FreezeSpec) -> Tuple[Any, FreezeSpec]:
    """The graph that `spec.inference_fn` builds, and `spec` with the ends that it may return."""
    assert spec.inference_fn is not None
    with tf.Graph().as_default() as graph:
        ends = spec.inference_fn()
    if spec.outputs:
        return graph, spec
    if not (isinstance(ends, tuple) and len(ends) == 2):
        raise FreezeError(
            "inference_fn= must return (inputs, outputs), two dicts of tensors by name, "
            "where outputs= names none"
        )
    made = FreezeSpec.make(ends[1], ends[0] or None, None)
    return graph, dataclasses.replace(spec, outputs=made.outputs, inputs=made.inputs)


class Freezer:
    """Compiles a live graph once, and then streams the values of a session into the plan."""

    def __init__(self, graph: Any, spec: FreezeSpec) -> None:
        self.spec = spec
        planned, asked = inference_graph(spec) if spec.inference_fn else (graph, spec)
        self.plan = plan_graph(planned, asked)
        variables = [slot.variable for slot in self.plan.slots]
        other = bool(spec.inference_fn or spec.variable_map or spec.ema)
        if other:
            variables = find_sources(graph, variables, spec.variable_map, spec.ema)
        self._live = SessionValues(graph, variables)
        self._saved = CheckpointValues(variables, self._live)
        self._answers = None
        if spec.verify:
            signature = self.plan.signature
            ends = ends_of(signature, asked.inputs, asked.outputs, spec.bind)
            renaming = renaming_in(graph, spec.variable_map, spec.ema) if other else None
            self._answers = SessionAnswers(spec.verify, signature, graph, planned, ends, renaming)

    def read(self, session: Any) -> Iterator[value.Value]:
        """One live value for each of the plan's slots."""
        return self._live.read(session)

    def freeze(
        self,
        session: Any,
        path: str,
        step: Optional[int],
        metrics: Optional[Mapping[str, float]] = None,
        saved: Optional[Saved] = None,
    ) -> Artifact:
        """Write variables' values as a frozen file at `path`, and its description beside it.

        Args:
          session: gives the values.
          path: the file to write.
          step: the global step of the values.
          metrics: what was measured at that step.
          saved: (prefix, keys, SaverDef) of a checkpoint that gives the values it has, instead.

        Raises:
          FreezeError: a variable's shape is not the declared one, the file passes 2 GiB, or it
            answers otherwise than `verify=` allows.
          OSError: the file system refuses.
          tf.errors.OpError: the session does.
        """
        return self.prepare(session, step, metrics, saved)(path)

    def prepare(
        self,
        session: Any,
        step: Optional[int],
        metrics: Optional[Mapping[str, float]] = None,
        saved: Optional[Saved] = None,
        hold: bool = False,
    ) -> Callable[[str], Artifact]:
        """Take from a session what a file needs; what is returned writes it to a path, once.

        With `hold`, all values are taken now, so that later steps do not change the file; else
        they are read as they are written. Otherwise as `freeze`.
        """
        expected = self.expected(session, saved)
        values = self._values(session, saved, hold)
        return functools.partial(
            write_frozen,
            self.plan,
            value.held(values) if hold else values,
            step=step,
            metrics=metrics,
            source="checkpoint" if saved else "live",
            expected=expected,
        )

    def expected(self, session: Any, saved: Optional[Saved] = None) -> Optional[Expected]:
        """What a file of the session's (or a checkpoint's) values must answer, with `verify=`.

        Raises:
          FreezeError: the feeds do not fit the graph.
        """
        if self._answers is None:
            return None
        return self._answers.expected(session, saved and (saved[0], saved[2]))

    def _values(
        self, session: Any, saved: Optional[Saved], hold: bool = False
    ) -> Iterator[value.Value]:
        if saved:
            return self._saved.read(session, *saved[:2])
        return self._live.take(session) if hold else self.read(session)


def step_of(session: Any, prefix: str, numbered: bool) -> Optional[int]:
    """The global step of a checkpoint: from the end of its name, where Saver.save was given one,
    or else the session's; None where that has none yet."""
    found = _STEP.search(prefix) if numbered else None
    if found:
        return int(found.group(1))
    global_step = _tf.global_step(session.graph)
    try:
        return None if global_step is None else int(session.run(global_step))
    except tf.errors.FailedPreconditionError:  # it is not initialized
        return None


def freeze_session(
    sess: Any,
    path: str,
    outputs: Names = None,
    *,
    inputs: Names = None,
    bind: Any = None,
    inference_fn: Optional[Callable[[], Any]] = None,
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
) -> Artifact:
    """Freeze what a session holds now to one `.pb` file.

        fh.freeze_session(sess, "model.pb", ["probs"], bind={"is_training:0": False})

    Args:
      sess: a tf.compat.v1.Session, or a session that has one's `graph` and `run`. Unless the
        graph is finalized, ops that read its variables are added to it, once.
      path: the file to write; its directory must exist. `path + ".json"` describes it.
      outputs: tensors or names, in a list or in a dict by the name they shall have in the file.
      inputs: the same, of the tensors to cut the graph at; they become placeholders. None keeps
        the placeholders that the outputs need.
      bind: {tensor or name: value} of tensors to fix, such as `is_training`; conditionals that
        this decides are folded.
      inference_fn, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize, verify: as in FreezeHook.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: a name is unknown (near matches are listed), the outputs cannot be frozen,
        the file would pass 2 GiB, or it is not what `verify=` asks. Nothing is written then.
      OSError: the file cannot be written; what was at `path` stays.
    """
    spec = FreezeSpec.make(
        outputs,
        inputs,
        bind,
        inference_fn=inference_fn,
        variable_map=variable_map,
        ema=ema,
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
    )
    freezer = Freezer(sess.graph, spec)
    warn_of(freezer.plan.findings)
    return freezer.freeze(sess, plain_path(path), step=None)
