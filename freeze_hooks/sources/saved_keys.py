"""Under which keys a checkpoint has a graph's variables: what the graph tells of that."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, Optional

from google.protobuf.message import DecodeError

from .._protos import VariableDef
from ..graph.names import split
from ..graph.restore_ops import SavedKey, restored_keys
from .checkpoint_index import Checkpoint
from .graph_file import StoredGraph


def hints(
    graph: StoredGraph, saver_def: Optional[Any], checkpoint: Checkpoint
) -> Iterator[Mapping[str, SavedKey]]:
    """Yield {variable's node: its place} from each thing that tells places, the surest first.

    Args:
      graph: the graph.
      saver_def: the SaverDef whose restore op is in the graph, or None.
      checkpoint: the opened checkpoint.
    """
    if saver_def is not None:
        yield restored_keys(graph.graph_def, saver_def.restore_op_name)
    own = checkpoint.place
    yield {n.name: place for n in graph.graph_def.node for place in [own(n.name)] if place}
    yield _slices(graph.meta)
    yield restored_keys(graph.graph_def)


def own_saver(graph: StoredGraph, given: Optional[Any] = None) -> Optional[Any]:
    """Return the SaverDef whose restore op is in the graph; None if there is none."""
    saver_def = given or (graph.meta.saver_def if graph.meta is not None else None)
    root = split(saver_def.restore_op_name)[0] if saver_def is not None else ""
    there = root and any(node.name == root for node in graph.graph_def.node)
    return saver_def if there else None


def _slices(meta: Optional[Any]) -> Dict[str, SavedKey]:
    """Return {variable's node: its place} of partitioned variables in a MetaGraphDef."""
    found = {}
    for collection in meta.collection_def.values() if meta is not None else ():
        for data in collection.bytes_list.value:
            variable = VariableDef()
            try:
                variable.ParseFromString(data)
            except DecodeError:
                continue  # a collection of something else
            info = variable.save_slice_info_def
            if variable.variable_name and info.full_name:
                place = SavedKey(info.full_name, tuple(info.var_offset), tuple(info.var_shape))
                found[split(variable.variable_name)[0]] = place
    return found
