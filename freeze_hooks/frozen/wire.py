"""The protocol buffer wire format of a GraphDef, written piece by piece.

A GraphDef is a sequence of fields. The last field of a Const node can be its tensor's
`tensor_content`. So a whole node is a short header, followed by the variable's own memory.
Sources: protobuf.dev/programming-guides/encoding, graph.proto, node_def.proto, tensor.proto.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Sequence

NODE = 1  # GraphDef.node
_VERSIONS = 4  # GraphDef.versions
_NODE_ATTR = 5  # NodeDef.attr, a map: entries of key = 1, value = 2
_ATTR_STRING = 2  # AttrValue.s
_ATTR_TENSOR = 8  # AttrValue.tensor
_TENSOR_DTYPE, _TENSOR_SHAPE, _TENSOR_CONTENT, _TENSOR_STRINGS = 1, 2, 4, 8
_SHAPE_DIM, _DIM_SIZE = 2, 1
DESCRIPTION = "_freeze_hooks"
ASSETS = "_freeze_hooks_assets"


_SHORT = [bytes([number]) for number in range(0x80)]


def varint(number: int) -> bytes:
    """Encode a number >= 0 in base 128, least significant group first."""
    if number < 0x80:
        return _SHORT[number]
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def tag(field_number: int) -> bytes:
    """Return the first bytes of a length-delimited field."""
    return varint(field_number << 3 | 2)


def prefix(field_number: int, length: int) -> bytes:
    """Return the bytes before the content of a length-delimited field."""
    return tag(field_number) + varint(length)


def field(field_number: int, data: bytes) -> bytes:
    """Return a whole length-delimited field."""
    return prefix(field_number, len(data)) + data


START = field(_VERSIONS, b"")
"""The first bytes of each file: an empty `versions` field, which changes nothing.

The real `versions` are at the end. A file with START but without `versions` is cut short. Files of
other programs may have no `versions`.
"""


_PADDING = 15  # a field that GraphDef does not have, so that all parsers skip it
_ALIGNED = 64  # bytes


def padding(place: int) -> bytes:
    """Return a field to write before a node, so that what begins at `place` is aligned then.

    TensorFlow shares the memory of an array that begins at a multiple of 64 bytes; it copies others
    (EIGEN_MAX_ALIGN_BYTES). So a value that begins there can be used from the mapped file.
    """
    lacking = -place % _ALIGNED
    if not lacking:
        return b""
    return field(_PADDING, bytes((lacking - 2) % _ALIGNED))


def _number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value)


def _enclose(inner: bytes, more: int, *field_numbers: int) -> bytes:
    """Put `inner`, and `more` bytes that will follow it, into nested fields (innermost first)."""
    for number in field_numbers:
        inner = prefix(number, len(inner) + more) + inner
    return inner


def _tensor(dtype: int, shape: Sequence[int]) -> bytes:
    dims = b"".join(field(_SHAPE_DIM, _number(_DIM_SIZE, size)) for size in shape)
    return _number(_TENSOR_DTYPE, dtype) + field(_TENSOR_SHAPE, dims)


def const_header(node: bytes, dtype: int, shape: Sequence[int], length: int) -> bytes:
    """Return a Const's field in a GraphDef, except the `length` bytes of its value, which follow.

    Args:
      node: the serialized NodeDef without its "value" attribute.
      dtype: a DataType number; not DT_STRING.
      shape: the value's dimensions.
      length: the number of the value's bytes, which are row-major and little-endian.
    """
    return _const(node, _tensor(dtype, shape) + prefix(_TENSOR_CONTENT, length), length)


def string_const(node: bytes, dtype: int, shape: Sequence[int], values: Iterable[bytes]) -> bytes:
    """Return a string Const's whole field in a GraphDef."""
    strings = b"".join(field(_TENSOR_STRINGS, value) for value in values)
    return _const(node, _tensor(dtype, shape) + strings, 0)


def _const(node: bytes, tensor: bytes, more: int) -> bytes:
    value = _enclose(tensor, more, _ATTR_TENSOR, 2)
    attr = _enclose(field(1, b"value") + value, more, _NODE_ATTR)
    return _enclose(node + attr, more, NODE)


def described(node: bytes, description: Any, assets: int = 0) -> bytes:
    """Return a node's field in a GraphDef, with a JSON description in `_freeze_hooks`.

    The last `assets` bytes are left out, and follow: those in `_freeze_hooks_assets`, if any.
    """
    text = json.dumps(description, sort_keys=True, allow_nan=False).encode()
    entry = field(1, DESCRIPTION.encode()) + field(2, field(_ATTR_STRING, text))
    whole = node + field(_NODE_ATTR, entry)
    if assets:
        value = _enclose(prefix(_ATTR_STRING, assets), assets, 2)
        whole += _enclose(field(1, ASSETS.encode()) + value, assets, _NODE_ATTR)
    return _enclose(whole, assets, NODE)
