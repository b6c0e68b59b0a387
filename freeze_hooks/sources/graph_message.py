"""Reads GraphDefs and MetaGraphDefs from files of TensorFlow's tools, binary or text."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from .. import _protos
from .._protos import GraphDef, MetaGraphDef
from ..errors import InvalidFileError
from ..frozen.frozen_graph_model import is_graph_model, read_graph_model
from ..frozen.other_kinds import told
from ..storage.filesystem import pieces, read

_TEXT = re.compile(rb"\s*(#[^\n]*\n\s*)*[a-z_]+\s*[:{]")
_META = re.compile(rb"\s*(#[^\n]*\n\s*)*(meta_info_def|graph_def|saver_def|collection_def)\s*[:{]")


def read_message(path: str) -> Any:
    """Return the GraphDef or MetaGraphDef in a file, binary or text; it is not validated.

    The path may also be the directory of a TF.js model.
    """
    if is_graph_model(path):
        return read_graph_model(path)
    data = read(path)
    try:
        if _TEXT.match(data[:4096]):
            meta = bool(_META.match(data[:4096]))
            return parse(data, MetaGraphDef() if meta else GraphDef(), path)
        return _binary(data, path)
    except InvalidFileError as error:
        raise told(path, data, takes_text=True) or error from None


def is_text(path: str) -> bool:
    """Return whether a file starts as a graph in text does."""
    return bool(_TEXT.match(next(pieces(path), b"")[:4096]))


def parse(data: bytes, message: Any, path: str) -> Any:
    """Parse a file's bytes, binary or text, into a message.

    Raises:
      InvalidFileError: they are not such a message.
    """
    kind = type(message).__name__
    try:
        if _TEXT.match(data[:4096]):
            return text_format.Parse(data, message)
        _protos.parse(message, data)
    except (text_format.ParseError, DecodeError, UnicodeDecodeError, RuntimeError) as error:
        raise InvalidFileError(f"{path} is cut short or not a {kind}: {error}") from None
    return message


def _binary(data: bytes, path: str) -> Any:
    """Parse a GraphDef or MetaGraphDef: either may parse, but only the right one has nodes."""
    errors = []
    for message in (GraphDef(), MetaGraphDef()):
        try:
            found = parse(data, message, path)
        except InvalidFileError as error:
            errors.append(error)
            continue
        nodes = found.graph_def.node if isinstance(found, MetaGraphDef) else found.node
        if nodes and all(node.name and node.op for node in nodes):
            return found
    raise InvalidFileError(
        f"{path} holds no graph: it is cut short, or neither a GraphDef nor a MetaGraphDef"
        + (f" ({errors[0]})" if errors else "")
    )
