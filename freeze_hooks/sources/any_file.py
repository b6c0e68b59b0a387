"""Freezes or checks whatever a path holds: a SavedModel, a checkpoint or a graph file."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from .._saver import checkpoint_exists
from ..errors import FreezeError, near
from ..frozen.other_kinds import told_directory
from ..frozen.reader import Report
from ..frozen.writer import Artifact
from ..graph.body import Body
from ..graph.variables import variables_of
from ..plan.file_options import FileOptions
from ..plan.spec import FreezeSpec, Names, Request
from ..plan.summary import by_layer
from ..plan.types import FreezePlan
from ..proof.asked import Verifying
from ..values.renaming import Renaming
from .checkpoint import (
    CheckpointedGraph,
    expected_of_stored,
    plan_stored,
    read_checkpoint,
    without_values,
)
from .checkpoint_index import OBJECTS, Checkpoint, find_prefix, has_checkpoint
from .graph_file import StoredGraph, as_graph
from .saved_model import SERVING, read_saved_model
from .source import Source

SAVED_MODEL, CHECKPOINT, GRAPH = "SavedModel", "checkpoint", "graph"


def kind_of(path: str) -> str:
    """Return what a path holds: SAVED_MODEL, CHECKPOINT or GRAPH (a GraphDef or MetaGraphDef file).

    Raises:
      FreezeError: nothing is there (names near matches), or it is another kind of directory.
    """
    files = tf.io.gfile
    if files.isdir(path) and files.glob(os.path.join(path, "saved_model.pb*")):
        return SAVED_MODEL
    if files.exists(path) and not files.isdir(path) and not path.endswith(".index"):
        of_checkpoint = ".data-" in path or files.exists(path + ".meta")  # the latter in format V1
        return CHECKPOINT if of_checkpoint else GRAPH
    if checkpoint_exists(path) or path.endswith(".index"):
        return CHECKPOINT
    if files.isdir(path):
        if has_checkpoint(path):
            return CHECKPOINT
        raise told_directory(path)
    raise nothing_at(path)


def nothing_at(path: str) -> FreezeError:
    """Return the error to raise for a path that does not exist; names near matches."""
    directory, base = os.path.split(path.rstrip("/"))
    if not tf.io.gfile.isdir(directory or "."):
        return FreezeError(f"there is no {path!r}, nor a directory {directory!r}")
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(directory or ".")]
    names += [name[: -len(".index")] for name in names if name.endswith(".index")]
    close = [os.path.join(directory, name) for name in near(base, sorted(names))]
    if not close:
        return FreezeError(f"there is no {path!r}, nor anything of a similar name")
    return FreezeError("there is no {!r}: did you mean {}?".format(path, ", ".join(close)))


def freeze_files(
    source: Any,
    path: str,
    outputs: Names = None,
    *,
    checkpoint: Any = None,
    signature: str = SERVING,
    tags: Sequence[str] = ("serve",),
    inputs: Names = None,
    bind: Any = None,
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
) -> Artifact:
    """Freeze a SavedModel, a checkpoint or a graph file to one `.pb` file.

        fh.freeze_files("run", "model.pb", ["probs"])

    Args:
      source: a SavedModel's directory (see `freeze_saved_model`), a checkpoint's prefix or
        directory (see `freeze_checkpoint`), or a GraphDef or MetaGraphDef file, text or binary.
      path: the file to write; its directory must exist. `path + ".json"` describes it.
      checkpoint: for a graph file, the prefix or directory of the checkpoint with its variables'
        values. None is the one beside a `.meta` file; a graph without variables needs none.
      signature, tags: of a SavedModel, as in `freeze_saved_model`.
      outputs, inputs, bind, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize, verify: as in `freeze_checkpoint` and `freeze_saved_model`.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: a path does not exist (names near matches), and as `freeze_checkpoint` and
        `freeze_saved_model`. Nothing is written then.
      OSError: a file cannot be read or written; an old file at `path` stays.
    """
    request = Request(outputs, inputs, bind, variable_map)
    file = FileOptions(
        ema=ema,
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
    )
    return _read(os.fspath(source), request, checkpoint, signature, tags, file).freeze(path)


def check(
    graph: Any,
    outputs: Names = None,
    *,
    checkpoint: Any = None,
    signature: str = SERVING,
    tags: Sequence[str] = ("serve",),
    inputs: Names = None,
    bind: Any = None,
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    optimize: bool = False,
) -> Report:
    """Check a graph as FreezeHook does in `begin()`, without training.

    Args:
      graph: a tf.Graph, GraphDef or MetaGraphDef; or a path that `freeze_files` takes, to check
        what that would write.
      checkpoint, signature, tags, variable_map, ema: as in `freeze_files`, for a path. For a graph
        file, `checkpoint` may be omitted: then the variables are not looked up.
      outputs, inputs, bind, lower_control_flow, weights, optimize: as in FreezeHook.

    Returns:
      The Report of the file that would be written: its signature, bytes, ops and findings.

    Raises:
      FreezeError: as FreezeHook, or `freeze_files`.
    """
    request = Request(outputs, inputs, bind, variable_map)
    file = FileOptions(
        ema=ema, lower_control_flow=lower_control_flow, weights=weights, optimize=optimize
    )
    if not isinstance(graph, (str, os.PathLike)):
        return _report(plan_stored(as_graph(graph), request.spec(file)))
    source = os.fspath(graph)
    if kind_of(source) == GRAPH and _checkpoint_of(source, checkpoint) is None:
        return _report(plan_stored(as_graph(source), request.spec(file)))
    return _report(_read(source, request, checkpoint, signature, tags, file).plan)


def _report(plan: FreezePlan) -> Report:
    return Report(
        plan.signature,
        plan.graph_bytes + plan.weight_bytes,
        plan.weight_bytes,
        plan.ops,
        plan.findings,
        {},
        layers=by_layer((slot.variable.node, slot.nbytes or 0) for slot in plan.slots),
    )


def _read(
    source: str,
    request: Request,
    checkpoint: Any,
    signature: str,
    tags: Sequence[str],
    file: FileOptions,
) -> Source:
    kind = kind_of(source)
    if kind == SAVED_MODEL:
        return read_saved_model(source, request, signature, tags, file)
    spec = request.spec(file)
    if kind == CHECKPOINT:
        return read_checkpoint(source, None, spec)
    prefix = _checkpoint_of(source, checkpoint)
    stored = as_graph(source)
    if prefix is not None:
        return CheckpointedGraph(stored, prefix).source(spec)
    return _without_values(stored, spec, source)


def _checkpoint_of(graph: str, checkpoint: Any) -> Optional[str]:
    """Return the prefix of a graph's checkpoint; None if there is none."""
    if checkpoint is not None:
        return find_prefix(checkpoint)
    beside = graph[: -len(".meta")]
    return find_prefix(beside) if graph.endswith(".meta") and checkpoint_exists(beside) else None


