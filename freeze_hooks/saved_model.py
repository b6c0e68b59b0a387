"""A frozen file from a SavedModel, of TensorFlow 1 or 2."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Mapping, Optional, Sequence

import tensorflow as tf

from . import _tf
from ._tf import AssetFileDef, SavedModel
from .errors import FreezeError, InvalidFileError, UnknownNameError, refused
from .freezer import Artifact, warn_of
from .from_checkpoint import StoredSource
from .graph.audit import refuse_to_run
from .graph_files import StoredGraph, as_graph, parse
from .sources import Renaming
from .spec import FreezeSpec, Names
from .traced import Naming, apart, plan_concrete

SERVING = "serving_default"
ASSETS = "saved_model_assets"  # the collection of files that TensorFlow 1 writes


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
) -> Artifact:
    """Freeze a signature of a SavedModel to one `.pb` file.

        fh.freeze_saved_model("export/1", "model.pb")

    Of a SavedModel of TensorFlow 1, the values are read from its files, without a session, one
    variable at a time. One of TensorFlow 2 is loaded, so that its lookup tables and the files that
    fill them travel along, unless `inputs`, `bind`, `variable_map` or `ema` ask for its graph.

    Args:
      directory: the SavedModel's.
      path: the file to write; its directory must exist. `path + ".json"` describes it.
      outputs: some of the signature's outputs by their keys, or tensors of the graph; None is all
        outputs of the signature.
      signature: which one of the SavedModel's signatures.
      tags: all tags of the MetaGraphDef to take, in any order.
      inputs: tensors to cut the graph at; None is the inputs of the signature.
      bind, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize: as in `freeze_checkpoint`.

    Returns:
      The Artifact; its inputs and outputs are called as in the signature.

    Raises:
      UnknownNameError: there is no such signature, set of tags or tensor; what there is is listed.
      InvalidFileError: a file is missing, cut short or of another kind.
      FreezeError: the outputs cannot be frozen. Nothing is written then.
      OSError: a file cannot be read or written; what was at `path` stays.
    """
    name = os.fspath(directory)
    meta = meta_graph(name, tags)
    ends = _signature(name, meta, signature)
    form: Dict[str, Any] = {
        "lower_control_flow": lower_control_flow,
        "weights": weights,
        "check_numerics": check_numerics,
        "optimize": optimize,
    }
    asked = bool(inputs or bind or variable_map or ema)
    keys = _keys(outputs, ends)
    stored = stored_graph(name, meta)
    if keys is not None and not asked and _is_loadable(meta):
        refuse_to_run(meta.graph_def, f"to load SavedModel {name!r}")
        return _freeze_loaded(name, path, signature, tags, keys, form)
    given = inputs if inputs is not None else _named(ends.inputs)
    if keys is not None:
        names = apart(keys, list(given) if isinstance(given, Mapping) else [])
        outputs = {name: ends.outputs[key].name for name, key in zip(names, keys)}
    spec = FreezeSpec.make(
        outputs,
        given,
        bind,
        variable_map=variable_map,
        ema=ema,
        **form,
    )
    return StoredSource(stored, values_prefix(name)).read(spec).write(path)


def stored_graph(directory: str, meta: Any) -> StoredGraph:
    """A graph of a SavedModel, and where its assets are now.

    Raises:
      InvalidFileError: the graph is broken, or an asset is a file of elsewhere.
    """
    held = meta.collection_def[ASSETS].any_list.value if ASSETS in meta.collection_def else ()
    assets = list(meta.asset_file_def)
    for packed in held if not assets else ():
        asset = AssetFileDef()
        if not packed.Unpack(asset):
            raise InvalidFileError(f"SavedModel {directory!r}: its collection of assets is broken")
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
    """Where a SavedModel keeps its variables."""
    return os.path.join(directory, "variables", "variables")


def meta_graph(directory: str, tags: Sequence[str]) -> Any:
    """The MetaGraphDef of a SavedModel that has exactly these tags.

    Raises:
      FreezeError: the directory has no SavedModel.
      UnknownNameError: it has others; they are listed.
      InvalidFileError: its file is cut short or no SavedModel.
    """
    for ending in (".pb", ".pbtxt"):
        path = os.path.join(directory, "saved_model" + ending)
        if tf.io.gfile.exists(path):
            break
    else:
        raise FreezeError(f"directory {directory!r} has no SavedModel (saved_model.pb)")
    with tf.io.gfile.GFile(path, "rb") as file:
        saved = parse(file.read(), SavedModel(), path)
    wanted = {tags} if isinstance(tags, str) else set(tags)
    for meta in saved.meta_graphs:
        if set(meta.meta_info_def.tags) == wanted:
            return meta
    there = ", ".join(str(sorted(meta.meta_info_def.tags)) for meta in saved.meta_graphs)
    raise UnknownNameError(f"{path} has no graph with tags {sorted(wanted)}; there are: {there}")


def _signature(directory: str, meta: Any, name: str) -> Any:
    known = sorted(key for key in meta.signature_def if not key.startswith("__saved_model"))
    if name not in known:
        listed = ", ".join(map(repr, known)) or "none"
        raise UnknownNameError(
            f"SavedModel {directory!r} has no signature {name!r}; there are: {listed}"
        )
    return meta.signature_def[name]


def _keys(outputs: Names, ends: Any) -> Optional[Sequence[str]]:
    """The wanted outputs of the signature by their keys; None if tensors of the graph are."""
    known = sorted(ends.outputs)
    if outputs is None:
        return known
    names = [outputs] if isinstance(outputs, str) else outputs
    if isinstance(names, Mapping) or not all(name in known for name in names):
        return None
    return list(names)


def _named(ends: Mapping[str, Any]) -> Dict[str, str]:
    return {key: info.name for key, info in sorted(ends.items()) if info.name}


def _is_loadable(meta: Any) -> bool:
    """Whether it is of TensorFlow 2, and this is a program for that."""
    return bool(meta.HasField("object_graph_def")) and not _tf.graph_mode()


def _freeze_loaded(
    directory: str,
    path: str,
    signature: str,
    tags: Sequence[str],
    keys: Sequence[str],
    form: Mapping[str, Any],
) -> Artifact:
    with tf.init_scope():
        with refused(f"SavedModel {directory!r}", tf.errors.OpError):
            loaded = tf.saved_model.load(directory, tags=list(tags))
        function = loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        wanted = tf.function(lambda **fed: {key: function(**fed)[key] for key in keys})
        concrete = wanted.get_concrete_function(**specs)
        captured = {inner.op.name for _, inner in _tf.captures(concrete.graph)}
        fed = [t.op.name for t in concrete.inputs if t.op.name not in captured]
        variables = {id(v.handle): v.name.split(":")[0] for v in function.variables}
        naming = Naming(fed, apart(sorted(keys), fed), variables)
        plan = plan_concrete(concrete, naming, **form)
        warn_of(plan.findings)
        return plan.write(os.fspath(path))
