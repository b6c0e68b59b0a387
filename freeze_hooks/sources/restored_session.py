"""Reads values of a stored graph from a session, if ops must run to compute them."""

from __future__ import annotations

import functools
from typing import Any, Iterator, Optional, Sequence

import tensorflow as tf

from .._protos import GraphDef
from .._tf import v1
from ..errors import InvalidFileError, refused
from ..graph.body import Body
from ..graph.functions import part_of
from ..graph.names import split
from ..graph.prune import prune
from ..graph.side_effects import refuse_to_run
from ..graph.variables import variables_of
from ..plan.spec import FreezeSpec
from ..values.value import Value
from .checkpoint import CheckpointedGraph
from .graph_file import StoredGraph
from .session import LiveGraph
from .source import CHECKPOINT, Source


def read_initialized(
    stored: StoredGraph,
    prefix: str,
    saver_def: Optional[Any],
    initializers: Sequence[str],
    spec: FreezeSpec,
) -> Source:
    """Restore a graph in a new session, run initializers, and return a source with its values.

    Args:
      stored: the graph.
      prefix: the checkpoint's prefix.
      saver_def: the SaverDef whose restore ops to run; None assigns the variables that the
        checkpoint has by name.
      initializers: names of ops to run.
      spec: what to freeze.

    Raises:
      InvalidFileError: the graph is broken, or has unknown ops.
      FreezeError: as `freeze_session`.
      tf.errors.OpError: an op fails.
    """
    _refuse_to_initialize(stored.graph_def, saver_def, initializers)
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(_runnable(stored), name="")
        except (ValueError, KeyError, tf.errors.OpError) as error:
            raise InvalidFileError(f"the graph cannot be run: {error}") from None
        live = LiveGraph(graph, spec)
        session = v1.Session()
        if saver_def is not None:
            session.run(saver_def.restore_op_name, {saver_def.filename_tensor_name: prefix})
        else:
            _assign(session, CheckpointedGraph(stored, prefix))
        if initializers:
            session.run([graph.get_operation_by_name(name) for name in initializers])
    values = functools.partial(_until_closed, live, session)
    expected = functools.partial(live.expected, session)
    return Source(live.plan, values, expected, None, CHECKPOINT)


def _refuse_to_initialize(
    graph_def: Any, saver_def: Optional[Any], initializers: Sequence[str]
) -> None:
    """Check that the ops to run write no files and use no network; see `refuse_to_run`."""
    root = [split(saver_def.restore_op_name)[0]] if saver_def is not None else []
    with refused("the graph"):
        nodes = {node.name: node for node in graph_def.node}
        everything = Body(nodes, [], effects=(*root, *initializers))
        run = prune(everything, keep_order=True).nodes.values()
        part = part_of(graph_def, run)
    refuse_to_run(part, "to initialize the graph")


def _runnable(stored: StoredGraph) -> Any:
    """Return its GraphDef without devices, and with the present paths of its assets."""
    graph_def = GraphDef()
    graph_def.CopyFrom(stored.graph_def)
    paths = {split(tensor)[0]: path for tensor, path in (stored.assets or {}).items()}
    for node in graph_def.node:
        node.device = ""
        if node.name in paths and node.op in ("Const", "Placeholder"):  # the latter in TensorFlow 2
            path = v1.make_tensor_proto(paths[node.name])
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = path.dtype
            node.attr["value"].tensor.CopyFrom(path)
    return graph_def


def _until_closed(live: LiveGraph, session: Any) -> Iterator[Value]:
    try:
        yield from live.read(session)
    finally:
        session.close()


def _assign(session: Any, saved: CheckpointedGraph) -> None:
    """Assign the checkpoint's values to the default graph's variables."""
    nodes = {node.name: node for node in saved.graph.graph_def.node}
    variables = variables_of(Body(nodes, []))
    found = saved.there(list(variables.values()))
    arrays = saved.checkpoint.arrays(list(found.values()))
    for variable, array in zip((variables[name] for name in found), arrays):
        target = session.graph.get_tensor_by_name(variable.node + ":0")
        dtype = tf.as_dtype(variable.dtype)
        value = v1.placeholder(dtype)
        if variable.resource:
            assign = tf.raw_ops.AssignVariableOp(resource=target, value=value)
        else:
            assign = tf.raw_ops.Assign(ref=target, value=value, validate_shape=False)
        session.run(assign, {value: array})
