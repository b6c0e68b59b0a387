"""Freezes SavedModels of TensorFlow 1 and 2."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from .. import _keras
from .._protos import AssetFileDef, SavedModel
from .._tf import v1
from ..errors import FreezeError, InvalidFileError, UnknownNameError, refused
from ..frozen.composites import ragged_parts
from ..frozen.other_kinds import told_at
from ..frozen.writer import Artifact
from ..graph.names import split, tensor_name
from ..graph.side_effects import refuse_to_run, silence
from ..plan.file_options import FileOptions
from ..plan.spec import FreezeSpec, Names, Request
from ..proof.asked import Verify, Verifying
from ..proof.saved_models import LoadedAnswers
from ..proof.tensor_ends import ends_of
from ..values.renaming import Renaming
from .checkpoint import CheckpointedGraph, plan_stored
from .function import plan_concrete
from .function_plan import FunctionPlan
from .graph_file import StoredGraph, as_graph, parse
from .mirrored import beside_its_files
from .naming import Naming, apart, fed_of, keys_of, variable_names
from .restored_session import read_initialized
from .source import Source

SERVING = "serving_default"
START = "__saved_model_init_op"
STARTS = ("saved_model_main_op", "legacy_init_op")  # older: collections
ASSETS = "saved_model_assets"  # TensorFlow 1's collection of files


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
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
) -> Artifact:
    """Freeze a signature of a SavedModel to one `.pb` file.

        fh.freeze_saved_model("export/1", "model.pb")

    The values of a TensorFlow 1 SavedModel are read from its files, without a session, one variable
    at a time. A TensorFlow 2 SavedModel is loaded, so that the file contains its lookup tables and
    their content; with `inputs`, `bind`, `variable_map` or `ema`, its graph is read instead.
    Prints, asserts and summaries are left out, and none of them is run.

    Args:
      directory: the SavedModel's directory.
      path: the file to write; its directory must exist. `path + ".json"` describes it.
      outputs: some of the signature's outputs by their keys, or tensors of the graph; None is all
        outputs of the signature.
      signature: the key of one of the SavedModel's signatures.
      tags: all tags of the MetaGraphDef to take, in any order.
      inputs: tensors to cut the graph at; None is the inputs of the signature.
      bind, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize: as in `freeze_checkpoint`.
      verify: as in FreezeHook. The file is compared with the SavedModel in TensorFlow's own loader:
        with the signature's answers, or with its graph's in a session.

    Returns:
      The Artifact; its inputs and outputs have the signature's names.

    Raises:
      UnknownNameError: there is no such signature, set of tags or tensor; lists those that exist.
      InvalidFileError: a file is missing, truncated or of another kind.
      FreezeError: the outputs cannot be frozen. Nothing is written then.
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
    return read_saved_model(directory, request, signature, tags, file).freeze(path)


def read_saved_model(
    directory: Any, request: Request, signature: str, tags: Sequence[str], file: FileOptions
) -> Source:
    """Return the source that `freeze_saved_model` writes."""
    name = os.fspath(directory)
    meta = meta_graph(name, tags)
    ends = signature_of(name, meta, signature)
    keys, outputs = _keys(request.outputs, ends), request.outputs
    own_graph = request.inputs or request.bind or request.variable_map or file.ema
    if keys is not None and not own_graph and _is_loadable(meta):
        stored_graph(name, meta)  # validates it before TensorFlow reads it
        silent = silence(meta.graph_def)
        refuse_to_run(meta.graph_def, f"to load SavedModel {name!r}")
        if silent:
            with beside_its_files(name, meta) as copy:
                return _load(copy, name, signature, tags, keys, file)
        return _load(name, name, signature, tags, keys, file)
    inputs, bind = request.inputs, _bound(request.bind, ends)
    fixed = {tensor_name(getattr(tensor, "name", tensor)) for tensor in bind}
    named = {key: name for key, name in tensors_of(ends.inputs).items() if name not in fixed}
    given = dict(zip(apart(list(named)), named.values())) if inputs is None else inputs
    if keys is not None:
        found = tensors_of(ends.outputs, keys)
        outputs = dict(zip(apart(list(found)), found.values()))
    spec = Request(outputs, given, bind, request.variable_map).spec(file)
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
        refuse_to_run(meta.graph_def, f"to load SavedModel {directory!r}")
    reading = _read(directory, meta, spec)
    if not isinstance(verify, Verify):
        return reading
    signature, maps = reading.plan.signature, (spec.variable_map, spec.file.ema)
    ends = ends_of(signature, spec.inputs, spec.outputs, spec.bind)
    answers = LoadedAnswers(verify, signature, directory, tags, ends, *maps)
    reading.expected = answers.expected
    return reading


