"""Reads SavedModels whose weights are constants: those that freeze_hooks writes, and others."""

from __future__ import annotations

import os
from typing import Any, Sequence

from google.protobuf.message import DecodeError

from .._protos import SavedModel, TensorProto, parse
from ..errors import InvalidFileError, refused
from ..graph.ops import VARIABLES
from ..graph.passes.restored_variables import constants_in_place
from ..graph.validate import refuse_broken
from ..plan.types import LIMIT
from ..storage.directories import files_in
from ..storage.file_kinds import MODEL
from ..storage.filesystem import filesystem_of, read
from ..storage.listing import exists, is_directory
from ..values.bundle import Bundle
from .wire import DESCRIPTION

PREFIX = "variables/variables"
SERVING = "serving_default"


def is_saved_model(path: str) -> bool:
    """Return whether a path is a SavedModel's directory."""
    return is_directory(path) and exists(os.path.join(path, MODEL))


def read_saved_graph(directory: str) -> Any:
    """Return the frozen GraphDef of a SavedModel.

    Variables that freeze_hooks wrote become constants.

    Raises:
      InvalidFileError: a file is truncated, it has several graphs, or other variables, or variables
        of over 2 GiB.
      OSError: its file cannot be read.
    """
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
    graph_def = saved.meta_graphs[0].graph_def
    with refused(path):
        refuse_broken(graph_def)
    if any(DESCRIPTION in node.attr for node in graph_def.node):
        ends = saved.meta_graphs[0].signature_def[SERVING].outputs
        graph_def = _with_values(graph_def, [end.name for end in ends.values()], directory)
    bodies = [graph_def.node, *(f.node_def for f in graph_def.library.function)]
    variables = [node.name for nodes in bodies for node in nodes if node.op in VARIABLES]
    if variables:
        raise InvalidFileError(
            f"SavedModel {directory} has variables, such as {variables[0]!r}, so it is not frozen: "
            "fh.freeze_saved_model writes a frozen file from it"
        )
    return graph_def


def _with_values(graph_def: Any, outputs: Sequence[str], directory: str) -> Any:
    files = filesystem_of(directory)
    bundle = Bundle(files.join(directory, PREFIX))
    size = sum(bundle.size(key) for key in bundle.shapes or ())
    if size > LIMIT:
        raise InvalidFileError(
            f"{directory} has variables of {size / 1e9:.2f} GB, which pass the 2.15 GB (2 GiB) of "
            "one graph: tf.saved_model.load reads them"
        )

    def tensor_of(key: str) -> Any:
        found = bundle.find(key)
        if found is None:
            raise InvalidFileError(f"{directory} lacks the value of its variable {key!r}")
        shape, _, pieces = found
        tensor = TensorProto(dtype=bundle.dtypes[key])
        tensor.tensor_shape.SetInParent()
        for dimension in shape:
            tensor.tensor_shape.dim.add(size=dimension)
        tensor.tensor_content = b"".join(map(bytes, pieces))
        return tensor

    return constants_in_place(graph_def, outputs, tensor_of)


def size_of(path: str) -> int:
    """Return the number of bytes of a file, or of all files of a SavedModel."""
    if not is_saved_model(path):
        return filesystem_of(path).size(path)
    return sum(filesystem_of(path).size(os.path.join(path, name)) for name in files_in(path))
