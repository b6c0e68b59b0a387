"""Reads the content of static lookup tables from a graph and its vocabulary files alone."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Set

import numpy as np
import tensorflow as tf

from .._protos import GraphDef
from .._tf import v1
from ..errors import NotFreezableError
from ..graph.body import Body
from ..graph.functions import holding, part_of
from ..graph.names import split
from ..graph.ops import ASSIGNS, CALLS, FILLS, PLACEHOLDERS, VARIABLES
from ..graph.passes.freeze_tables import upgrade_tables
from ..graph.prune import prune
from ..graph.side_effects import refuse_to_run
from ..graph.tables import Table


def static_contents(
    graph_def: Any, fed: Optional[Mapping[str, Any]] = None, trusted: bool = True
) -> Callable[[str], Optional[Table]]:
    """Return a function from a static table's node name to its content.

    The function runs the table and its initialization in a separate session; it reads no variable.
    It returns None if nothing initializes the table, or if the initialization depends on variables
    or placeholders. It raises NotFreezableError if the initialization fails, for instance because
    a vocabulary file is missing.

    Args:
      graph_def: the graph that holds the table and its initialization.
      fed: {tensor name: value} to feed, such as the paths of a SavedModel's assets.
      trusted: whether the initialization may run ops that write files or talk to other processes.
    """
    nodes = functools.lru_cache(maxsize=None)(lambda: _nodes_of(graph_def))
    initializers = functools.lru_cache(maxsize=None)(lambda: _initializers(nodes(), graph_def))

    def content_of(name: str) -> Optional[Table]:
        for init in initializers().get(name, ()):
            body = prune(Body(nodes(), [init]), keep_order=True)
            given = {split(tensor)[0] for tensor in fed or {}} | _assigned(body)
            free = {n.name for n in body.nodes.values() if n.op in VARIABLES | PLACEHOLDERS}
            if not free - given:
                part = part_of(graph_def, body.nodes.values())
                if not trusted:
                    refuse_to_run(part, f"the initialization of lookup table {name!r}")
                there = {t: v for t, v in (fed or {}).items() if split(t)[0] in body.nodes}
                return _run(part, body, name, init, there)
        return None

    return content_of


def _nodes_of(graph_def: Any) -> Dict[str, Any]:
    """Return the nodes by name; copies, if reference tables must be upgraded."""
    nodes = graph_def.node
    if any(node.op == "HashTable" for node in nodes):
        nodes = GraphDef(node=nodes).node
        upgrade_tables(nodes)
    return {node.name: node for node in nodes}


def _assigned(body: Body) -> Set[str]:
    """Return variables that the graph itself assigns, such as a SavedModel's asset paths."""
    assigns = (node for node in body.nodes.values() if node.op in ASSIGNS)
    return {split(node.input[0])[0] for node in assigns}


def _initializers(nodes: Mapping[str, Any], graph_def: Any) -> Mapping[str, List[str]]:
    # a SavedModel's initializers are functions
    filling = holding({f.signature.name: f.node_def for f in graph_def.library.function}, _fills)
    found: Dict[str, List[str]] = {}
    for node in nodes.values():
        if _fills(node):
            given = node.input[:1]
        elif node.op in CALLS and node.attr["f"].func.name in filling:
            given = node.input
        else:
            continue
        for table in dict.fromkeys(split(text)[0] for text in given):
            found.setdefault(table, []).append(node.name)
    return found


def _fills(node: Any) -> bool:
    return node.op in FILLS


def _run(part: Any, body: Body, name: str, init: str, fed: Mapping[str, Any]) -> Table:
    types = [body.nodes[name].attr[k].type for k in ("key_dtype", "value_dtype")]
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(part, name="")
            with tf.control_dependencies([graph.get_operation_by_name(init)]):
                export = tf.raw_ops.LookupTableExportV2(
                    table_handle=graph.get_tensor_by_name(name + ":0"),
                    Tkeys=tf.as_dtype(types[0]),
                    Tvalues=tf.as_dtype(types[1]),
                )
            with v1.Session(graph=graph) as session:
                keys, values = sorted_entries(*session.run(list(export), dict(fed)))
        except tf.errors.OpError as error:
            told = re.search(r"Node: .*\n(.*)", error.message)  # TensorFlow 2 puts much before it
            said = told.group(1) if told else error.message.splitlines()[0]
            raise NotFreezableError(
                f"the content of lookup table {name!r} cannot be made by {init!r}: {said}"
            ) from error
    return Table(v1.make_tensor_proto(keys, types[0]), v1.make_tensor_proto(values, types[1]))


def sorted_entries(keys: Any, values: Any) -> Any:
    """Return (keys, values) sorted by keys, since tables export in any order.

    Keys that are not scalars keep their order.
    """
    if keys.ndim != 1:
        return keys, values
    order = np.argsort(keys, kind="stable")
    return keys[order], values[order]
