"""Reading frozen files: what is in one, and running it."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Container, Dict, List, Mapping, Optional, Tuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from .._tf import GraphDef, parse, v1
from ..errors import FreezeError, InvalidFileError, UnknownNameError, refused
from ..graph.body import Body, output_type
from ..graph.defaults import add_defaults
from ..graph.endpoints import PLACEHOLDERS, End, placeholders
from ..graph.functions import Library
from ..graph.lint import Finding, lint
from ..graph.names import near, split, tensor_name
from ..graph.side_effects import side_effects
from ..graph.validate import refuse_broken, stored_bytes
from ..plan.compiler import Signature, TensorInfo, by_layer, histogram, tensor_info
from ..sources.session import FORMAT
from ..storage import filesystem
from ..storage.paths import plain_path
from .composites import Answers, taken_apart, wholes
from .exact import exact
from .known_readers import findings_for, reader_of
from .other_kinds import told, told_directory
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
    `model({"scope/x": array})`. A model with one input takes it as it is: `model(array)`.

    A ragged or sparse input "x" is several, "x/values" and so on: give these, or a RaggedTensor or
    SparseTensor (or their tf.compat.v1 values) for "x". Of a ragged or sparse output "y", the
    answers have each part, and `answers["y"]` is the whole, as a tf.compat.v1 value.

    Use it in a `with` block, or `close()` it, to free its session.

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

    def __call__(self, *feeds: Any, **more: Any) -> Dict[str, Any]:
        """Run the model.

        Args:
          *feeds: {input name: value}; or the value alone, of a model with one input.
          **more: inputs by name.

        Raises:
          UnknownNameError: an input is missing, or is none of the model's.
          FreezeError: a value does not fit its input: it would be cut, rounded to another whole
            number, or made infinite.
        """
        try:
            given = {
                key: part
                for name, value in self._named(feeds, more).items()
                for key, part in self._parts(name, value).items()
            }
            missing = [
                name
                for name, tensor in self._feeds.items()
                if name not in given and tensor.name not in self._optional
            ]
            if missing:
                names = ", ".join(missing)
                raise UnknownNameError(f"{self._path} needs a value for {names}")
            feed_dict = {
                self._feeds[name]: exact(value, self._feeds[name].dtype, name)
                for name, value in given.items()
            }
            return Answers(self._session.run(self._fetches, feed_dict))
        except UnknownNameError:
            raise
        except _UNFIT as error:
            raise FreezeError(f"{self._path}: {error}") from error

    def _named(self, feeds: Tuple[Any, ...], more: Mapping[str, Any]) -> Dict[str, Any]:
        """What is given, by name."""
        if not feeds:
            return dict(more)
        if len(feeds) == 1 and isinstance(feeds[0], Mapping):
            return {**feeds[0], **more}
        names = list(wholes(self._feeds))
        if len(names) == 1 and len(feeds) == 1 and not more:
            return {names[0]: feeds[0]}
        told = ", ".join(f"{name}=..." for name in names) or "it has none"
        if not all(name.isidentifier() for name in names):
            told = "{" + ", ".join(f"{name!r}: ..." for name in names) + "}"
        raise FreezeError(f"it takes {len(names)} inputs, by name: model({told})")

    def _parts(self, name: str, value: Any) -> Dict[str, Any]:
        """{input: value} of what is given for a name: several of a ragged or sparse tensor."""
        found = taken_apart(name, value, self._feeds)
        if found is not None:
            return found
        if name not in self._feeds:
            close = near(name, self._feeds) or sorted(self._feeds)
            raise UnknownNameError(
                "{} has no input {!r}: did you mean {}?".format(
                    self._path, name, ", ".join(map(repr, close)) or "none at all"
                )
            )
        return {name: value}

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
    AttributeError,  # what TensorFlow 1.15 raises of some eager tensors
    OverflowError,
    NotImplementedError,  # what NumPy gets of a symbolic tensor
    tf.errors.InvalidArgumentError,
)


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
    return FrozenModel(plain_path(path), allow_side_effects)


def _said(finding: Finding) -> str:
    more = ", ..." if len(finding.nodes) > 5 else ""
    return "{}: {}{}".format(finding.problem, ", ".join(finding.nodes[:5]), more)


def inspect(path: str, *, reader: Optional[str] = None) -> Report:
    """Say what is in a frozen file, without running any of it.

    Args:
      path: the file.
      reader: "openvino" or "opencv" adds findings of what that program gets wrong in the file, or
        cannot run.

    Raises:
      InvalidFileError: the file is truncated or no GraphDef.
      UnknownNameError: there is no such reader.
      OSError: it cannot be read.
    """
    program = None if reader is None else reader_of(reader)
    path = plain_path(path)
    graph_def = read_graph_def(path)
    metadata = _description(graph_def, path)
    library = Library(graph_def.library)
    bodies = [Body({node.name: node for node in graph_def.node}, [])]
    with refused(path):
        bodies += [library.named_body(f.signature.name) for f in graph_def.library.function]
        findings = lint(bodies) + _noted(metadata, path)
        findings += [] if program is None else findings_for(program, bodies)
    weights = [
        (body.name + node.name, stored_bytes(node.attr["value"].tensor))
        for body in bodies
        for node in body.nodes.values()
        if node.op == "Const"
    ]
    return Report(
        _signature(graph_def, metadata, path),
        filesystem.size(path) if filesystem.is_remote(path) else os.path.getsize(path),
        sum(nbytes for _, nbytes in weights),
        histogram(bodies),
        tuple(findings),
        metadata,
        tuple(side_effects(graph_def)),
        by_layer(weights),
    )


def _noted(metadata: Mapping[str, Any], path: str) -> List[Finding]:
    """Findings of the graph that was frozen, which its file does not show."""
    try:
        return [
            Finding(str(one["kind"]), tuple(one["nodes"]), str(one["problem"]), str(one["remedy"]))
            for one in metadata.get("findings", [])
        ]
    except (KeyError, TypeError) as error:
        raise InvalidFileError(f"{path}: its description is broken: {error!r}") from None


def read_graph_def(path: str) -> Any:
    """The GraphDef in a file; its nodes have the attributes that were stripped as defaults.

    Raises:
      InvalidFileError: the file is truncated or no GraphDef.
      OSError: it cannot be read.
    """
    ours, data = _content(path)
    try:
        graph_def = _graph_def(path, data, ours)
    except InvalidFileError as error:
        raise (not ours and told(path, data)) or error from None
    add_defaults(graph_def)
    return graph_def


def _graph_def(path: str, data: bytes, ours: bool) -> Any:
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
    return graph_def


def _content(path: str) -> Tuple[bool, bytes]:
    """Whether a file begins as ours do, and what follows (of another file, all of it)."""
    if filesystem.is_remote(path):
        data = filesystem.read(path)
        ours = data.startswith(START)
        return ours, data[len(START) :] if ours else data
    if os.path.isdir(path):
        raise told_directory(path)
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
