"""The message around the graph of a SavedModel: its signature, and how variables are restored.

`saved_model.pb` is a SavedModel message with one MetaGraphDef, whose last field is the GraphDef.
Sources: saved_model.proto, meta_graph.proto.
"""

from __future__ import annotations

from typing import Any, Optional

from ... import _tf
from ..._protos import MetaGraphDef, SaverDef, SignatureDef, VariableDef, dtype_enum
from ...graph.passes.restored_variables import Restoring
from ...signature import Signature
from .. import wire
from ..frozen_saved_model import SERVING

_SCHEMA, _META_GRAPH, _GRAPH = b"\x08\x01", 2, 2  # saved_model_schema_version = 1; field numbers
TAG = "serve"
_LENGTH = 5  # bytes of each length, so that it can be corrected
_METHOD = "tensorflow/serving/predict"


def wrapper(about: bytes, length: int) -> bytes:
    """Return what stands before a GraphDef of this length."""
    graph = wire.tag(_GRAPH) + _fixed(length)
    inner = len(about) + len(graph) + length
    return _SCHEMA + wire.tag(_META_GRAPH) + _fixed(inner) + about + graph


def _fixed(number: int) -> bytes:
    """Encode a length in base 128 in a fixed number of bytes, which parsers read as any other."""
    groups = [number >> 7 * i & 0x7F for i in range(_LENGTH)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def about_graph(signature: Signature, restoring: Optional[Restoring]) -> bytes:
    """Return the MetaGraphDef without its graph."""
    meta = MetaGraphDef()
    meta.meta_info_def.tags.append(TAG)
    meta.meta_info_def.tensorflow_version = _tf.VERSION
    meta.meta_info_def.stripped_default_attrs = True
    meta.signature_def[SERVING].CopyFrom(signature_def(signature))
    if restoring is not None:
        _add_saver(meta, restoring)
    return bytes(meta.SerializeToString(deterministic=True))


def signature_def(signature: Signature) -> Any:
    """Return a signature as a SignatureDef."""
    ends = SignatureDef(method_name=_METHOD)
    for found, infos in ((ends.inputs, signature.inputs), (ends.outputs, signature.outputs)):
        for info in infos:
            end = found[info.name]
            end.name, end.dtype = info.tensor, dtype_enum(info.dtype)
            end.tensor_shape.unknown_rank = info.shape is None
            for size in info.shape or ():
                end.tensor_shape.dim.add(size=-1 if size is None else size)
    return ends


def _add_saver(meta: Any, restoring: Restoring) -> None:
    """Say how the variables are restored, and list them for loaders of TensorFlow 2."""
    saver = meta.saver_def
    saver.filename_tensor_name = restoring.filename
    saver.restore_op_name = restoring.restore
    saver.save_tensor_name = restoring.save
    saver.version = SaverDef.V2
    for variable in restoring.variables:
        proto = VariableDef(
            variable_name=variable.handle + ":0",
            initializer_name=variable.assign,
            snapshot_name=variable.read + ":0",
            is_resource=True,
        )
        listed = meta.collection_def["variables"].bytes_list
        listed.value.append(proto.SerializeToString(deterministic=True))
