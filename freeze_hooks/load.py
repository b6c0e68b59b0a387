"""Reading frozen files: what is in one, and running it."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Container, Dict, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from . import remote
from ._tf import GraphDef, parse, v1
from .errors import FreezeError, InvalidFileError, UnknownNameError, refused
from .freezer import FORMAT
from .graph.audit import side_effects
from .graph.body import Body, output_type
from .graph.cut import PLACEHOLDERS, End, placeholders
from .graph.defaults import add_defaults
from .graph.functions import Library
from .graph.lint import Finding, lint
from .graph.names import near, split, tensor_name
from .graph.sound import refuse_broken, stored_bytes
from .plan import Signature, TensorInfo, by_layer, histogram, tensor_info
from .wire import DESCRIPTION, START


@dataclasses.dataclass(frozen=True)
class Report:
    """What is, or would be, in a frozen file.

    Attributes:
      signature: its inputs and outputs.
      bytes: its length (of a plan: at least, where shapes are unknown).
      weight_bytes: the length of its constants' values (of a plan: of the variables' values).
      ops: {op type: count}, functions included.
      findings: training-mode ops and others to look at.
      metadata: how the file describes itself; empty for a foreign file or a plan.
      side_effects: ops that reach out of the graph, to files, the network, Python or devices.
      layers: {prefix of names: bytes of the values under it}, the largest first.
    """

    signature: Signature
    bytes: int
    weight_bytes: int
    ops: Mapping[str, int]
    findings: Tuple[Finding, ...]
    metadata: Mapping[str, Any]
    side_effects: Tuple[Finding, ...] = ()
    layers: Mapping[str, int] = dataclasses.field(default_factory=dict)


class FrozenModel:
    """A frozen file ready to run: `model(x=array)` gives {output name: array}.

    Inputs are keyword arguments by name, or one dict where a name is no Python identifier:
    `model({"scope/x": array})`. Use it in a `with` block, or `close()` it, to free its session.

    Attributes:
      inputs, outputs: {name: TensorInfo}.
      graph_def: the file's GraphDef.
      metadata: how the file describes itself; empty for a foreign file.
    """

    def __init__(self, path: str, allow_side_effects: bool = False) -> None:
        self.graph_def = read_graph_def(path)
        reaching = () if allow_side_effects else side_effects(self.graph_def)
        if reaching:
            raise InvalidFileError(
                "{} would reach out of its graph: {}; allow_side_effects=True loads it all "
                "the same".format(path, "; ".join(map(_said, reaching)))
            )
        self.metadata = _description(self.graph_def, path)
        signature = _signature(self.graph_def, self.metadata, path)
        self.inputs: Dict[str, TensorInfo] = {info.name: info for info in signature.inputs}
        self.outputs: Dict[str, TensorInfo] = {info.name: info for info in signature.outputs}
        self._path = path
        self._optional = {
            tensor_name(node.name)
            for node in self.graph_def.node
            if node.op == "PlaceholderWithDefault"
        }
        graph = tf.Graph()
        try:
            with graph.as_default():
                v1.import_graph_def(self.graph_def, name="")
            self._fetches = {
                name: graph.get_tensor_by_name(info.tensor) for name, info in self.outputs.items()
            }
            self._feeds = {
                name: graph.get_tensor_by_name(info.tensor) for name, info in self.inputs.items()
            }
        except (ValueError, LookupError, TypeError, tf.errors.OpError) as error:
            raise InvalidFileError(f"{path} cannot be imported: {error}") from error
        self._session = v1.Session(graph=graph)

    def __call__(
        self, feeds: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Dict[str, np.ndarray]:
        """Run the model.

        Raises:
          UnknownNameError: an input is missing, or is none of the model's.
          FreezeError: a value does not fit its input.
        """
        if feeds is not None and not isinstance(feeds, Mapping):
            raise FreezeError(
                "{} takes its inputs by name: model({}=array)".format(
                    self._path, next(iter(self._feeds), "x")
                )
            )
        given = dict(feeds or {}, **more)
        for name in given:
            if name not in self._feeds:
                close = near(name, self._feeds) or sorted(self._feeds)
                raise UnknownNameError(
                    "{} has no input {!r}: did you mean {}?".format(
                        self._path, name, ", ".join(map(repr, close)) or "none at all"
                    )
                )
        missing = [
            name
            for name, tensor in self._feeds.items()
            if name not in given and tensor.name not in self._optional
        ]
        if missing:
            raise UnknownNameError("{} needs a value for {}".format(self._path, ", ".join(missing)))
        try:
            feed_dict = {}
            for name, value in given.items():
                feed_dict[self._feeds[name]] = _fit(self._feeds[name], value)
            return dict(self._session.run(self._fetches, feed_dict))
        except _UNFIT as error:
            raise FreezeError(f"{self._path}: {error}") from error

    def close(self) -> None:
        """Free the session."""
        self._session.close()

    def __enter__(self) -> FrozenModel:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


_UNFIT = (
    TypeError,
    ValueError,
    OverflowError,
    NotImplementedError,  # what NumPy gets of a symbolic tensor
    tf.errors.InvalidArgumentError,
)


def _fit(tensor: Any, value: Any) -> Any:
    if not (tensor.dtype.is_integer or tensor.dtype.is_bool):
        return value
    with np.errstate(invalid="ignore"):
        array = np.asarray(value, tensor.dtype.as_numpy_dtype)
    if not np.array_equal(array, np.asarray(value)):  # session.run takes 1.7 for 1, and 300 for 44
        raise ValueError(f"{tensor.name} is {tensor.dtype.name}, unlike {value!r}")
    return array


def load_frozen(path: str, allow_side_effects: bool = False) -> FrozenModel:
    """Load a frozen file to try it: `load_frozen("model.pb")(x=array)["probs"]`.

    A file that freeze_hooks did not write works too: its placeholders are the inputs, and the
    tensors nobody uses are the outputs.

    Args:
      path: the file.
      allow_side_effects: also load a graph that has ops which read or write files, talk to other
        processes, run Python functions or drive devices: it could do so when it runs.

    Raises:
      InvalidFileError: the file is truncated or no GraphDef, or has such ops; they are named.
      OSError: it cannot be read.
    """
    return FrozenModel(os.fspath(path), allow_side_effects)


def _said(finding: Finding) -> str:
    more = ", ..." if len(finding.nodes) > 5 else ""
    return "{}: {}{}".format(finding.problem, ", ".join(finding.nodes[:5]), more)


def inspect(path: str) -> Report:
    """Say what is in a frozen file, without running any of it.

    Raises:
      InvalidFileError: the file is truncated or no GraphDef.
      OSError: it cannot be read.
    """
    path = os.fspath(path)
    graph_def = read_graph_def(path)
    metadata = _description(graph_def, path)
    library = Library(graph_def.library)
    bodies = [Body({node.name: node for node in graph_def.node}, [])]
    with refused(path):
        bodies += [library.named_body(f.signature.name) for f in graph_def.library.function]
        findings = lint(bodies)
    weights = [
        (body.name + node.name, stored_bytes(node.attr["value"].tensor))
        for body in bodies
        for node in body.nodes.values()
        if node.op == "Const"
    ]
    return Report(
        _signature(graph_def, metadata, path),
        remote.size(path) if remote.is_remote(path) else os.path.getsize(path),
        sum(nbytes for _, nbytes in weights),
        histogram(bodies),
        tuple(findings),
        metadata,
        tuple(side_effects(graph_def)),
        by_layer(weights),
    )


def read_graph_def(path: str) -> Any:
    """The GraphDef in a file; its nodes have the attributes that were stripped as defaults.

    Raises:
      InvalidFileError: the file is truncated or no GraphDef.
      OSError: it cannot be read.
    """
    ours, data = _content(path)
    try:
        graph_def = parse(GraphDef(), data)
    except DecodeError as error:
        raise InvalidFileError(f"{path} is truncated, or no binary GraphDef: {error}") from None
    if not graph_def.node:
        raise InvalidFileError(f"{path} holds no graph")
    if ours and not graph_def.HasField("versions"):
        raise InvalidFileError(f"{path} is truncated: it ends before the graph's version")
    with refused(path):
        refuse_broken(graph_def)
    add_defaults(graph_def)
    return graph_def


def _content(path: str) -> Tuple[bool, bytes]:
    """Whether a file begins as ours do, and what follows (of another file, all of it)."""
    if remote.is_remote(path):
        data = remote.read(path)
        ours = data.startswith(START)
        return ours, data[len(START) :] if ours else data
    with open(path, "rb") as file:
        ours = file.read(len(START)) == START
        file.seek(len(START) if ours else 0)
        return ours, file.read()


def description(path: str) -> Dict[str, Any]:
    """How a frozen file describes itself; empty if it does not, or is none."""
    try:
        return _description(read_graph_def(path), path)
    except (OSError, InvalidFileError):
        return {}


def _description(graph_def: Any, path: str) -> Dict[str, Any]:
    for node in graph_def.node:
        if DESCRIPTION in node.attr:
            try:
                found = json.loads(node.attr[DESCRIPTION].s.decode())
            except (ValueError, RecursionError) as error:
                raise InvalidFileError(f"{path}: its description is broken: {error}") from None
            if not (found and isinstance(found, dict)):
                raise InvalidFileError(f"{path}: its description is no JSON object")
            if found.get("format", FORMAT) != FORMAT:
                raise InvalidFileError(
                    f"{path}: its description has format {found['format']!r}, this version reads "
                    f"{FORMAT}: it may be from a newer freeze_hooks"
                )
            return found
    return {}


def _signature(graph_def: Any, metadata: Mapping[str, Any], path: str) -> Signature:
    if not metadata:
        with refused(path):
            return _guessed(graph_def)
    nodes = {node.name for node in graph_def.node}
    try:
        inputs, outputs = (
            tuple(_info(end, nodes) for end in metadata["signature"][side])
            for side in ("inputs", "outputs")
        )
        return Signature(inputs, outputs)
    except KeyError as error:
        raise InvalidFileError(f"{path}: its description lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise InvalidFileError(f"{path}: its description is broken: {error}") from None


def _info(end: Any, nodes: Container[str]) -> TensorInfo:
    name, tensor, dtype, shape = (end[key] for key in ("name", "tensor", "dtype", "shape"))
    if not all(isinstance(text, str) for text in (name, tensor, dtype)):
        raise TypeError(f"name, tensor and dtype are strings, unlike in {end}")
    node, port = split(tensor)
    if node not in nodes or port < 0:
        raise ValueError(f"it names {tensor!r}, which is not there")
    if shape is not None:
        if not all(dim is None or type(dim) is int for dim in shape):
            raise TypeError(f"a shape is a list of integers, not {shape!r}")
        shape = tuple(shape)
    return TensorInfo(name, tensor, dtype, shape)


def _guessed(graph_def: Any) -> Signature:
    body = Body({node.name: node for node in graph_def.node}, [])
    used = {split(text)[0] for node in graph_def.node for text in node.input}
    quiet = PLACEHOLDERS | {"NoOp", "Const", "Assert"}
    ends = []
    for node in graph_def.node:
        if node.name not in used and node.op not in quiet:
            dtype = output_type(node, 0)
            if dtype is not None:
                ends.append(End(node.name, node.name, node.name, dtype, None))
    inputs = tuple(tensor_info(end) for end in placeholders(body, []))
    return Signature(inputs, tuple(tensor_info(end) for end in ends))
