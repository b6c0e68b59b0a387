"""The message of a SavedModel: its graphs, signatures and assets, without loading it."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from google.protobuf.message import DecodeError

from .._protos import AssetFileDef, SavedModel
from ..errors import FreezeError, InvalidFileError, UnknownNameError, named, refused
from ..frozen.frozen_saved_model import starts_of
from ..frozen.other_kinds import told_at
from ..graph.names import by_node_name, tensor_name
from ..graph.side_effects import refuse_to_run
from ..plan.spec import Names, Request
from ..signature import SERVING, ragged_parts
from ..storage.filesystem import read
from ..storage.listing import exists
from ..values.bundle import Bundle
from .graph_file import StoredGraph, as_graph
from .graph_message import parse

ASSETS = "saved_model_assets"  # TensorFlow 1's collection of files


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


def refuse_to_load(directory: str, meta: Any) -> None:
    """Check that TensorFlow can be given a SavedModel to load.

    Raises:
      InvalidFileError: the graph or the index of its values is broken, a file of values is cut
        short, or an asset is outside the directory. Some broken ones end TensorFlow's process.
      NotFreezableError: its graph writes files or uses the network; names the op.
    """
    with named(directory, f"SavedModel {directory!r}"):
        stored_graph(directory, meta)
    Bundle(values_prefix(directory)).refuse_cut()
    signatures = [ends.outputs for ends in meta.signature_def.values()]
    answers = [tensor for outputs in signatures for tensor in tensors_of(outputs).values()]
    roots = [meta.saver_def.restore_op_name, *starts_of(meta), *answers]
    refuse_to_run(meta.graph_def, f"to load SavedModel {directory!r}", roots)


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
        if exists(path):
            break
    else:
        other = told_at(directory)
        more = "" if other is None else f": {other}"
        raise FreezeError(f"directory {directory!r} has no SavedModel (saved_model.pb){more}")
    saved = parse(read(path), SavedModel(), path)
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


def output_keys(outputs: Names, ends: Any) -> Optional[Sequence[str]]:
    """Return the keys of the requested outputs; None if `outputs` names tensors of the graph."""
    known = sorted(ends.outputs)
    if outputs is None:
        return known
    names = [outputs] if isinstance(outputs, str) else outputs
    if isinstance(names, Mapping) or not all(name in known for name in names):
        return None
    return list(names)


def further_of(directory: str, meta: Any, signatures: Any) -> Optional[Dict[str, Any]]:
    """Return {key: SignatureDef} of the further signatures that a user lists.

    None means that they are tensors of the graph.

    Raises:
      UnknownNameError: the SavedModel has no such signature.
      FreezeError: it would have the key of the file's main one.
    """
    if isinstance(signatures, Mapping):
        return None
    listed = [signatures] if isinstance(signatures, str) else signatures or ()
    if SERVING in listed:
        raise FreezeError(
            f"the main signature of a file is called {SERVING!r}, so another one cannot be: let "
            f"the SavedModel's {SERVING!r} be the first one"
        )
    return {key: signature_of(directory, meta, key) for key in listed}


def in_its_graph(
    request: Request,
    ends: Any,
    keys: Optional[Sequence[str]],
    others: Optional[Mapping[str, Any]] = None,
) -> Request:
    """Return a request by names of a signature as one by tensors of its graph.

    Args:
      request: the user's.
      ends: the SignatureDef.
      keys: the keys of the requested outputs; None if they are tensors of the graph.
      others: {key: SignatureDef} of the further signatures that it lists.
    """
    inputs, bind, outputs = request.inputs, _bound(request.bind, ends), request.outputs
    if inputs is None:
        fixed = {tensor_name(getattr(tensor, "name", tensor)) for tensor in bind}
        inputs = by_node_name({k: n for k, n in tensors_of(ends.inputs).items() if n not in fixed})
    if keys is not None:
        outputs = by_node_name(tensors_of(ends.outputs, keys))
    further = request.signatures if others is None else _in_graph(others)
    return dataclasses.replace(
        request, outputs=outputs, inputs=inputs, bind=bind, signatures=further
    )


def _in_graph(signatures: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """Return {key: (inputs, outputs)} by tensors of the graph; None without signatures."""
    return {
        key: (by_node_name(tensors_of(ends.inputs)), by_node_name(tensors_of(ends.outputs)))
        for key, ends in signatures.items()
    } or None


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
