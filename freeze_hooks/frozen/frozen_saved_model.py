"""Reads SavedModels whose weights are constants: those that freeze_hooks writes, and others."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from google.protobuf.message import DecodeError

from .._protos import SavedModel, parse
from ..errors import InvalidFileError, refused
from ..graph.names import split
from ..graph.ops import VARIABLES
from ..graph.passes.restored_variables import TensorOf, constants_in_place
from ..graph.validate import refuse_broken
from ..graph.walks import above
from ..storage.directories import files_in
from ..storage.file_kinds import MODEL
from ..storage.filesystem import filesystem_of, read
from ..storage.listing import exists, is_directory
from ..values.bundle import Bundle
from .stored_variables import PREFIX, StoredVariables
from .wire import DESCRIPTION

SERVING = "serving_default"
_START = "__saved_model_init_op"
_STARTS = ("saved_model_main_op", "legacy_init_op")  # older: collections


def is_saved_model(path: str) -> bool:
    """Return whether a path is a SavedModel's directory."""
    return is_directory(path) and exists(os.path.join(path, MODEL))


def has_variables(path: str) -> bool:
    """Return whether a path is a SavedModel with values in a checkpoint."""
    return is_saved_model(path) and exists(filesystem_of(path).join(path, PREFIX + ".index"))


def read_saved_graph(directory: str) -> Any:
    """Return the frozen GraphDef of a SavedModel.

    Variables that freeze_hooks wrote become constants.

    Raises:
      InvalidFileError: a file is truncated, it has several graphs, or other variables, or values of
        over 2 GiB.
      OSError: its file cannot be read.
    """
    meta = _meta_graph(directory)
    stored = _stored(directory, meta)
    if stored is None:
        return _frozen(directory, meta.graph_def)
    stored.check_size()
    return _with_constants(directory, meta, stored.tensor)


def read_saved_structure(directory: str) -> Tuple[Any, Dict[str, int]]:
    """Return the frozen GraphDef of a SavedModel without the values of variables.

    Variables that freeze_hooks wrote become constants that have only dtypes and shapes.

    Returns:
      The GraphDef, and {such a constant: the number of bytes of its value}.

    Raises:
      InvalidFileError, OSError: as `read_saved_graph`.
    """
    meta = _meta_graph(directory)
    stored = _stored(directory, meta)
    if stored is None:
        return _frozen(directory, meta.graph_def), {}
    return _with_constants(directory, meta, stored.kind), stored.sizes()


def graph_to_load(directory: str) -> Any:
    """Return the GraphDef that TensorFlow's loader takes, without the ops of its Saver.

    These are the ops that restore its own variables, and those that save and do not run.

    Raises:
      InvalidFileError: it is broken, or a file of its variables is cut short.
    """
    meta = _meta_graph(directory)
    Bundle(filesystem_of(directory).join(directory, PREFIX)).refuse_cut()
    nodes = {node.name: node for node in meta.graph_def.node}
    filename = split(meta.saver_def.filename_tensor_name)[0]
    restore = split(meta.saver_def.restore_op_name)[0]
    runs = above(nodes, [restore, *starts_of(meta), *_outputs(meta)])

    def is_own(node: Any) -> bool:
        if node.op == "RestoreV2":
            return bool(split(node.input[0])[0] == filename)
        return node.op == "SaveV2" and node.name not in runs

    for place in reversed(range(len(meta.graph_def.node))):
        if is_own(meta.graph_def.node[place]):
            del meta.graph_def.node[place]
    return meta.graph_def


def starts_of(meta: Any) -> Sequence[str]:
    """Return the ops that TensorFlow runs after it has restored a SavedModel's variables."""
    if _START in meta.signature_def:
        return [split(meta.signature_def[_START].outputs[_START].name)[0]]
    held = (meta.collection_def[key] for key in _STARTS if key in meta.collection_def)
    return [split(name)[0] for collection in held for name in collection.node_list.value]


def _meta_graph(directory: str) -> Any:
    path = os.path.join(directory, MODEL)
    try:
        saved = parse(SavedModel(), read(path))
    except DecodeError as error:
        raise InvalidFileError(f"{path} is truncated or not a SavedModel: {error}") from None
    if len(saved.meta_graphs) != 1:
        raise InvalidFileError(
            f"{path} has {len(saved.meta_graphs)} graphs, where a frozen SavedModel has one: "
            "fh.freeze_saved_model(..., tags=...) freezes one of them"
        )
    with refused(path):
        refuse_broken(saved.meta_graphs[0].graph_def)
    return saved.meta_graphs[0]


def _stored(directory: str, meta: Any) -> Optional[StoredVariables]:
    ours = any(DESCRIPTION in node.attr for node in meta.graph_def.node)
    if not (ours and has_variables(directory)):
        return None
    return StoredVariables(directory, meta, _outputs(meta))


def _outputs(meta: Any) -> List[str]:
    return [end.name for end in meta.signature_def[SERVING].outputs.values()]


def _with_constants(directory: str, meta: Any, tensor_of: TensorOf) -> Any:
    return _frozen(directory, constants_in_place(meta.graph_def, _outputs(meta), tensor_of))


def _frozen(directory: str, graph_def: Any) -> Any:
    bodies = [graph_def.node, *(f.node_def for f in graph_def.library.function)]
    variables = [node.name for nodes in bodies for node in nodes if node.op in VARIABLES]
    if variables:
        raise InvalidFileError(
            f"{directory} is a SavedModel's directory: give it to fh.freeze_saved_model, which "
            f"freezes its variables, such as {variables[0]!r}"
        )
    return graph_def


def size_of(path: str) -> int:
    """Return the number of bytes of a file, or of all files of an artifact's directory."""
    if not is_directory(path):
        return filesystem_of(path).size(path)
    return sum(filesystem_of(path).size(os.path.join(path, name)) for name in files_in(path))
