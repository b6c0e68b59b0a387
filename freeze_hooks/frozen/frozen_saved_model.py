"""Reads SavedModels whose weights are constants: those that freeze_hooks writes, and others."""

from __future__ import annotations

import os
from typing import Any

from google.protobuf.message import DecodeError

from .._protos import SavedModel, parse
from ..errors import InvalidFileError, refused
from ..graph.ops import VARIABLES
from ..graph.validate import refuse_broken
from ..storage.directories import files_in
from ..storage.file_kinds import MODEL
from ..storage.filesystem import filesystem_of, read
from ..storage.listing import exists, is_directory


def is_saved_model(path: str) -> bool:
    """Return whether a path is a SavedModel's directory."""
    return is_directory(path) and exists(os.path.join(path, MODEL))


def read_saved_graph(directory: str) -> Any:
    """Return the GraphDef of a SavedModel without variables.

    Raises:
      InvalidFileError: its file is truncated, it has several graphs, or it has variables.
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
    bodies = [graph_def.node, *(f.node_def for f in graph_def.library.function)]
    variables = [node.name for nodes in bodies for node in nodes if node.op in VARIABLES]
    if variables:
        raise InvalidFileError(
            f"SavedModel {directory} has variables, such as {variables[0]!r}, so it is not frozen: "
            "fh.freeze_saved_model writes a frozen file from it"
        )
    return graph_def


def size_of(path: str) -> int:
    """Return the number of bytes of a file, or of all files of a SavedModel."""
    if not is_saved_model(path):
        return filesystem_of(path).size(path)
    return sum(filesystem_of(path).size(os.path.join(path, name)) for name in files_in(path))
