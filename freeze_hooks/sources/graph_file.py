"""Reads graphs from files of TensorFlow's tools; a file's content tells its format."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from typing import Any, Callable, Dict, Mapping, Optional

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from .. import _protos, _tf
from .._protos import GraphDef, MetaGraphDef
from ..errors import FreezeError, InvalidFileError, refused
from ..frozen.other_kinds import told
from ..graph.body import Body
from ..graph.endpoints import Shape
from ..graph.names import split
from ..graph.ops import PLACEHOLDERS
from ..graph.prune import prune
from ..graph.restore_ops import SavedKey
from ..graph.validate import refuse_broken

_TEXT = re.compile(rb"\s*(#[^\n]*\n\s*)*[a-z_]+\s*[:{]")
_META = re.compile(rb"\s*(#[^\n]*\n\s*)*(meta_info_def|graph_def|saver_def|collection_def)\s*[:{]")


@dataclasses.dataclass(frozen=True)
class StoredGraph:
    """A graph to freeze, and the MetaGraphDef that held it, if any.

    Attributes:
      graph_def: the GraphDef.
      meta: the MetaGraphDef, or None.
      shape_of: returns the static shape of a tensor; None without a live graph.
      assets: {tensor: the path to feed it} of the files that fill lookup tables.
    """

    graph_def: Any
    meta: Optional[Any] = None
    shape_of: Optional[Callable[[str], Shape]] = None
    assets: Optional[Mapping[str, str]] = None


def as_graph(graph: Any) -> StoredGraph:
    """Return the graph for `graph=`: a tf.Graph, GraphDef, MetaGraphDef, or the path of a file.

    Raises:
      InvalidFileError: the file is truncated, or holds something else.
      FreezeError: `graph` is another kind of object.
      OSError: the file cannot be read.
    """
    if isinstance(graph, tf.Graph):
        shape_of = functools.partial(_tf.static_shape, graph)
        return StoredGraph(graph.as_graph_def(), shape_of=shape_of)
    if isinstance(graph, (GraphDef, MetaGraphDef)):
        meta = graph if isinstance(graph, MetaGraphDef) else None
        graph_def = graph if meta is None else meta.graph_def
        with refused("the graph"):
            refuse_broken(graph_def)
        return StoredGraph(graph_def, meta)
    if not isinstance(graph, (str, bytes, os.PathLike)):
        raise FreezeError(
            f"graph= takes a tf.Graph, GraphDef, MetaGraphDef or a file's path, not {graph!r}"
        )
    return as_graph(read_message(os.fsdecode(graph)))


def read_message(path: str) -> Any:
    """Return the GraphDef or MetaGraphDef in a file, binary or text; it is not validated."""
    with tf.io.gfile.GFile(path, "rb") as file:
        data = file.read()
    try:
        if _TEXT.match(data[:4096]):
            meta = bool(_META.match(data[:4096]))
            return parse(data, MetaGraphDef() if meta else GraphDef(), path)
        return _binary(data, path)
    except InvalidFileError as error:
        raise told(path, data, takes_text=True) or error from None


def parse(data: bytes, message: Any, path: str) -> Any:
    """Parse a file's bytes, binary or text, into a message.

    Raises:
      InvalidFileError: they are not such a message.
    """
    kind = type(message).__name__
    try:
        if _TEXT.match(data[:4096]):
            return text_format.Parse(data, message)
        _protos.parse(message, data)
    except (text_format.ParseError, DecodeError, UnicodeDecodeError, RuntimeError) as error:
        raise InvalidFileError(f"{path} is cut short or not a {kind}: {error}") from None
    return message


def _binary(data: bytes, path: str) -> Any:
    """Parse a GraphDef or MetaGraphDef: either may parse, but only the right one has nodes."""
    errors = []
    for message in (GraphDef(), MetaGraphDef()):
        try:
            found = parse(data, message, path)
        except InvalidFileError as error:
            errors.append(error)
            continue
        nodes = found.graph_def.node if isinstance(found, MetaGraphDef) else found.node
        if nodes and all(node.name and node.op for node in nodes):
            return found
    raise InvalidFileError(
        f"{path} holds no graph: it is cut short, or neither a GraphDef nor a MetaGraphDef"
        + (f" ({errors[0]})" if errors else "")
    )


def stored_shapes(graph_def: Any) -> Callable[[str], Shape]:
    """Return a function for the static shapes of a GraphDef's tensors; None if inference fails."""
    nodes = {node.name: node for node in graph_def.node}
    known: Dict[str, Shape] = {}

    def shape_of(tensor: str) -> Shape:
        node = nodes[split(tensor)[0]]
        if node.op in PLACEHOLDERS and "shape" in node.attr:
            return _dimensions(node.attr["shape"].shape)
        if tensor not in known:
            noted = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else ()
            port = split(tensor)[1]
            if port < len(noted):  # Saver and SavedModel write these
                known[tensor] = _dimensions(noted[port])
            else:
                known[tensor] = _inferred(graph_def, nodes, tensor)
        return known[tensor]

    return shape_of


def _dimensions(proto: Any) -> Shape:
    shape = tf.TensorShape(proto)
    return None if shape.rank is None else tuple(shape.as_list())


def _inferred(graph_def: Any, nodes: Dict[str, Any], tensor: str) -> Shape:
    part = GraphDef(versions=graph_def.versions, library=graph_def.library)
    part.node.extend(prune(Body(nodes, [tensor]), keep_order=True).nodes.values())
    for node in part.node:
        node.device = ""
        node.attr.pop("_class", None)
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(part, name="")
            return _tf.static_shape(graph, tensor)
        except (ValueError, KeyError, tf.errors.OpError):
            return None  # an unknown op; the shape is only informative


def slice_hints(meta: Optional[Any]) -> Dict[str, SavedKey]:
    """Return {variable's node: its place} of partitioned variables in a MetaGraphDef."""
    found = {}
    for collection in meta.collection_def.values() if meta is not None else ():
        for data in collection.bytes_list.value:
            variable = _protos.VariableDef()
            try:
                variable.ParseFromString(data)
            except DecodeError:
                continue  # a collection of something else
            info = variable.save_slice_info_def
            if variable.variable_name and info.full_name:
                place = SavedKey(info.full_name, tuple(info.var_offset), tuple(info.var_shape))
                found[split(variable.variable_name)[0]] = place
    return found
