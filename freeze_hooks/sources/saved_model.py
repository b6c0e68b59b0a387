"""Freezes SavedModels of TensorFlow 1 and 2."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

import tensorflow as tf

from .. import _keras
from .._tf import v1
from ..errors import InvalidFileError, named, refused
from ..frozen.artifact import Artifact
from ..frozen.frozen_saved_model import starts_of
from ..graph.side_effects import silence
from ..plan.carried import Assets, Metadata
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.spec import FreezeSpec, Names, Request, Signatures
from ..proof.asked import Verify, Verifying
from ..proof.asking import all_expected, askings_of
from ..proof.saved_models import LoadedAnswers
from ..proof.tensor_ends import ends_of
from ..signature import SERVING
from ..values.bundle import Bundle
from ..values.renaming import Renaming
from .checkpoint import CheckpointedGraph, plan_stored
from .function_plan import FunctionPlan
from .mirrored import beside_its_files
from .naming import Naming, fed_of, keys_of, variable_names
from .restored_session import read_initialized
from .saved_model_message import (
    further_of,
    in_its_graph,
    meta_graph,
    output_keys,
    refuse_to_load,
    signature_of,
    stored_graph,
    values_prefix,
)
from .source import Source
from .traced_functions import Traced, plan_functions


class Loaded(Source):
    """A signature of a SavedModel that TensorFlow has loaded."""

    def __init__(self, model: Any, function: FunctionPlan) -> None:
        super().__init__(function.plan, function.values, function.expected)
        self._model = model  # keeps the variables alive

    def freeze(self, path: Any, beside: bool = True) -> Artifact:
        """Write a frozen file, as `Source.freeze`."""
        with tf.init_scope():
            return super().freeze(path, beside)


def freeze_saved_model(
    directory: Any,
    path: str,
    outputs: Names = None,
    *,
    signature: str = SERVING,
    tags: Sequence[str] = ("serve",),
    inputs: Names = None,
    bind: Any = None,
    signatures: Union[Sequence[str], Signatures] = None,
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
    """Freeze a signature of a SavedModel to one `.pb` file.

        fh.freeze_saved_model("export/1", "model.pb")

    The values of a TensorFlow 1 SavedModel are read from its files, without a session, one variable
    at a time. A TensorFlow 2 SavedModel is loaded, so that the file contains its lookup tables and
    their content; with `inputs`, `bind`, `variable_map` or `ema`, its graph is read instead.
    Prints, asserts and summaries are left out, and none of them is run.

    Args:
      directory: the SavedModel's directory.
      path: where to write; its directory must exist. `path + ".json"` describes a `.pb`.
      outputs: some of the signature's outputs by their keys, or tensors of the graph; None is all
        outputs of the signature.
      signature: the key of one of the SavedModel's signatures.
      tags: all tags of the MetaGraphDef to take, in any order.
      inputs: tensors to cut the graph at; None is the inputs of the signature.
      signatures: the keys of further signatures to take, in a list; or those that FreezeHook takes,
        with tensors of the SavedModel's graph.
      bind, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize: as in `freeze_checkpoint`.
      verify: as in FreezeHook. The file is compared with the SavedModel in TensorFlow's own loader:
        with the signature's answers, or with its graph's in a session.
      format: as in FreezeHook; a SavedModel is the directory `path`.
      custom_metadata, assets: as in FreezeHook; a SavedModel's own assets are not taken over.

    Returns:
      The Artifact; its inputs and outputs have the signature's names.

    Raises:
      UnknownNameError: there is no such signature, set of tags or tensor; lists those that exist.
      InvalidFileError: a file is missing, truncated or of another kind.
      FreezeError: the outputs cannot be frozen. Nothing is written then.
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
    return read_saved_model(directory, request, signature, tags, file).freeze(path)


def read_saved_model(
    directory: Any, request: Request, signature: str, tags: Sequence[str], file: FileOptions
) -> Source:
    """Return the source that `freeze_saved_model` writes."""
    name = os.fspath(directory)
    with named(name, f"SavedModel {name!r}"):
        return _source(name, request, signature, tags, file)