def _read(directory: str, meta: Any, spec: FreezeSpec) -> Source:
    silence(meta.graph_def)
    saved = CheckpointedGraph(stored_graph(directory, meta), values_prefix(directory))
    plan = plan_stored(saved.graph, spec)
    start = _start(meta)
    renamed = bool(spec.variable_map or spec.file.ema)
    if renamed or not (start or saved.saver_def) or not saved.needs_session(plan):
        return saved.source(spec, plan)
    return read_initialized(saved.graph, values_prefix(directory), saved.saver_def, start, spec)


def _start(meta: Any) -> Sequence[str]:
    """Return the ops that TensorFlow runs after it has restored a SavedModel's variables."""
    if START in meta.signature_def:
        return [split(meta.signature_def[START].outputs[START].name)[0]]
    held = (meta.collection_def[key] for key in STARTS if key in meta.collection_def)
    return [split(name)[0] for collection in held for name in collection.node_list.value]


def stored_graph(directory: str, meta: Any) -> StoredGraph:
    """Return a graph of a SavedModel, with the present paths of its assets.

    Raises:
      InvalidFileError: the graph is broken, or an asset is outside the directory.
    """
    held = meta.collection_def[ASSETS].any_list.value if ASSETS in meta.collection_def else ()
    assets = list(meta.asset_file_def)
    for packed in held if not assets else ():
        asset = AssetFileDef()
        with refused(f"SavedModel {directory!r}: its collection of assets", DecodeError):
            if not packed.Unpack(asset):
                raise ValueError("it holds something else")
        assets.append(asset)
    for asset in assets:
        parts = asset.filename.replace("\\", "/").split("/")
        if "" in parts or ".." in parts or ":" in parts[0]:
            raise InvalidFileError(
                f"SavedModel {directory!r} has an asset {asset.filename!r}, outside its directory"
            )
    paths = {a.tensor_info.name: os.path.join(directory, "assets", a.filename) for a in assets}
    return dataclasses.replace(as_graph(meta), assets=paths)


def values_prefix(directory: str) -> str:
    """Return the prefix of a SavedModel's variables."""
    return os.path.join(directory, "variables", "variables")


def meta_graph(directory: str, tags: Sequence[str]) -> Any:
    """Return the MetaGraphDef of a SavedModel with exactly these tags.

    Raises:
      FreezeError: the directory has no SavedModel.
      UnknownNameError: the SavedModel has only other tags; lists them.
      InvalidFileError: its file is truncated or not a SavedModel.
    """
    for ending in (".pb", ".pbtxt"):
        path = os.path.join(directory, "saved_model" + ending)
        if tf.io.gfile.exists(path):
            break
    else:
        other = told_at(directory)
        more = "" if other is None else f": {other}"
        raise FreezeError(f"directory {directory!r} has no SavedModel (saved_model.pb){more}")
    with tf.io.gfile.GFile(path, "rb") as file:
        saved = parse(file.read(), SavedModel(), path)
    wanted = {tags} if isinstance(tags, str) else set(tags)
    for meta in saved.meta_graphs:
        if set(meta.meta_info_def.tags) == wanted:
            return meta
    there = ", ".join(str(sorted(meta.meta_info_def.tags)) for meta in saved.meta_graphs)
    raise UnknownNameError(f"{path} has no graph with tags {sorted(wanted)}; there are: {there}")


