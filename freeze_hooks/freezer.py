"""One graph, compiled; freezes a session of it to a file as often as wanted."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import time
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Tuple

import tensorflow as tf

from . import _tf, publish, stream
from ._tf import v1
from ._version import __version__
from .errors import FreezeError, TooLargeError
from .graph.lint import Finding
from .numerics import watched
from .optimized import optimized
from .plan import LIMIT, FreezePlan, Signature, compile_plan
from .saved_tensors import CheckpointValues
from .sources import Renaming, find_sources
from .spec import FreezeSpec, Names
from .tables import static_contents
from .values import SessionValues

FORMAT = 1  # of the description in a file
_STEP = re.compile(r"-(\d+)$")  # how Saver.save appends the global step


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A frozen file that was written.

    Attributes:
      path: where it is.
      step: the global step of its values; None where there is none.
      signature: its inputs and outputs.
      metrics: {name: value} of what was measured when it was written.
      bytes: its length.
      seconds: wall time from the first byte read to the file's rename.
      hash: xxh3_64 of its bytes, in hexadecimal.
    """

    path: str
    step: Optional[int]
    signature: Signature
    metrics: Mapping[str, float]
    bytes: int
    seconds: float
    hash: str

    def __str__(self) -> str:
        step = "" if self.step is None else f" step {self.step}"
        return f"Froze{step} -> {self.path} ({self.bytes / 1e6:.1f} MB, {self.seconds:.2f} s)"


def warn_of(findings: Iterable[Finding]) -> None:
    """Warn of what was found in a graph, where there is no training to do so."""
    for finding in findings:
        _tf.warn(str(finding))


def plan_graph(graph: Any, spec: FreezeSpec) -> FreezePlan:
    """Compile a live tf.Graph; see `compile_plan` for the errors."""
    shape_of = functools.partial(_tf.static_shape, graph)
    graph_def = graph.as_graph_def()
    return compile_plan(graph_def, spec, shape_of, content_of=static_contents(graph_def))


def inference_plan(spec: FreezeSpec) -> FreezePlan:
    """Compile the graph that `spec.inference_fn` builds; what it returns may name both ends."""
    assert spec.inference_fn is not None
    with tf.Graph().as_default() as graph:
        ends = spec.inference_fn()
    if spec.outputs:
        return plan_graph(graph, spec)
    if not (isinstance(ends, tuple) and len(ends) == 2):
        raise FreezeError(
            "inference_fn= must return (inputs, outputs), two dicts of tensors by name, "
            "where outputs= names none"
        )
    made = FreezeSpec.make(ends[1], ends[0] or None, None)
    return plan_graph(graph, dataclasses.replace(spec, outputs=made.outputs, inputs=made.inputs))


class Freezer:
    """Compiles a live graph once, and then streams the values of a session into the plan."""

    def __init__(self, graph: Any, spec: FreezeSpec) -> None:
        self.spec = spec
        self.plan = inference_plan(spec) if spec.inference_fn else plan_graph(graph, spec)
        variables = [slot.variable for slot in self.plan.slots]
        if spec.inference_fn or spec.variable_map or spec.ema:
            variables = find_sources(graph, variables, spec.variable_map, spec.ema)
        self._live = SessionValues(graph, variables)
        self._saved = CheckpointValues(variables, self._live)

    def read(self, session: Any) -> Iterator[stream.Value]:
        """One live value for each of the plan's slots."""
        return self._live.read(session)

    def freeze(
        self,
        session: Any,
        path: str,
        step: Optional[int],
        metrics: Optional[Mapping[str, float]] = None,
        saved: Optional[Tuple[str, Mapping[str, _tf.SavedKey]]] = None,
    ) -> Artifact:
        """Write variables' values as a frozen file at `path`, and its description beside it.

        Args:
          session: gives the values.
          path: the file to write.
          step: the global step of the values.
          metrics: what was measured at that step.
          saved: (prefix, keys) of a checkpoint that gives the values it has, instead.

        Raises:
          FreezeError: a variable's shape is not the declared one, or the file passes 2 GiB.
          OSError: the file system refuses.
          tf.errors.OpError: the session does.
        """
        values = self._saved.read(session, *saved) if saved else self.read(session)
        source = "checkpoint" if saved else "live"
        return write_frozen(self.plan, values, path, step, metrics, source)


def write_frozen(
    plan: FreezePlan,
    values: Iterator[stream.Value],
    path: str,
    step: Optional[int],
    metrics: Optional[Mapping[str, float]],
    source: str,
    beside: bool = True,
) -> Artifact:
    """Publish a plan with one value for each of its slots; `source` says where they are from.

    The description stands in the file, and `beside` it too.
    """
    start = time.perf_counter()
    odd: Dict[str, str] = {}
    values = watched(plan, values, plan.check_numerics, odd)
    if plan.optimize:
        plan, values = optimized(plan, values), iter(())
    signature, metrics = plan.signature, dict(metrics or {})
    description = describe(signature, step, metrics, source)

    def fill(file: Any) -> None:
        stream.write(plan, values, description, file)
        if file.bytes > LIMIT:
            raise TooLargeError(f"{path} would pass 2 GiB and could not be read")

    size, about = plan.graph_bytes + plan.weight_bytes, path + ".json"
    written = publish.publish(path, fill, size, about)  # never a description of another file
    for name, kind in list(odd.items())[:1]:
        more = f", as do {len(odd) - 1} others" if len(odd) > 1 else ""
        _tf.warn(f"{path}: variable {name!r} holds {kind}{more} (check_numerics='warn')")
    digest = {"algorithm": "xxh3_64", "value": written.hash}
    if beside:
        publish.publish_json(about, dict(description, hash=digest))
    seconds = time.perf_counter() - start
    return Artifact(path, step, signature, metrics, written.bytes, seconds, written.hash)


def step_of(session: Any, prefix: str) -> Optional[int]:
    """The global step of a checkpoint: from its name, or else the session's."""
    found = _STEP.search(prefix)
    if found:
        return int(found.group(1))
    global_step = v1.train.get_global_step(session.graph)
    return None if global_step is None else int(session.run(global_step))


def describe(
    signature: Signature, step: Optional[int], metrics: Mapping[str, float], values: str
) -> Dict[str, Any]:
    """What a frozen file says of itself, as JSON types."""
    return {
        "format": FORMAT,
        "signature": dataclasses.asdict(signature),
        "step": step,
        "metrics": {name: publish.json_number(value) for name, value in metrics.items()},
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
        optimize: as in FreezeHook.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: a name is unknown (near matches are listed), the outputs cannot be frozen, or
        the file would pass 2 GiB. Nothing is written then.
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
    )
    freezer = Freezer(sess.graph, spec)
    warn_of(freezer.plan.findings)
    return freezer.freeze(sess, os.fspath(path), step=None)