def _source(
    name: str, request: Request, signature: str, tags: Sequence[str], file: FileOptions
) -> Source:
    meta = meta_graph(name, tags)
    ends = signature_of(name, meta, signature)
    keys = output_keys(request.outputs, ends)
    others = further_of(name, meta, request.signatures)
    own_graph = request.inputs or request.bind or request.variable_map or file.ema
    if keys is not None and others is not None and not own_graph and _is_loadable(meta):
        wanted = {signature: keys, **{key: sorted(each.outputs) for key, each in others.items()}}
        silent = silence(meta.graph_def)
        refuse_to_load(name, meta)
        if silent:
            with beside_its_files(name, meta) as copy:
                return _load(copy, name, wanted, tags, file)
        return _load(name, name, wanted, tags, file)
    spec = in_its_graph(request, ends, keys, others).spec(file)
    return read_meta_graph(name, meta, spec, tags)


def read_meta_graph(
    directory: str, meta: Any, spec: FreezeSpec, tags: Sequence[str] = ("serve",)
) -> Source:
    """Return the SavedModel's graph with these tags and its values as a source.

    The values come from its files. If these lack some, such as variables that the SavedModel
    initializes itself, the values come from a session in which it is loaded.

    Raises:
      FreezeError: as `freeze_saved_model`.
    """
    verify = spec.file.verify
    spec = dataclasses.replace(spec, file=dataclasses.replace(spec.file, verify=None))
    if verify is not None:
        refuse_to_load(directory, meta)
    reading = _read(directory, meta, spec)
    if not isinstance(verify, Verify):
        return reading
    signatures, maps = reading.plan.signatures, (spec.variable_map, spec.file.ema)
    askings = askings_of(verify, signatures)
    answers = [
        LoadedAnswers(
            askings[key],
            directory,
            tags,
            ends_of(signatures[key], one.inputs, one.outputs, spec.bind),
            *maps,
        ).expected
        for key, one in spec.by_signature()
    ]
    reading.expected = lambda: all_expected(answers)
    return reading


def _read(directory: str, meta: Any, spec: FreezeSpec) -> Source:
    silence(meta.graph_def)
    saved = CheckpointedGraph(stored_graph(directory, meta), values_prefix(directory))
    plan = plan_stored(saved.graph, spec)
    start = starts_of(meta)
    renamed = bool(spec.variable_map or spec.file.ema)
    if renamed or not (start or saved.saver_def) or not saved.needs_session(plan):
        return saved.source(spec, plan)
    prefix = values_prefix(directory)
    Bundle(prefix).refuse_cut()
    with refused(f"SavedModel {directory!r}", tf.errors.OpError):
        return read_initialized(saved.graph, prefix, saved.saver_def, start, spec)


def _is_loadable(meta: Any) -> bool:
    """Return whether it is a TensorFlow 2 SavedModel, and the program runs eagerly."""
    return bool(meta.HasField("object_graph_def")) and not _keras.graph_mode()


def _load(
    directory: str,
    told: str,
    wanted: Mapping[str, Sequence[str]],
    tags: Sequence[str],
    file: FileOptions,
) -> Loaded:
    """Load a SavedModel, and plan some outputs of some of its signatures, by their keys."""
    with tf.init_scope():
        # TensorFlow's loader may raise anything
        with refused(f"SavedModel {told!r}", Exception):
            loaded = _loaded(directory, told, tags)
            each = [_traced(loaded.signatures[key], keys) for key, keys in wanted.items()]
        keys = [SERVING, *list(wanted)[1:]]
        return Loaded(loaded, plan_functions(dict(zip(keys, each)), file))


def _traced(function: Any, keys: Sequence[str]) -> Traced:
    specs, wanted = function.structured_input_signature[1], _only(function, keys)
    concrete = tf.function(wanted).get_concrete_function(**specs)
    fed = [tensor.op.name for tensor in fed_of(concrete)]
    outputs = keys_of(concrete.structured_outputs, "output")
    return Traced(concrete, Naming(fed, outputs, variable_names(function.graph)), wanted)


def _loaded(directory: str, told: str, tags: Sequence[str]) -> Any:
    try:
        return v1.saved_model.load_v2(directory, tags=list(tags))
    except FileNotFoundError as error:  # of TensorFlow 2, for a key that is not in variables/
        raise InvalidFileError(f"SavedModel {told!r} cannot be loaded: {error}") from error


def _only(function: Any, keys: Sequence[str]) -> Callable[..., Dict[str, Any]]:
    """Return a function that calls a signature and returns some of its outputs."""

    def wanted(**fed: Any) -> Dict[str, Any]:
        found = function(**fed)
        return {key: found[key] for key in keys}

    return wanted
