"""What is in a checkpoint, by its index: no values are read, and TensorFlow is not imported."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Tuple

import numpy as np

from .._protos import DT_STRING, dtype_name, itemsize
from ..frozen.other_kinds import nothing_at
from ..graph.body import Body
from ..graph.variables import variables_of
from ..storage.listing import exists
from .at_path import find_prefix
from .checkpoint_index import OBJECTS, Checkpoint
from .graph_file import as_graph
from .saved_keys import hints, own_saver


def list_variables(checkpoint: Any, graph: Any = None) -> Dict[str, Any]:
    """Return what is in a checkpoint, as JSON types.

    Args:
      checkpoint: its prefix, one of its files, or a directory, of which the newest is taken.
      graph: a graph, as in `check`, or a graph file, frozen or not, that may use its variables.

    Returns:
      {"prefix": ..., "step": ..., "variables": [{"key", "dtype", "shape", "bytes" (None for
      strings), "used_by": names in the graph}, ...], "missing": names of the graph's variables
      that are not in the checkpoint}.

    Raises:
      FreezeError: there is no such checkpoint (names near matches) or graph.
      InvalidFileError: a file is missing, truncated or of another kind.
    """
    opened = Checkpoint(find_prefix(checkpoint))
    used: Dict[str, List[str]] = {}
    missing: List[str] = []
    if graph is not None:
        used, missing = _used(graph, opened)
    variables = []
    for key in sorted(opened.shapes):
        if key == OBJECTS:
            continue
        dtype, shape = opened.dtypes[key], list(opened.shapes[key])
        count = int(np.prod(shape, dtype=np.int64))
        nbytes = None if dtype == DT_STRING else count * itemsize(dtype)
        entry = {"key": key, "dtype": dtype_name(dtype), "shape": shape, "bytes": nbytes}
        variables.append({**entry, "used_by": used.get(key, [])})
    return {
        "prefix": opened.prefix,
        "step": opened.step,
        "variables": variables,
        "missing": missing,
    }


def _used(graph: Any, opened: Checkpoint) -> Tuple[Dict[str, List[str]], List[str]]:
    """Return {key: names in the graph} of its variables, and the names of missing ones.

    A graph without variables is taken for a frozen one: then its constants are listed.
    """
    if isinstance(graph, (str, os.PathLike)) and not exists(os.fspath(graph)):
        raise nothing_at(os.fspath(graph))
    stored = as_graph(graph)
    nodes = stored.graph_def.node
    variables = list(variables_of(Body({node.name: node for node in nodes}, [])).values())
    places = opened.there(variables, hints(stored, own_saver(stored), opened))
    missing = [v.node for v in variables if v.node not in places]
    if not variables:
        own = {node.name: opened.place(node.name) for node in nodes if node.op == "Const"}
        places = {name: place for name, place in own.items() if place is not None}
    used: Dict[str, List[str]] = {}
    for name, place in places.items():
        used.setdefault(place.key, []).append(name)
    return used, missing
