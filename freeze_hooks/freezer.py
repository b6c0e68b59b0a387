"""One graph, compiled; freezes a session of it to a file as often as wanted."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from typing import Any, Dict, Mapping, Optional

from . import _tf, publish, stream
from ._version import __version__
from .errors import FreezeError
from .plan import LIMIT, FreezePlan, Signature, compile_plan
from .spec import FreezeSpec, Names
from .values import SessionValues


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


def plan_graph(graph: Any, spec: FreezeSpec) -> FreezePlan:
    """Compile a live tf.Graph; see `compile_plan` for the errors."""
    shape_of = functools.partial(_tf.static_shape, graph)
    return compile_plan(graph.as_graph_def(), spec, shape_of)


class Freezer:
    """Compiles a live graph once, and then streams the values of a session into the plan."""

    def __init__(self, graph: Any, spec: FreezeSpec) -> None:
        self.plan = plan_graph(graph, spec)
        self._values = SessionValues(graph, [slot.variable for slot in self.plan.slots])

    def freeze(self, session: Any, path: str, step: Optional[int]) -> Artifact:
        """Write the session's values as a frozen file at `path`, and its description beside it.

        Raises:
          FreezeError: a variable's shape is not the declared one, or the file passes 2 GiB.
          OSError: the file system refuses.
          tf.errors.OpError: the session does.
        """
        start = time.perf_counter()
        description = describe(self.plan.signature, step, "live")

        def fill(file: Any) -> None:
            stream.write(self.plan, self._values.read(session), description, file)

        expected = self.plan.graph_bytes + self.plan.weight_bytes
        written = publish.publish(path, fill, expected)
        if written.bytes > LIMIT:
            os.unlink(path)
            raise FreezeError(f"{path} would pass 2 GiB and could not be read")
        digest = {"algorithm": "xxh3_64", "value": written.hash}
        publish.publish_json(path + ".json", dict(description, hash=digest))
        seconds = time.perf_counter() - start
        signature = self.plan.signature
        return Artifact(path, step, signature, {}, written.bytes, seconds, written.hash)


def describe(signature: Signature, step: Optional[int], values: str) -> Dict[str, Any]:
    """What a frozen file says of itself, as JSON types."""
    return {
        "format": 1,
        "signature": dataclasses.asdict(signature),
        "step": step,
        "metrics": {},
        "values": values,
        "versions": {"freeze_hooks": __version__, "tensorflow": _tf.VERSION},
    }


def freeze_session(
    sess: Any, path: str, outputs: Names, *, inputs: Names = None, bind: Any = None
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

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: a name is unknown (near matches are listed), the outputs cannot be frozen, or
        the file would pass 2 GiB. Nothing is written then.
      OSError: the file cannot be written; what was at `path` stays.
    """
    spec = FreezeSpec.make(outputs, inputs, bind)
    return Freezer(sess.graph, spec).freeze(sess, os.fspath(path), step=None)