def signature_of(directory: str, meta: Any, name: str) -> Any:
    """Return a signature of a SavedModel's graph; UnknownNameError lists those that exist."""
    known = sorted(key for key in meta.signature_def if not key.startswith("__saved_model"))
    if name not in known:
        listed = ", ".join(map(repr, known)) or "none"
        raise UnknownNameError(
            f"SavedModel {directory!r} has no signature {name!r}; there are: {listed}"
        )
    return meta.signature_def[name]


def _keys(outputs: Names, ends: Any) -> Optional[Sequence[str]]:
    """Return the keys of the requested outputs; None if `outputs` names tensors of the graph."""
    known = sorted(ends.outputs)
    if outputs is None:
        return known
    names = [outputs] if isinstance(outputs, str) else outputs
    if isinstance(names, Mapping) or not all(name in known for name in names):
        return None
    return list(names)


def _bound(bind: Any, ends: Any) -> Dict[Any, Any]:
    """Return `bind` with the signature's input names replaced by their tensors."""
    names = tensors_of(ends.inputs)
    return {
        names.get(key, key) if isinstance(key, str) else key: value
        for key, value in dict(bind or {}).items()
    }


def tensors_of(ends: Mapping[str, Any], keys: Optional[Iterable[str]] = None) -> Dict[str, str]:
    """Return {name: tensor} for inputs or outputs of a signature, with a name for each part.

    A ragged or sparse tensor has several parts.

    Args:
      ends: {key: TensorInfo message}.
      keys: the keys to take; None takes all, sorted.
    """
    return {
        f"{key}/{part}" if part else key: tensor
        for key in (sorted(ends) if keys is None else keys)
        for part, tensor in _parts(ends[key])
    }


def _parts(info: Any) -> List[Tuple[str, str]]:
    kind = info.WhichOneof("encoding")
    if kind == "name":
        return [("", info.name)]
    if kind == "coo_sparse":
        fields = ("indices", "values", "dense_shape")
        return [(part, getattr(info.coo_sparse, part + "_tensor_name")) for part in fields]
    components = info.composite_tensor.components if kind == "composite_tensor" else ()
    names = ragged_parts(len(components))
    return list(zip(names, (component.name for component in components)))


def _is_loadable(meta: Any) -> bool:
    """Return whether it is a TensorFlow 2 SavedModel, and the program runs eagerly."""
    return bool(meta.HasField("object_graph_def")) and not _keras.graph_mode()


def _load(
    directory: str,
    told: str,
    signature: str,
    tags: Sequence[str],
    keys: Sequence[str],
    file: FileOptions,
) -> Loaded:
    with tf.init_scope():
        # TensorFlow's loader may raise anything
        with refused(f"SavedModel {told!r}", Exception):
            loaded = v1.saved_model.load_v2(directory, tags=list(tags))
            function = loaded.signatures[signature]
            specs = function.structured_input_signature[1]
            wanted = _only(function, keys)
            concrete = tf.function(wanted).get_concrete_function(**specs)
        fed = [tensor.op.name for tensor in fed_of(concrete)]
        outputs = keys_of(concrete.structured_outputs, "output")
        naming = Naming(fed, outputs, variable_names(function.graph))
        return Loaded(loaded, plan_concrete(concrete, naming, file, live=wanted))


def _only(function: Any, keys: Sequence[str]) -> Callable[..., Dict[str, Any]]:
    """Return a function that calls a signature and returns some of its outputs."""

    def wanted(**fed: Any) -> Dict[str, Any]:
        found = function(**fed)
        return {key: found[key] for key in keys}

    return wanted
