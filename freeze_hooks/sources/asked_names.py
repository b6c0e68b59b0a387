"""Checks the names that a user asks for by a look at the files, without TensorFlow."""

from __future__ import annotations

from typing import Any, Sequence

from ..errors import UnknownNameError, named, refused
from ..frozen.frozen_saved_model import size_of
from ..graph.endpoints import resolve
from ..graph.suggest_outputs import no_outputs
from ..plan.file_options import PLAIN
from ..plan.spec import Request
from ..storage.listing import exists, is_directory
from .at_path import CHECKPOINT, SAVED_MODEL, find_prefix, kind_of, stem
from .graph_file import as_graph, stored_shapes
from .graph_message import is_text
from .saved_model_message import in_its_graph, meta_graph, output_keys, signature_of, stored_graph

# Bytes that are read in less time than TensorFlow is imported; text is parsed more slowly.
QUICK = 1 << 30
_QUICK_TEXT = 32 << 20


def check_names(source: str, request: Request, signature: str, tags: Sequence[str]) -> None:
    """Raise now what `freeze_files` would raise later, for wrong files and unknown names.

    A graph of over 1 GiB, or 32 MiB of text, is not read twice: its errors come later.

    Args:
      source, signature, tags: as in `freeze_files`.
      request: the outputs, inputs and bound values.

    Raises:
      FreezeError: there is no such file, signature or tensor; it names near matches.
      OSError: a file cannot be read.
    """
    kind = kind_of(source)
    if kind == SAVED_MODEL:
        with named(source, f"SavedModel {source!r}"):
            meta = meta_graph(source, tags)
            ends = signature_of(source, meta, signature)
            graph = stored_graph(source, meta).graph_def
            _look_up(graph, in_its_graph(request, ends, output_keys(request.outputs, ends)))
        return
    path = stem(find_prefix(source)) + ".meta" if kind == CHECKPOINT else source
    if exists(path) and _is_quick(path):
        _look_up(as_graph(path).graph_def, request)


def _is_quick(path: str) -> bool:
    size = size_of(path)
    return size <= _QUICK_TEXT or (size <= QUICK and (is_directory(path) or not is_text(path)))


def _look_up(graph_def: Any, request: Request) -> None:
    spec = request.spec(PLAIN)
    nodes = {node.name: node for node in graph_def.node}
    with refused("the graph"):
        if not spec.outputs:
            raise UnknownNameError(no_outputs(nodes, stored_shapes(graph_def)))
        for argument, asked in (("outputs", spec.outputs), ("inputs", spec.inputs or ())):
            for _, tensor in asked:
                resolve(nodes, argument, tensor)
        for tensor, _ in spec.bind:
            resolve(nodes, "bind", tensor)
