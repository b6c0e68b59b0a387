"""Freezes or checks whatever a path holds: a SavedModel, a checkpoint or a graph file."""

from __future__ import annotations

import os
from typing import Any, Optional, Sequence

from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..frozen.reader import Report
from ..plan.carried import Assets, Metadata
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.spec import FreezeSpec, Names, Request, Signatures
from ..plan.summary import by_layer
from ..plan.types import FreezePlan
from ..proof.asked import Verifying
from ..signature import SERVING
from ..storage.listing import checkpoint_exists
from ..values.renaming import Renaming
from .at_path import CHECKPOINT, GRAPH, SAVED_MODEL, find_prefix, kind_of
from .checkpoint import (
    CheckpointedGraph,
    expected_of_stored,
    plan_stored,
    read_checkpoint,
    without_values,
)
from .graph_file import StoredGraph, as_graph
from .saved_model import read_saved_model
from .source import Source


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
    signatures: Signatures = None,
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> Artifact:
    """Freeze a SavedModel, a checkpoint or a graph file to one `.pb` file.

        fh.freeze_files("run", "model.pb", ["probs"])

    Args:
      source: a SavedModel's directory (see `freeze_saved_model`), a checkpoint's prefix or
        directory (see `freeze_checkpoint`), or a GraphDef or MetaGraphDef file, text or binary.
      path: where to write; its directory must exist. `path + ".json"` describes a `.pb`.
      checkpoint: for a graph file, the prefix or directory of the checkpoint with its variables'
        values. None is the one beside a `.meta` file; a graph without variables needs none.
      signature, tags: of a SavedModel, as in `freeze_saved_model`.
      outputs, inputs, bind, signatures, variable_map, ema, lower_control_flow, weights,
        check_numerics, optimize, verify, format: as in `freeze_checkpoint` and
        `freeze_saved_model`.
      custom_metadata, assets: as in FreezeHook.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: a path does not exist (names near matches), and as `freeze_checkpoint` and
        `freeze_saved_model`. Nothing is written then.
      OSError: a file cannot be read or written; an old file at `path` stays.
    """
    request = Request(outputs, inputs, bind, variable_map, signatures)
    file = FileOptions(
        ema=ema,
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
        format=format,
        custom_metadata=custom_metadata,
        assets=assets,
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
    signatures: Signatures = None,
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
      outputs, inputs, bind, signatures, lower_control_flow, weights, optimize: as in FreezeHook.

    Returns:
      The Report of the file that would be written: its signature, bytes, ops and findings.

    Raises:
      FreezeError: as FreezeHook, or `freeze_files`.
    """
    request = Request(outputs, inputs, bind, variable_map, signatures)
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
        others={key: each for key, each in plan.signatures.items() if each != plan.signature},
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
