"""One graph, compiled; freezes a session of it to a file as often as wanted."""

from __future__ import annotations

import dataclasses
import functools
import re
import time
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Tuple

import tensorflow as tf

from .. import _tf
from .._version import __version__
from ..errors import FreezeError, TooLargeError
from ..frozen import stream
from ..frozen.optimize import optimized
from ..graph.lint import CARRIED, Finding
from ..plan.compiler import LIMIT, FreezePlan, Signature, compile_plan
from ..plan.spec import FreezeSpec, Names, Verifying
from ..proof.ends import ends_of
from ..proof.expected import Expected
from ..proof.proof import Proof
from ..proof.renamed import renaming_in
from ..proof.sessions import SessionAnswers
from ..storage import atomic
from ..storage.file_kinds import refuse_foreign
from ..storage.paths import plain_path
from ..values.checkpoint_reads import CheckpointValues
from ..values.numerics import watched
from ..values.renaming import Renaming, find_sources
from ..values.session_reads import SessionValues
from ..values.static_tables import static_contents

FORMAT = 1  # of the description in a file
# a checkpoint's prefix, its keys, and the SaverDef of who wrote it
Saved = Tuple[str, Mapping[str, _tf.SavedKey], Any]
_STEP = re.compile(r"-(\d+)$")  # how Saver.save appends the global step


@dataclasses.dataclass(frozen=True)
class Artifact:
    """Print it to see what was written, or read from it where: `artifact.path`.

    What the functions return, `hook.artifacts` lists and `on_publish=` is called with.

    Attributes:
      path: where the file is.
      step: the global step of its values; None where there is none.
      signature: its inputs and outputs, with names, dtypes and shapes.
      metrics: {name: value} of what was measured when it was written.
      bytes: its length.
      seconds: wall time from the first byte read to the file's rename.
      hash: xxh3_64 of its bytes, in hexadecimal.
      max_difference: with `verify=`, the largest difference of its answers to the live ones.
    """

    path: str
    step: Optional[int]
    signature: Signature
    metrics: Mapping[str, float]
    bytes: int
    seconds: float
    hash: str
    max_difference: Optional[float] = None

    def __str__(self) -> str:
        step = "" if self.step is None else f" step {self.step}"
        proof = "" if self.max_difference is None else f", max diff {self.max_difference:.2g}"
        size = f"{self.bytes / 1e6:.1f} MB, {self.seconds:.2f} s"
        return f"Froze{step} -> {self.path} ({size}{proof})"


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

    def read(self, session: Any) -> Iterator[stream.Value]:
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
            stream.held(values) if hold else values,
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
    ) -> Iterator[stream.Value]:
        if saved:
            return self._saved.read(session, *saved[:2])
        return self._live.take(session) if hold else self.read(session)


class Undescribed(OSError):
    """A frozen file is there, but its description beside it could not be written."""

    def __init__(self, artifact: Artifact, error: OSError) -> None:
        super().__init__(str(error))
        self.artifact, self.errno = artifact, error.errno


def write_frozen(
    plan: FreezePlan,
    values: Iterator[stream.Value],
    path: str,
    step: Optional[int],
    metrics: Optional[Mapping[str, float]],
    source: str,
    beside: bool = True,
    expected: Optional[Expected] = None,
) -> Artifact:
    """Publish a plan with one value for each of its slots; `source` says where they are from.

    The description stands in the file, and `beside` it too. The file does not appear if it answers
    otherwise than `expected`.
    """
    if beside:  # else in place of TensorFlow's own functions, which take any path
        refuse_foreign(path)
    start = time.perf_counter()
    odd: Dict[str, str] = {}
    values = watched(plan, values, plan.check_numerics, odd)
    if plan.optimize:
        plan, values = optimized(plan, values), iter(())
    signature, metrics = plan.signature, dict(metrics or {})
    description = describe(signature, step, metrics, source)
    proof = None if expected is None else Proof(expected, path)
    if proof is not None and proof.mark is not None:
        description["max_difference"] = proof.mark
    carried = [dataclasses.asdict(found) for found in plan.findings if found.kind == CARRIED]
    if carried:  # the file itself no longer shows it
        description["findings"] = carried

    def fill(file: Any) -> None:
        stream.write(plan, values, description, file)
        if file.bytes > LIMIT:
            raise TooLargeError(f"{path} would pass 2 GiB and could not be read")

    size, about = plan.graph_bytes + plan.weight_bytes, path + ".json"
    check = None if proof is None else proof.check
    written = atomic.publish(path, fill, size, about, check)  # no description of another file
    for name, kind in list(odd.items())[:1]:
        more = f", as do {len(odd) - 1} others" if len(odd) > 1 else ""
        _tf.warn(f"{path}: variable {name!r} holds {kind}{more} (check_numerics='warn')")
    digest = {"algorithm": "xxh3_64", "value": written.hash}
    difference = None if proof is None else proof.difference
    if difference is not None:
        description["max_difference"] = difference
    trouble: Optional[OSError] = None
    try:
        if beside:
            atomic.publish_json(about, dict(description, hash=digest))
    except OSError as error:
        trouble = error
    seconds = time.perf_counter() - start
    artifact = Artifact(
        path, step, signature, metrics, written.bytes, seconds, written.hash, difference
    )
    if trouble is not None:
        raise Undescribed(artifact, trouble)
    return artifact


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


def describe(
    signature: Signature, step: Optional[int], metrics: Mapping[str, float], values: str
) -> Dict[str, Any]:
    """What a frozen file says of itself, as JSON types."""
    return {
        "format": FORMAT,
        "signature": dataclasses.asdict(signature),
        "step": step,
        "metrics": {name: atomic.json_number(value) for name, value in metrics.items()},
        "values": values,
        "versions": {"freeze_hooks": __version__, "tensorflow": _tf.VERSION},
    }


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
