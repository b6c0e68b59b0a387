"""Reads artifacts: `inspect` reports what is in a file or directory, without running it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Container, Dict, List, Mapping, Optional, Tuple

from google.protobuf.message import DecodeError

from .._protos import GraphDef, parse
from ..errors import InvalidFileError, refused
from ..graph.body import Body, output_type
from ..graph.endpoints import End, placeholders
from ..graph.functions import Library
from ..graph.lint import Finding, lint
from ..graph.names import split
from ..graph.ops import PLACEHOLDERS
from ..graph.passes.defaults import add_defaults
from ..graph.side_effects import side_effects
from ..graph.validate import refuse_broken, stored_bytes
from ..plan.summary import by_layer, histogram, tensor_info
from ..signature import Signature, TensorInfo
from ..storage.filesystem import filesystem_of
from ..storage.paths import plain_path
from .description import FORMAT
from .frozen_graph_model import is_graph_model, read_graph_model
from .frozen_saved_model import (
    graph_to_load,
    is_saved_model,
    read_saved_graph,
    read_saved_structure,
    size_of,
)
from .known_readers import findings_for, reader_of
from .other_kinds import told, told_directory
from .wire import DESCRIPTION, START


@dataclasses.dataclass(frozen=True)
class Report:
    """What is in a frozen file, SavedModel or TF.js model, or what a plan would write to it.

    Attributes:
      signature: its inputs and outputs.
      bytes: its size; for a plan with unknown shapes, the smallest possible size.
      weight_bytes: the size of its constants' values; for a plan, of the variables' values.
      ops: {op type: count}, functions included.
      findings: ops to look at, such as training-mode ops.
      metadata: the file's description; empty for a plan, or if another program wrote the file.
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


def inspect(path: str, *, reader: Optional[str] = None) -> Report:
    """Report what is in a frozen file, SavedModel or TF.js model, without running any of it.

    Args:
      path: the file, or the directory of the SavedModel or TF.js model.
      reader: "openvino" or "opencv" adds findings for nodes that this program computes wrongly or
        cannot run.

    Raises:
      InvalidFileError: the file is truncated or not a GraphDef.
      UnknownNameError: there is no such reader.
      OSError: the file cannot be read.
    """
    program = None if reader is None else reader_of(reader)
    path = plain_path(path)
    graph_def, sizes = read_structure(path)
    metadata = _description(graph_def, path)
    library = Library(graph_def.library)
    bodies = [Body({node.name: node for node in graph_def.node}, [])]
    with refused(path):
        bodies += [library.named_body(f.signature.name) for f in graph_def.library.function]
        findings = lint(bodies) + _noted(metadata, path)
        findings += [] if program is None else findings_for(program, bodies)
    weights = [
        (name, sizes[name] if name in sizes else stored_bytes(node.attr["value"].tensor))
        for body in bodies
        for node in body.nodes.values()
        if node.op == "Const"
        for name in [body.name + node.name]
    ]
    return Report(
        _signature(graph_def, metadata, path),
        size_of(path),
        sum(nbytes for _, nbytes in weights),
        histogram(bodies),
        tuple(findings),
        metadata,
        tuple(side_effects(graph_to_load(path) if sizes else graph_def)),
        by_layer(weights),
    )


def _noted(metadata: Mapping[str, Any], path: str) -> List[Finding]:
    """Return the findings in a description: they concern ops that are no longer in the file."""
    try:
        return [
            Finding(str(one["kind"]), tuple(one["nodes"]), str(one["problem"]), str(one["remedy"]))
            for one in metadata.get("findings", [])
        ]
    except (KeyError, TypeError) as error:
        raise InvalidFileError(f"{path}: its description is broken: {error!r}") from None


def read_graph_def(path: str) -> Any:
    """Read the GraphDef of an artifact, and add the attributes that were stripped.

    Raises:
      InvalidFileError: it is truncated, or no GraphDef, frozen SavedModel or TF.js model.
      OSError: the file cannot be read.
    """
    if is_saved_model(path) or is_graph_model(path):
        graph_def = read_graph_model(path) if is_graph_model(path) else read_saved_graph(path)
        add_defaults(graph_def)
        return graph_def
    ours, data = _content(path)
    try:
        graph_def = _graph_def(path, data, ours)
    except InvalidFileError as error:
        raise (not ours and told(path, data)) or error from None
    add_defaults(graph_def)
    return graph_def


def read_structure(path: str) -> Tuple[Any, Dict[str, int]]:
    """Read as `read_graph_def`, but leave the values of a SavedModel's variables in their files.

    Returns:
      The GraphDef, and {constant that lacks its value: the number of bytes of the value}.

    Raises:
      InvalidFileError, OSError: as `read_graph_def`.
    """
    if not is_saved_model(path):
        return read_graph_def(path), {}
    graph_def, sizes = read_saved_structure(path)
    add_defaults(graph_def)
    return graph_def, sizes


def _graph_def(path: str, data: bytes, ours: bool) -> Any:
    try:
        graph_def = parse(GraphDef(), data)
    except DecodeError as error:
        raise InvalidFileError(f"{path} is truncated or not a binary GraphDef: {error}") from None
    if not graph_def.node:
        raise InvalidFileError(f"{path} holds no graph")
    if ours and not graph_def.HasField("versions"):
        raise InvalidFileError(f"{path} is truncated: it ends before the graph's version")
    with refused(path):
        refuse_broken(graph_def)
    return graph_def


def _content(path: str) -> Tuple[bool, bytes]:
    """Return (whether freeze_hooks wrote a file, its content without our START)."""
    files = filesystem_of(path)
    if files.is_directory(path):
        raise told_directory(path)
    with files.opened(path) as file:
        ours = file.read(len(START)) == START
        file.seek(len(START) if ours else 0)
        return ours, file.read()


def description(path: str) -> Dict[str, Any]:
    """Return a frozen file's description; empty if it has none, or cannot be read."""
    try:
        return _description(read_structure(path)[0], path)
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
                raise InvalidFileError(f"{path}: its description is not a JSON object")
            if found.get("format", FORMAT) != FORMAT:
                raise InvalidFileError(
                    f"{path}: its description has format {found['format']!r}, but this version "
                    f"reads {FORMAT}: it may be from a newer freeze_hooks"
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
        raise TypeError(f"name, tensor and dtype must be strings, unlike in {end}")
    node, port = split(tensor)
    if node not in nodes or port < 0:
        raise ValueError(f"it names {tensor!r}, which is not in the graph")
    if shape is not None:
        if not all(dim is None or type(dim) is int for dim in shape):
            raise TypeError(f"a shape must be a list of integers, not {shape!r}")
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