def _without_values(stored: StoredGraph, spec: FreezeSpec, path: str) -> Source:
    plan = plan_stored(stored, spec)
    if plan.slots:
        raise FreezeError(
            f"{path} has variables that the outputs need, such as "
            f"{plan.slots[0].variable.node!r}, but no values for them: give checkpoint="
        )
    return without_values(plan, expected_of_stored(stored, None, None, plan, spec))


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
        used, missing = _used(graph, opened.prefix)
    variables = []
    for key in sorted(opened.shapes):
        if key == OBJECTS:
            continue
        dtype, shape = tf.as_dtype(opened.dtypes[key]), list(opened.shapes[key])
        nbytes = None if dtype == tf.string else int(np.prod(shape, dtype=np.int64)) * dtype.size
        entry = {"key": key, "dtype": dtype.name, "shape": shape, "bytes": nbytes}
        variables.append({**entry, "used_by": used.get(key, [])})
    return {
        "prefix": opened.prefix,
        "step": opened.step,
        "variables": variables,
        "missing": missing,
    }


def _used(graph: Any, prefix: str) -> Tuple[Dict[str, List[str]], List[str]]:
    """Return {key: names in the graph} of its variables, and the names of missing ones.

    A graph without variables is taken for a frozen one: then its constants are listed.
    """
    if isinstance(graph, (str, os.PathLike)) and not tf.io.gfile.exists(os.fspath(graph)):
        raise nothing_at(os.fspath(graph))
    saved = CheckpointedGraph(as_graph(graph), prefix)
    nodes = saved.graph.graph_def.node
    variables = list(variables_of(Body({node.name: node for node in nodes}, [])).values())
    places = saved.there(variables)
    missing = [v.node for v in variables if v.node not in places]
    if not variables:
        place_of = saved.checkpoint.place
        own = {node.name: place_of(node.name) for node in nodes if node.op == "Const"}
        places = {name: place for name, place in own.items() if place is not None}
    used: Dict[str, List[str]] = {}
    for name, place in places.items():
        used.setdefault(place.key, []).append(name)
    return used, missing
