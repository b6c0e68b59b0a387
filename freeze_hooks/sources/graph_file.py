"""The graph that `graph=` names, and what its file tells of shapes and variables."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any, Callable, Dict, Mapping, Optional

from .._protos import GraphDef, MetaGraphDef
from ..errors import FreezeError, refused
from ..graph.body import Body
from ..graph.endpoints import Shape
from ..graph.names import split
from ..graph.ops import PLACEHOLDERS
from ..graph.prune import prune
from ..graph.validate import refuse_broken
from .graph_message import read_message


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
    if isinstance(graph, (str, bytes, os.PathLike)):
        return as_graph(read_message(os.fsdecode(graph)))
    if isinstance(graph, (GraphDef, MetaGraphDef)):
        meta = graph if isinstance(graph, MetaGraphDef) else None
        graph_def = graph if meta is None else meta.graph_def
        with refused("the graph"):
            refuse_broken(graph_def)
        return StoredGraph(graph_def, meta)
    from .. import _tf  # a file needs no TensorFlow

    if not isinstance(graph, _tf.v1.Graph):
        raise FreezeError(
            f"graph= takes a tf.Graph, GraphDef, MetaGraphDef or a file's path, not {graph!r}"
        )
    shape_of = functools.partial(_tf.static_shape, graph)
    return StoredGraph(graph.as_graph_def(), shape_of=shape_of)


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
    if proto.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in proto.dim)


def _inferred(graph_def: Any, nodes: Dict[str, Any], tensor: str) -> Shape:
    import tensorflow as tf  # few graphs need it: most note their shapes

    from .. import _tf

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
