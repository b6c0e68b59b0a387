"""Reads a TF.js model by itself, and runs its graph with its weights as feeds.

It imports nothing of what writes such models, since that is what a proof checks. Sources:
tfjs-core/src/io/io_utils.ts (decodeWeights) and tfjs-converter/src/data/compiled_api.ts in
github.com/tensorflow/tfjs.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Dict, Mapping, Tuple

import numpy as np
import tensorflow as tf
import xxhash
from google.protobuf import json_format

from .._protos import GraphDef, MetaGraphDef
from ..storage.filesystem import filesystem_of, read
from .fed_graph import FedGraph
from .layout import Content

MAIN = "model.json"
_FED = 1 << 10  # bytes: a larger weight is fed
_FLOATING = ("float32", "complex64")


@dataclasses.dataclass(frozen=True)
class ReadModel:
    """What was read of a TF.js model.

    Attributes:
      digest: xxh3_64 of `model.json`, in hexadecimal.
      length: the number of its bytes.
      graph_def: the graph, in which the Consts that are fed lack their values.
      values: {Const: array} of those that are fed.
      same: a text that is equal for models with the same graph_def.
      around: a serialized MetaGraphDef with the signature.
    """

    digest: str
    length: int
    graph_def: Any
    values: Mapping[str, Any]
    same: str
    around: bytes

    @property
    def content(self) -> Content:
        """What a proof needs of a file; the description is somewhere in all of `model.json`."""
        return Content(self.digest, self.values, 0, self.length, xxhash.xxh3_64(), self.around)

    def graph(self) -> FedGraph:
        """Return the graph, to be fed with `values`."""
        rest = GraphDef(versions=self.graph_def.versions)
        rest.node.extend(node for node in self.graph_def.node if node.name not in self.values)
        fed = {n: (tf.as_dtype(v.dtype).as_datatype_enum, v.shape) for n, v in self.values.items()}
        return FedGraph(rest, fed)

    def whole(self) -> bytes:
        """Return the serialized GraphDef with all values."""
        graph_def = GraphDef()
        graph_def.CopyFrom(self.graph_def)
        for node in graph_def.node:
            if node.name in self.values:
                _put(node, self.values[node.name])
        return bytes(graph_def.SerializeToString())


def read_model(path: str) -> ReadModel:
    """Read a TF.js model, given the path of its `model.json`.

    Raises:
      ValueError: it is broken.
      OSError: a file cannot be read.
    """
    data = read(path)
    model = json.loads(data.decode())
    try:
        graph_def = json_format.ParseDict(model["modelTopology"], GraphDef())
        meta = MetaGraphDef()
        json_format.ParseDict(model["signature"], meta.signature_def["serving_default"])
        weights = _weights(os.path.dirname(path), model["weightsManifest"])
        values = _separated(graph_def, weights)
    except (json_format.ParseError, LookupError, TypeError) as error:
        raise ValueError(f"{MAIN} is broken: {error!r}") from None
    kinds = sorted((name, str(v.dtype), v.shape) for name, v in values.items())
    same = xxhash.xxh3_64(graph_def.SerializeToString(deterministic=True)).hexdigest()
    digest = str(xxhash.xxh3_64(data).hexdigest())
    around = meta.SerializeToString()
    return ReadModel(digest, len(data), graph_def, values, f"{same} {kinds}", around)


def _weights(directory: str, manifest: Any) -> Dict[str, Any]:
    """Return {name: array} of all weights."""
    found: Dict[str, Any] = {}
    files = filesystem_of(directory)
    for group in manifest:
        data = b"".join(read(files.join(directory, name)) for name in group["paths"])
        place = 0
        for entry in group["weights"]:
            array, place = _next(data, place, entry)
            found[entry["name"]] = array
        if place != len(data):
            raise ValueError(f"its shards have {len(data)} bytes, and its weights {place}")
    return found


def _next(data: bytes, place: int, entry: Mapping[str, Any]) -> Tuple[Any, int]:
    """Return a weight, and where the next one begins."""
    quantization = entry.get("quantization")
    dtype = np.dtype(quantization["dtype"] if quantization else entry["dtype"])
    count = int(np.prod(entry["shape"], dtype=np.int64))
    if place + count * dtype.itemsize > len(data):
        raise ValueError(f"its shards end before the weight {entry['name']!r}")
    array = np.frombuffer(data, dtype, count, place).reshape(entry["shape"])
    if quantization:
        array = array.astype(quantization["original_dtype"])
    return array, place + count * dtype.itemsize


def _separated(graph_def: Any, weights: Mapping[str, Any]) -> Dict[str, Any]:
    """Put small weights into the graph; return the others."""
    values: Dict[str, Any] = {}
    for node in graph_def.node:
        if node.op != "Const":
            continue
        dtype = tf.as_dtype(node.attr["dtype"].type)
        array = weights[node.name].astype(dtype.as_numpy_dtype)
        varies = bool(array.shape) and weights[node.name].dtype.name in _FLOATING
        if array.size and not node.input and (array.nbytes >= _FED or varies):
            values[node.name] = array
        else:
            _put(node, array)
    return values


def _put(node: Any, array: Any) -> None:
    node.attr["value"].tensor.CopyFrom(
        tf.make_tensor_proto(array, node.attr["dtype"].type, array.shape)
    )
