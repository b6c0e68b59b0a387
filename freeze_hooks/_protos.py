"""TensorFlow's protobuf messages and dtypes, which are enough to look at a graph.

This module needs only TensorFlow's protobuf modules. But Python imports the whole package before
them, unless they are loaded already (see `cli.quick_start`).
"""

from __future__ import annotations

import warnings
from typing import Any, Dict, Optional, Tuple

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.core.framework import (
    attr_value_pb2,
    function_pb2,
    graph_pb2,
    node_def_pb2,
    op_def_pb2,
    tensor_pb2,
    types_pb2,
    variable_pb2,
)
from tensorflow.core.protobuf import (
    config_pb2,
    meta_graph_pb2,
    saved_model_pb2,
    saver_pb2,
    tensor_bundle_pb2,
    trackable_object_graph_pb2,
)

AssetFileDef = meta_graph_pb2.AssetFileDef
AttrValue = attr_value_pb2.AttrValue
CallableOptions = config_pb2.CallableOptions
BundleEntry = tensor_bundle_pb2.BundleEntryProto
BundleHeader = tensor_bundle_pb2.BundleHeaderProto
FunctionDef = function_pb2.FunctionDef
GraphDef = graph_pb2.GraphDef
MetaGraphDef = meta_graph_pb2.MetaGraphDef
NodeDef = node_def_pb2.NodeDef
OpDef = op_def_pb2.OpDef
SavedModel = saved_model_pb2.SavedModel
TensorProto = tensor_pb2.TensorProto
SaverDef = saver_pb2.SaverDef
SignatureDef = meta_graph_pb2.SignatureDef
VariableDef = variable_pb2.VariableDef
TrackableObjectGraph = trackable_object_graph_pb2.TrackableObjectGraph

DT_FLOAT: int = types_pb2.DT_FLOAT
DT_BOOL: int = types_pb2.DT_BOOL
DT_INT32: int = types_pb2.DT_INT32
DT_INT64: int = types_pb2.DT_INT64
DT_STRING: int = types_pb2.DT_STRING
DT_RESOURCE: int = types_pb2.DT_RESOURCE
DT_VARIANT: int = types_pb2.DT_VARIANT
DATA_TYPES = frozenset(types_pb2.DataType.values()) - {types_pb2.DT_INVALID}  # references too
MOST_DIMS = 254  # of TensorFlow's TensorShape
REFERENCES = 100  # DT_FLOAT_REF is this much above DT_FLOAT, and so on

# NumPy's element types under TensorFlow's names, and the field of a TensorProto for each
_PLAIN: Dict[str, str] = {
    "float32": "float_val",
    "float64": "double_val",
    "int32": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "complex64": "scomplex_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "uint16": "int_val",
    "complex128": "dcomplex_val",
    "float16": "half_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
# {number: (name, bytes of an element in a tensor's buffer)}; old TensorFlow versions lack some
_ELEMENTS: Dict[int, Tuple[str, int]] = {
    1: ("float32", 4),
    2: ("float64", 8),
    3: ("int32", 4),
    4: ("uint8", 1),
    5: ("int16", 2),
    6: ("int8", 1),
    7: ("string", 8),
    8: ("complex64", 8),
    9: ("int64", 8),
    10: ("bool", 1),
    11: ("qint8", 1),
    12: ("quint8", 1),
    13: ("qint32", 4),
    14: ("bfloat16", 2),
    15: ("qint16", 2),
    16: ("quint16", 2),
    17: ("uint16", 2),
    18: ("complex128", 16),
    19: ("float16", 2),
    20: ("resource", 8),
    21: ("variant", 8),
    22: ("uint32", 4),
    23: ("uint64", 8),
    24: ("float8_e5m2", 1),
    25: ("float8_e4m3fn", 1),
    26: ("float8_e4m3fnuz", 1),
    27: ("float8_e4m3b11fnuz", 1),
    28: ("float8_e5m2fnuz", 1),
    29: ("int4", 1),
    30: ("uint4", 1),
    31: ("int2", 1),
    32: ("uint2", 1),
    33: ("float4_e2m1fn", 1),
}
_NUMBERS: Dict[str, int] = {name: n for n, (name, _) in _ELEMENTS.items() if n in DATA_TYPES}


def parse(message: Any, data: bytes) -> Any:
    """Merge bytes into a message, and check that all were read; an old protobuf may stop early.

    Raises:
      DecodeError: the bytes are not such a message.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.filterwarnings("always", "Unexpected end-group tag", RuntimeWarning)
        read = message.MergeFromString(data)
    # a stop at the very end is an error too: TensorFlow's own reader crashes on it
    if read < len(data) or any("end-group" in str(warning.message) for warning in said):
        raise DecodeError(f"not all of it is a {type(message).__name__}")
    return message


def _element(enum: int) -> Tuple[str, int]:
    if enum not in DATA_TYPES:  # in this TensorFlow version
        raise TypeError(f"no element type has the number {enum}")
    return _ELEMENTS[enum % REFERENCES]


def dtype_name(enum: int) -> str:
    """Return "float32" for DT_FLOAT; "unknown(200)" for a number that TensorFlow lacks."""
    try:
        return _element(enum)[0]
    except (TypeError, LookupError):
        return f"unknown({enum})"


def dtype_enum(name: str) -> int:
    """Return the DataType number of a dtype's name."""
    return _NUMBERS[name]


def itemsize(enum: int) -> int:
    """Return the number of bytes of an element in a tensor's buffer."""
    return _element(enum)[1]


def numpy_dtype(enum: int) -> Any:
    """Return the NumPy dtype that TensorFlow uses for a DataType number."""
    name, _ = _element(enum)
    if name in _PLAIN:
        return np.dtype(name).type
    import tensorflow as tf  # it defines bfloat16 and others

    return tf.as_dtype(enum).as_numpy_dtype


def to_array(tensor: Any) -> Any:
    """Return the array in a TensorProto."""
    kind, _ = _element(tensor.dtype)
    if kind not in _PLAIN:
        import tensorflow as tf

        return tf.make_ndarray(tensor)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, kind).reshape(shape).copy()
    given = _given(tensor, kind)
    count = int(np.prod(shape, dtype=np.int64))
    if not given.size:
        return np.zeros(shape, kind)
    if given.size < count:  # the last one is repeated
        given = np.pad(given, (0, count - given.size), "edge")
    return given.reshape(shape)


def _given(tensor: Any, kind: str) -> Any:
    """Return the elements that a TensorProto lists."""
    numbers = getattr(tensor, _PLAIN[kind])
    if kind == "float16":  # its bits
        return np.fromiter(numbers, np.uint16).view(kind)
    if kind.startswith("complex"):  # in pairs
        pairs = iter(numbers)
        return np.array([complex(real, imag) for real, imag in zip(pairs, pairs)], kind)
    return np.fromiter(numbers, kind)


def to_tensor(value: Any, dtype: Optional[int] = None) -> Any:
    """Return a value as a TensorProto; without `dtype`, the value's own dtype.

    Raises:
      TypeError, ValueError: the value does not fit the dtype.
    """
    import tensorflow as tf

    return tf.make_tensor_proto(value, dtype=dtype)
