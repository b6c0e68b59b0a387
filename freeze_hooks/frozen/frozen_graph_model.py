"""Reads TF.js graph models back as GraphDefs: those that freeze_hooks writes, and others."""

from __future__ import annotations

import json
import os
from typing import Any, Iterator, List, Mapping, Tuple

import numpy as np
from google.protobuf import json_format

from .._protos import GraphDef, dtype_name, numpy_dtype
from ..errors import InvalidFileError, named, refused
from ..graph.names import split
from ..graph.tfjs import STORED
from ..graph.validate import refuse_broken
from ..plan.types import LIMIT
from ..storage.file_kinds import MODEL_JSON
from ..storage.filesystem import filesystem_of, read
from ..storage.listing import exists, is_directory
from .wire import DESCRIPTION

METADATA = "freeze_hooks"  # the key of the description in userDefinedMetadata
_STORED = frozenset(STORED.values())


def is_graph_model(path: str) -> bool:
    """Return whether a path is a TF.js model's directory."""
    return is_directory(path) and exists(os.path.join(path, MODEL_JSON))


def read_graph_model(directory: str) -> Any:
    """Return the GraphDef of a TF.js model, with its weights as constants.

    Raises:
      InvalidFileError: a file is truncated or broken, or the weights pass 2 GiB.
      OSError: a file cannot be read.
    """
    path = os.path.join(directory, MODEL_JSON)
    with named(directory, directory), refused(path, json_format.ParseError):
        model = json.loads(read(path).decode())
        if model.get("format") != "graph-model":
            raise InvalidFileError(
                f"{path} is a {model.get('format')!r}, and only TF.js graph models are read"
            )
        graph_def = json_format.ParseDict(model["modelTopology"], GraphDef())
        weights = dict(_weights(directory, model["weightsManifest"]))
        _fill(graph_def, weights)
        _describe(graph_def, (model.get("userDefinedMetadata") or {}).get(METADATA))
        refuse_broken(graph_def)
    return graph_def


def _fill(graph_def: Any, weights: Mapping[str, Any]) -> None:
    for node in graph_def.node:
        if node.op == "Switch":  # as in a `.pb`: TensorFlow's optimizer must not merge two
            node.attr["_switch"].s = node.name.encode()
        if node.op != "Const":
            continue
        if node.name not in weights:
            raise InvalidFileError(f"node {node.name!r} has no weight")
        dtype, array = node.attr["dtype"].type, weights[node.name]
        if STORED.get(dtype_name(dtype)) != str(array.dtype):
            raise InvalidFileError(f"node {node.name!r} and its weight differ in their dtypes")
        tensor = node.attr["value"].tensor
        tensor.Clear()
        tensor.dtype = dtype
        tensor.tensor_shape.SetInParent()
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = array.astype(numpy_dtype(dtype)).tobytes()


def _describe(graph_def: Any, description: Any) -> None:
    """Put the description where a `.pb` has it: into the node of the first output."""
    if not description:
        return
    first = split(description["signature"]["outputs"][0]["tensor"])[0]
    for node in graph_def.node:
        if node.name == first:
            node.attr[DESCRIPTION].s = json.dumps(description, sort_keys=True).encode()
            return
    raise InvalidFileError(f"its description names {first!r}, which is not in the graph")


def _weights(directory: str, manifest: Any) -> Iterator[Tuple[str, Any]]:
    """Yield (name, array) of each weight."""
    for group in manifest:
        data = _joined(directory, group["paths"])
        place = 0
        for entry in group["weights"]:
            dtype, shape = _kind(entry)
            size = int(dtype.itemsize)
            for dimension in shape:  # in Python's numbers, which do not overflow
                size *= dimension
            end = place + size
            if end > len(data):
                raise InvalidFileError(
                    f"{directory} is truncated: weight {entry['name']!r} ends at byte {end:,} of "
                    f"{len(data):,}"
                )
            found = np.frombuffer(data[place:end], dtype).reshape(shape)
            yield entry["name"], found.astype(np.float32) if dtype == np.float16 else found
            place = end
        if place != len(data):
            raise InvalidFileError(
                f"{directory} has {len(data):,} bytes of weights, but its weights have {place:,}"
            )


def _joined(directory: str, names: List[str]) -> memoryview:
    """Return the content of files of a directory, one after the other."""
    files = filesystem_of(directory)
    for name in names:
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise InvalidFileError(f"{name!r} is not a file's name in {directory}")
    paths = [files.join(directory, name) for name in names]
    size = sum(map(files.size, paths))
    if size > LIMIT:
        raise InvalidFileError(
            f"{directory} has weights of {size / 1e9:.2f} GB, which pass the 2.15 GB (2 GiB) of "
            "one graph"
        )
    return memoryview(b"".join(map(read, paths)))


def _kind(entry: Mapping[str, Any]) -> Tuple[Any, Tuple[int, ...]]:
    """Return the NumPy dtype and the shape of a weight in the shards."""
    name, quantization = entry["dtype"], entry.get("quantization") or {}
    shape = tuple(entry["shape"])
    if not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidFileError(f"weight {entry['name']!r} has the shape {list(shape)}")
    if quantization and (quantization.get("dtype"), name) != ("float16", "float32"):
        raise InvalidFileError(
            f"weight {entry['name']!r} is quantized to {quantization.get('dtype')!r}: only float16 "
            "is read"
        )
    if name not in _STORED:
        raise InvalidFileError(f"weight {entry['name']!r} has the dtype {name!r}")
    return np.dtype("float16" if quantization else name), shape
