"""`to_onnx`: frozen files as ONNX, tried in ONNX Runtime before they appear."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from typing import Any, Iterator, List, Optional

from .. import _tf
from ..converting import After, beside, converting, destination, shortened, write
from ..errors import FreezeError
from ..freezer import Artifact
from ..graph.names import split
from ..load import read_graph_def
from ..proof.asked import Verifying
from ..trial import asked, compare
from . import runtime
from .bfloat16 import nodes_of, uses_bfloat16, widened
from .handlers import HANDLERS
from .left_over import Failures, refuse_left_over
from .plain_ops import in_plain_ops
from .rules import RULES
from .tables import DOMAIN, lookups_in, table_handlers

_NEWER = 18  # the operators that the ops in _NEED_NEWER became
_ML = 2  # the version of LabelEncoder for all types
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
    with _unchanged_environment("TF_CPP_MIN_LOG_LEVEL"):  # tf2onnx sets it for good
        convert = _imported("tf2onnx.convert")
        package = _imported("onnx")
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
            content = _converted(artifact, graph_def, convert, package, opset)
        if wanted is None:
            return write(target, content)
        called = dict(zip(_outputs(artifact), (i.name for i in artifact.signature.outputs)))
        session = functools.partial(runtime.Session, called)
        tried = functools.partial(
            compare, artifact, graph_def, session, "ONNX Runtime", wanted, target
        )
        return write(target, content, tried)

    return onnx


def _converted(
    artifact: Artifact, graph_def: Any, convert: Any, package: Any, opset: Optional[int]
) -> bytes:
    plain = _without_lowering(graph_def)
    if uses_bfloat16(plain):
        plain = widened(plain)
    plain = in_plain_ops(plain, RULES)
    if opset is None and any(node.op in _NEED_NEWER for node in nodes_of(plain)):
        opset = _NEWER
    lookups = lookups_in(plain)
    inputs = {info.tensor: info.name for info in artifact.signature.inputs}
    outputs = {info.tensor: n for info, n in zip(artifact.signature.outputs, _outputs(artifact))}
    with Failures() as failures:
        model, _ = convert.from_graph_def(
            plain,
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename={**outputs, **inputs},
            opset=opset,
            custom_op_handlers={**HANDLERS, **table_handlers(lookups)},
            extra_opset=[package.helper.make_opsetid(DOMAIN, _ML)] if lookups else None,
        )
    refuse_left_over(model.graph, package.defs, failures)
    return bytes(model.SerializeToString())


def _outputs(artifact: Artifact) -> List[str]:
    """What outputs are called: as in the signature, or as their nodes where an input is called so,
    for in ONNX a name is there once."""
    taken = {info.name for info in artifact.signature.inputs}
    return [
        split(info.tensor)[0] if info.name in taken else info.name
        for info in artifact.signature.outputs
    ]


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # an old one fails on a new NumPy in ways of its own
        package = module.split(".")[0]
        raise FreezeError(
            f"to_onnx needs {package}, which cannot be imported ({shortened(error)}): "
            "pip install 'freeze-hooks[onnx]'"
        ) from error


@contextlib.contextmanager
def _unchanged_environment(name: str) -> Iterator[None]:
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _without_lowering(graph_def: Any) -> Any:
    """A copy with its While and If nodes as they are: tf2onnx's pass would turn those that are
    marked so into Enter, Switch and Merge, which it does not know."""
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    for nodes in [copy.node, *(f.node_def for f in copy.library.function)]:
        for node in nodes:
            node.attr.pop("_lower_using_switch_merge", None)
    return copy
