"""Freezes sessions: compiles a graph once, and reads a session's values at each save."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Callable, Iterator, List, Mapping, Optional, Tuple

import tensorflow as tf

from .. import _tf
from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..graph import restore_ops
from ..plan.carried import Assets, Metadata
from ..plan.compiler import compile_plan
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.located import located
from ..plan.spec import FreezeSpec, Names, Signatures
from ..plan.types import FreezePlan
from ..proof.asked import Verify, Verifying
from ..proof.asking import all_expected, askings_of
from ..proof.expected import Expected
from ..proof.renamed import renaming_in
from ..proof.sessions import SessionAnswers
from ..proof.tensor_ends import ends_of
from ..values.checkpoint_reads import CheckpointValues
from ..values.linked import find_places
from ..values.renaming import Renaming, find_sources
from ..values.session_reads import SessionValues
from ..values.static_tables import static_contents
from ..values.value import Value
from .source import CHECKPOINT, LIVE, Source

# a checkpoint's prefix, its keys, and the SaverDef that wrote it
Saved = Tuple[str, Mapping[str, restore_ops.SavedKey], Any]


def plan_graph(graph: Any, spec: FreezeSpec) -> FreezePlan:
    """Compile a live tf.Graph; see `compile_plan` for the errors."""
    shape_of = functools.partial(_tf.static_shape, graph)
    graph_def = graph.as_graph_def()
    return compile_plan(graph_def, spec, shape_of, content_of=static_contents(graph_def))


def inference_graph(spec: FreezeSpec) -> Tuple[Any, FreezeSpec]:
    """Return the graph that `spec.inference_fn` builds, and `spec` with its inputs and outputs."""
    assert spec.inference_fn is not None
    with tf.Graph().as_default() as graph:
        ends = spec.inference_fn()
    if spec.outputs:
        return graph, spec
    if isinstance(ends, dict) and ends and all(isinstance(v, tuple) for v in ends.values()):
        return graph, spec.with_ends(FreezeSpec.make(None, signatures=ends))
    if not (isinstance(ends, tuple) and len(ends) == 2):
        raise FreezeError(
            "inference_fn= must return (inputs, outputs), two dicts of tensors by name, "
            "where outputs= names none; or a dict of such pairs by the signatures' names"
        )
    made = FreezeSpec.make(ends[1], ends[0] or None, None)
    return graph, dataclasses.replace(spec, outputs=made.outputs, inputs=made.inputs)


class LiveGraph:
    """A live graph, compiled once; `source` returns it with a session's values."""

    def __init__(self, graph: Any, spec: FreezeSpec) -> None:
        self.spec = spec
        planned, asked = inference_graph(spec) if spec.inference_fn else (graph, spec)
        self.plan = plan_graph(planned, asked)
        variables = [slot.variable for slot in self.plan.slots]
        other = bool(spec.inference_fn or spec.variable_map or spec.file.ema)
        if other:
            variables = find_sources(graph, variables, spec.variable_map, spec.file.ema)
        self._variables = variables
        self._live = SessionValues(graph, variables)
        self._saved = CheckpointValues(variables, self._live)
        self._answers: List[SessionAnswers] = []
        if isinstance(spec.file.verify, Verify):
            renaming = renaming_in(graph, spec.variable_map, spec.file.ema) if other else None
            askings = askings_of(spec.file.verify, self.plan.signatures)
            for key, one in asked.by_signature():
                signature = self.plan.signatures[key]
                ends = ends_of(signature, one.inputs, one.outputs, spec.bind)
                self._answers.append(SessionAnswers(askings[key], graph, planned, ends, renaming))

    def source(
        self, session: Any, step: Optional[int] = None, saved: Optional[Saved] = None
    ) -> Source:
        """Return the graph with a session's values.

        Args:
          session: the session with the values.
          step: the global step of the values.
          saved: (prefix, keys, SaverDef) of a checkpoint; values that it has are read from it.
        """
        expected = functools.partial(self.expected, session, saved)
        if saved:
            values = functools.partial(self._saved.read, session, *saved[:2])
            return Source(self._plan_for(saved), values, expected, step, CHECKPOINT)
        read = functools.partial(self._live.read, session)
        take = functools.partial(self._live.take, session)
        return Source(self.plan, read, expected, step, LIVE, take)

    def _plan_for(self, saved: Saved) -> FreezePlan:
        if not self.plan.format.links:
            return self.plan
        prefix, keys, _ = saved
        wanted = {
            slot.key: (variable, keys.get(variable.node))
            for slot, variable in zip(self.plan.slots, self._variables)
            if slot.key is not None
        }
        return located(self.plan, prefix, find_places(prefix, wanted))

    def read(self, session: Any) -> Iterator[Value]:
        """Yield one live value for each of the plan's slots."""
        return self._live.read(session)

    def expected(self, session: Any, saved: Optional[Saved] = None) -> Optional[Expected]:
        """Return the answers that a file with these values must give, with `verify=`; else None.

        Raises:
          FreezeError: the feeds do not fit the graph.
        """
        if not self._answers:
            return None
        of_checkpoint = saved and (saved[0], saved[2])
        return all_expected(
            functools.partial(answers.expected, session, of_checkpoint) for answers in self._answers
        )


def freeze_session(
    sess: Any,
    path: str,
    outputs: Names = None,
    *,
    inputs: Names = None,
    bind: Any = None,
    signatures: Signatures = None,
    inference_fn: Optional[Callable[[], Any]] = None,
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> Artifact:
    """Freeze what a session holds now to one `.pb` file.

        fh.freeze_session(sess, "model.pb", ["probs"], bind={"is_training:0": False})

    Args:
      sess: a tf.compat.v1.Session, or an object with its `graph` and `run`. Unless the graph is
        finalized, ops that read its variables are added to it, once.
      path: where to write; its directory must exist. `path + ".json"` describes a `.pb`.
      outputs: tensors or names, in a list or in a dict by their names in the file.
      inputs: tensors or names, likewise, at which to cut the graph; they become placeholders. None
        keeps the placeholders that the outputs need.
      bind: {tensor or name: value} of tensors to fix, such as `is_training`; conditionals that
        this decides are folded.
      signatures, inference_fn, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize, verify, format: as in FreezeHook; a SavedModel is the directory `path`.
      custom_metadata, assets: as in FreezeHook.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: a name is unknown (lists near matches), the outputs cannot be frozen, the file
        would pass 2 GiB, or its answers differ by more than `verify=` allows. Nothing is written
        then.
      OSError: the file cannot be written; an old file at `path` stays.
    """
    spec = FreezeSpec.make(
        outputs,
        inputs,
        bind,
        FileOptions(
            ema=ema,
            lower_control_flow=lower_control_flow,
            weights=weights,
            check_numerics=check_numerics,
            optimize=optimize,
            verify=verify,
            format=format,
            custom_metadata=custom_metadata,
            assets=assets,
        ),
        signatures,
        inference_fn=inference_fn,
        variable_map=variable_map,
    )
    return LiveGraph(sess.graph, spec).source(sess).freeze(path)
