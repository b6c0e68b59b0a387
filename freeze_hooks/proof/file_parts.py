"""Finds the nodes of a frozen file, and the bytes of their values, without parsing the values.

This reads the wire format by itself, since the code that writes it is what a proof checks. Sources:
protobuf.dev/programming-guides/encoding, saved_model.proto, meta_graph.proto, graph.proto,
node_def.proto, attr_value.proto, tensor.proto.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, Optional, Tuple

from google.protobuf.message import DecodeError

from .._protos import TensorProto

_SCHEMA_VERSION = b"\x08"  # the first byte of a SavedModel: its field 1 is a number
_META_GRAPH = 2  # SavedModel.meta_graphs
_GRAPH_DEF = 2  # MetaGraphDef.graph_def
_GRAPH_NODE = 1
_NODE_NAME, _NODE_OP, _NODE_INPUT, _NODE_ATTR = 1, 2, 3, 5
_KEY, _VALUE = 1, 2  # of an entry of a map
_ATTR_TENSOR = 8
_CONTENT = 4  # TensorProto.tensor_content
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DESCRIPTION = b"_freeze_hooks"


@dataclasses.dataclass(frozen=True)
class Value:
    """The value of a Const whose bytes stand in one piece in the file.

    Attributes:
      dtype: its DataType number.
      shape: its dimensions.
      start, end: where its bytes are in the file.
    """

    dtype: int
    shape: Tuple[int, ...]
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Part:
    """One field of a GraphDef.

    Attributes:
      start, end: where the field is in the file, with its tag and length.
      body: where its content starts.
      name, op: the node's; empty for another field, such as the functions.
      has_inputs: whether the node has inputs.
      is_described: whether the node carries the file's description.
      value: the value of a Const, if its bytes stand in one piece.
    """

    start: int
    end: int
    body: int
    name: str = ""
    op: str = ""
    has_inputs: bool = False
    is_described: bool = False
    value: Optional[Value] = None


def graph_in(data: Any) -> Tuple[int, int, bytes]:
    """Return where the GraphDef is in a file, and what else is in the file.

    A SavedModel has a GraphDef in its only MetaGraphDef, whose other fields are returned. Another
    file is a GraphDef as a whole.

    Args:
      data: the file's bytes, or a memoryview of them.

    Raises:
      ValueError: the SavedModel has several graphs, or none.
    """
    if bytes(data[:1]) != _SCHEMA_VERSION:  # a GraphDef has no such field
        return 0, len(data), b""
    metas = [f for f in _fields(data, 0, len(data)) if f[0] == _META_GRAPH and f[1] == _BYTES]
    if len(metas) != 1:
        raise ValueError(f"the SavedModel has {len(metas)} graphs, and not one")
    graph, around, at = None, b"", metas[0][2]
    for field, kind, start, end in _fields(data, *metas[0][2:]):
        if field == _GRAPH_DEF and kind == _BYTES and graph is None:
            graph = start, end
        else:
            around += bytes(data[at:end])
        at = end
    if graph is None:
        raise ValueError("the SavedModel has no graph")
    return (*graph, around)


def parts_of(data: Any, place: int, stop: int) -> Iterator[Part]:
    """Yield the fields of a GraphDef in the order of the file.

    Args:
      data: the file's bytes, or a memoryview of them.
      place, stop: where the GraphDef is.

    Raises:
      ValueError: the bytes are no protocol buffer message.
    """
    for field, kind, start, end in _fields(data, place, stop):
        if field == _GRAPH_NODE and kind == _BYTES:
            yield _node(data, place, start, end)
        else:
            yield Part(place, end, start)
        place = end


def varint(data: Any, at: int) -> Tuple[int, int]:
    """Return a number in base 128 (least significant group first), and where it ends.

    Raises:
      ValueError: it has more than 64 bits, or the data ends in it.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        group = data[at]
        at += 1
        value |= (group & 0x7F) << shift
        if group < 0x80:
            return value, at
    raise ValueError(f"no number ends before byte {at}")


def field_at(data: Any, at: int) -> Tuple[int, int]:
    """Return where the content of the field at a place is; the field must have a length.

    Raises:
      ValueError: it has none, or the data ends before it.
    """
    for _, kind, start, end in _fields(data, at, len(data)):
        if kind == _BYTES:
            return start, end
        break
    raise ValueError(f"no field with a length is at byte {at}")


def _fields(data: Any, at: int, end: int) -> Iterator[Tuple[int, int, int, int]]:
    """Yield (field number, wire type, start, end of its content) of each field of a message."""
    while at < end:
        tag, at = varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length, at = varint(data, at)
        elif kind == _VARINT:
            length = varint(data, at)[1] - at
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} before byte {at}")
        if at + length > end:
            raise ValueError(f"the field at byte {at} is longer than its message")
        yield field, kind, at, at + length
        at += length


def _node(data: Any, place: int, start: int, end: int) -> Part:
    name = op = b""
    inputs = described = False
    values = []
    for field, _, a, b in _fields(data, start, end):
        if field == _NODE_NAME:
            name = bytes(data[a:b])
        elif field == _NODE_OP:
            op = bytes(data[a:b])
        elif field == _NODE_INPUT:
            inputs = True
        elif field == _NODE_ATTR:
            key, at = _entry(data, a, b)
            described |= key == _DESCRIPTION
            if key == b"value":
                values.append((at, b))
    value = _value(data, *values[0]) if op == b"Const" and len(values) == 1 else None
    told = name.decode("utf-8", "replace"), op.decode("utf-8", "replace")
    return Part(place, end, start, *told, inputs, described, value)


def _entry(data: Any, at: int, end: int) -> Tuple[bytes, int]:
    """Return the key of an entry of a map, if it comes first, and where its value begins."""
    for field, kind, a, b in _fields(data, at, end):
        if field == _KEY and kind == _BYTES:
            return bytes(data[a:b]), b
        break
    return b"", end


def _value(data: Any, at: int, end: int) -> Optional[Value]:
    """Return the value in the rest of an entry: an AttrValue with a tensor and nothing else."""
    inner = _only(data, at, end, _VALUE)
    tensor = inner and _only(data, *inner, _ATTR_TENSOR)
    if not tensor:
        return None
    fields = list(_fields(data, *tensor))
    if [i for i, field in enumerate(fields) if field[0] == _CONTENT] != [len(fields) - 1]:
        return None
    before = fields[-2][3] if len(fields) > 1 else tensor[0]
    start, end = fields[-1][2:]
    try:
        head = TensorProto.FromString(bytes(data[tensor[0] : before]))
    except DecodeError as error:
        raise ValueError(str(error)) from None
    if head.tensor_shape.unknown_rank:
        return None
    return Value(head.dtype, tuple(dim.size for dim in head.tensor_shape.dim), start, end)


def _only(data: Any, at: int, end: int, number: int) -> Optional[Tuple[int, int]]:
    """Return where the content of a message's only field is, if it has this number."""
    found = list(_fields(data, at, end))
    if len(found) == 1 and found[0][0] == number and found[0][1] == _BYTES:
        return found[0][2:]
    return None
