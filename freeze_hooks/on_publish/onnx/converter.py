"""`to_onnx`: converts frozen files to ONNX, and tries them in ONNX Runtime."""

from __future__ import annotations

import functools
import json
from typing import Any, List, Mapping, Optional

from ... import _tf
from ...errors import ConversionError
from ...frozen.artifact import Artifact
from ...frozen.description import custom_metadata_in
from ...frozen.reader import _description
from ...graph.names import split
from ...proof.asked import Verifying
from ...signature import SERVING
from ..converting import After, beside, converting, destination, ending_of, graph_of, write
from ..trial import asked, compare
from . import runtime
from .bfloat16 import nodes_of, uses_bfloat16, widened
from .complex_pairs import in_real_pairs
from .left_over import Failures, refuse_left_over
from .plain_ops import in_plain_ops
from .refused import Refused
from .rules import RULES
from .tf2onnx import import_tf2onnx, made_by_tf2onnx

_NEWER = 18  # the opset with operators for the ops in _NEED_NEWER
_NEED_NEWER = frozenset(
    ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "TensorScatterAdd", "TensorScatterSub")
    + ("TensorScatterMax", "TensorScatterMin")
)


def to_onnx(
    path: Optional[str] = None,
    *,
    opset: Optional[int] = None,
    verify: Verifying = True,
    signature: str = SERVING,
) -> After:
    """Convert frozen files to ONNX, with tf2onnx: `fh.to_onnx()(artifact)`.

    It needs the extra `onnx`. Inputs and outputs have the names and dtypes of the artifact's
    signature, but bfloat16 becomes float32. An output with the name of an input is called after its
    node. Open sizes stay open. The conversion takes several times the file's size in memory.

    Custom metadata is in `metadata_props`, under its own keys: text as it is, other values as JSON.
    An ONNX file has no assets.

    If ONNX Runtime is installed, each file first runs in it. The file appears only if its answers
    equal those of the frozen file in TensorFlow. The feeds are random, and of two sizes where sizes
    are open. Without ONNX Runtime, a warning says that the file was not tried.

    Args:
      path: the file to write, replaced each time; None writes `X.onnx` beside each `X.pb`.
      opset: the version of ONNX's operators; None takes tf2onnx's default, or 18 if an op needs it.
      verify: False does not try the file. A dict of sample feeds, {input name: array}, or an
        fh.Verify sets the feeds; fh.Verify may also set a tolerance. The default tolerance is 1e-4
        of an output's scale, 0.01 if the model computes in float16, 0.1 in bfloat16.
      signature: which signature of the file to convert; beside each `X.pb`, that of "embed" is
        `X.embed.onnx`.

    Returns:
      A function that converts one Artifact, and returns the path of the new file. It raises
      ConversionError if tf2onnx cannot convert the model, or if ONNX Runtime cannot run the file or
      answers differently. It raises OSError if the file cannot be written. On an error, an existing
      file at the path stays.

    Raises:
      FreezeError: tf2onnx is missing or cannot be imported with this TensorFlow, or `verify` has
        another type.
      OSError: the directory of `path` is not writable.
    """
    import_tf2onnx()
    path, wanted, ending = destination(path), asked(verify), ending_of(signature, ".onnx")
    if wanted is not None and not runtime.is_installed():
        _tf.warn(
            "to_onnx: ONNX Runtime is not installed, so its files are not tried before they "
            "appear: pip install onnxruntime, or pass verify=False"
        )
        wanted = None

    def onnx(artifact: Artifact) -> str:
        artifact = artifact.of_signature(signature)
        target = beside(artifact, path, ending)
        with converting(artifact, "tf2onnx"):
            graph_def = graph_of(artifact)
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
        except ConversionError:  # tf2onnx's optimizers make mistakes, mostly with transposes
            with converting(artifact, "tf2onnx"):
                content = _converted(artifact, graph_def, opset, optimizers={})
            return write(target, content, tried)

    onnx.makes_beside = None if path else ending  # type: ignore[attr-defined]
    return onnx


def _converted(
    artifact: Artifact,
    graph_def: Any,
    opset: Optional[int],
    optimizers: Optional[Mapping[str, Any]] = None,
) -> bytes:
    """Return the content of an ONNX file."""
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
    _add_metadata(model, custom_metadata_in(_description(graph_def, artifact.path), artifact.path))
    return bytes(model.SerializeToString())


def _add_metadata(model: Any, metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        model.metadata_props.add(key=key, value=text)


def _outputs(artifact: Artifact) -> List[str]:
    """Return the names of the outputs.

    They are those of the signature. An output with the name of an input is called after its node,
    since names are unique in ONNX.
    """
    taken = {info.name for info in artifact.signature.inputs}
    return [
        split(info.tensor)[0] if info.name in taken else info.name
        for info in artifact.signature.outputs
    ]


def _without_lowering(graph_def: Any) -> Any:
    """Return a copy whose While and If nodes are not marked for lowering.

    tf2onnx would lower marked nodes to Enter, Switch and Merge, which it does not support.
    """
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    for nodes in [copy.node, *(f.node_def for f in copy.library.function)]:
        for node in nodes:
            node.attr.pop("_lower_using_switch_merge", None)
    return copy
