"""The warm-up requests that TensorFlow Serving sends to a model before it serves it.

The file is a TFRecord of PredictionLogs. Their messages come with another package, so the few
fields are written here. Sources: prediction_log.proto, predict.proto and model.proto of TensorFlow
Serving; tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
from typing import Any, Mapping

import google_crc32c

from ..._protos import to_tensor
from ...values.bundle import masked
from ..wire import field

REQUESTS = "assets.extra/tf_serving_warmup_requests"
_LOG_PREDICT, _PREDICT_REQUEST = 6, 1  # PredictionLog.predict_log, PredictLog.request
_SPEC, _INPUTS = 1, 2  # of a PredictRequest
_SPEC_SIGNATURE = 3  # ModelSpec.signature_name


def requests(feeds: Mapping[str, Any], signature: str) -> bytes:
    """Return the file's content: one request for a signature of the model."""
    inputs = b"".join(
        field(_INPUTS, field(1, name.encode()) + field(2, to_tensor(array).SerializeToString()))
        for name, array in feeds.items()
    )
    request = field(_SPEC, field(_SPEC_SIGNATURE, signature.encode())) + inputs
    return _record(field(_LOG_PREDICT, field(_PREDICT_REQUEST, request)))


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked(google_crc32c.value(data)))
