"""`to_onnx`: frozen files as ONNX, tried in ONNX Runtime before they appear."""

from __future__ import annotations

import functools
from typing import Any, List, Mapping, Optional

from ... import _tf
from ...errors import ConversionError
from ...frozen.reader import read_graph_def
from ...frozen.writer import Artifact
from ...graph.names import split
from ...proof.asked import Verifying
from ..converting import After, beside, converting, destination, write
from ..trial import asked, compare
from . import runtime
from .bfloat16 import nodes_of, uses_bfloat16, widened
from .complex_pairs import in_real_pairs
from .left_over import Failures, refuse_left_over
from .plain_ops import in_plain_ops
from .refused import Refused
from .rules import RULES
from .tf2onnx import import_tf2onnx, made_by_tf2onnx

_NEWER = 18  # the operators that the ops in _NEED_NEWER became
_NEED_NEWER = frozenset(
    ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "TensorScatterAdd", "TensorScatterSub")
    + ("TensorScatterMax", "TensorScatterMin")
)


def to_onnx(
    path: Optional[str] = None, *, opset: Optional[int] = None, verify: Verifying = True
) -> After:
    """Convert frozen files to ONNX, with tf2onnx: `fh.to_onnx()(artifact)`.

    Needs the extra `onnx`. Inputs and outputs are called as in the artifact's signature (an output
    that is called as an input is: as its node), and have its dtypes; but bfloat16 becomes float32.
    Open sizes stay open. The conversion takes several times the file's size in memory.

    Where ONNX Runtime is installed, each file is run in it before it appears, and must answer as
    the frozen file does in TensorFlow: on feeds that are made up, of two sizes where sizes are
    open. Elsewhere a warning says that it was not tried.

    Args:
      path: the file to write, each time anew; None writes `X.onnx` beside each `X.pb`.
      opset: the version of ONNX's operators; None takes tf2onnx's choice, or 18 where an op needs
        it.
      verify: False does not try the file; a dict of sample feeds, {input name: array}, or
        fh.Verify, with feeds or a tolerance, says on what. The tolerance is 1e-4 of an output's
        scale, 0.01 where the model computes in float16, 0.1 in bfloat16.

    Returns:
      A function that converts one Artifact, and returns the path that it wrote. It raises
      ConversionError if tf2onnx cannot express the model, or ONNX Runtime cannot run it or answers
      otherwise, and OSError if the file cannot be written; what was at the path stays then.

    Raises:
      FreezeError: tf2onnx is not there, or cannot be imported beside this TensorFlow; `verify` is
        none of these.
      OSError: the directory of `path` cannot be written in.
    """
    import_tf2onnx()
    path, wanted = destination(path), asked(verify)
    if wanted is not None and not runtime.is_installed():
        _tf.warn(
            "to_onnx: ONNX Runtime is not installed, so its files are not tried before they "
            "appear: pip install onnxruntime, or say verify=False"
        )
        wanted = None

    def onnx(artifact: Artifact) -> str:
        target = beside(artifact, path, ".onnx")
        with converting(artifact, "tf2onnx"):
            graph_def = read_graph_def(artifact.path)
            content = _converted(artifact, graph_def, opset)
        if wanted is None:
            return write(target, content)
        called = dict(zip(_outputs(artifact), (i.name for i in artifact.signature.outputs)))
        session = functools.partial(runtime.Session, called)
        tried = functools.partial(
            compare, artifact, graph_def, session, "ONNX Runtime", wanted, target
        )
        try:
            return write(target, content, tried)
        except ConversionError:  # tf2onnx's optimizers make mistakes, with transposes above all
            with converting(artifact, "tf2onnx"):
                content = _converted(artifact, graph_def, opset, optimizers={})
            return write(target, content, tried)

    onnx.makes_beside = None if path else ".onnx"  # type: ignore[attr-defined]
    return onnx


def _converted(
    artifact: Artifact,
    graph_def: Any,
    opset: Optional[int],
    optimizers: Optional[Mapping[str, Any]] = None,
) -> bytes:
    """The content of an ONNX file."""
    for info in artifact.signature.inputs + artifact.signature.outputs:
        if info.dtype.startswith("complex"):
            raise Refused(
                f"{info.name!r} is {info.dtype}, and ONNX Runtime has no complex numbers: freeze "
                "tf.math.real and tf.math.imag of it"
            )
    plain = _without_lowering(graph_def)
    if uses_bfloat16(plain):
        plain = widened(plain)
    plain = in_plain_ops(in_real_pairs(plain), RULES)
    if opset is None and any(node.op in _NEED_NEWER for node in nodes_of(plain)):
        opset = _NEWER
    inputs = {info.tensor: info.name for info in artifact.signature.inputs}
    outputs = {info.tensor: n for info, n in zip(artifact.signature.outputs, _outputs(artifact))}
    with Failures() as failures:
        model = made_by_tf2onnx(plain, inputs, outputs, opset, optimizers)
    refuse_left_over(model.graph, failures)
    return bytes(model.SerializeToString())


def _outputs(artifact: Artifact) -> List[str]:
    """What outputs are called: as in the signature, or as their nodes where an input is called so,
    for in ONNX a name is there once."""
    taken = {info.name for info in artifact.signature.inputs}
    return [
        split(info.tensor)[0] if info.name in taken else info.name
        for info in artifact.signature.outputs
    ]


def _without_lowering(graph_def: Any) -> Any:
    """A copy with its While and If nodes as they are: tf2onnx's pass would turn those that are
    marked so into Enter, Switch and Merge, which it does not know."""
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    for nodes in [copy.node, *(f.node_def for f in copy.library.function)]:
        for node in nodes:
            node.attr.pop("_lower_using_switch_merge", None)
    return copy
