"""Writes a SavedModel: the frozen graph in a wrapper that names its inputs and outputs.

`saved_model.pb` is a SavedModel message with one MetaGraphDef. Its last field is the GraphDef,
whose bytes are those of a `.pb` file. Sources: saved_model.proto, meta_graph.proto.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from typing import Any, Dict, Iterator, Optional, Tuple

from ... import _tf
from ..._protos import MetaGraphDef, dtype_enum
from ...errors import TooLargeError
from ...plan.types import LIMIT, FreezePlan
from ...proof.file_runs import digest_of
from ...proof.proof import Proof
from ...signature import Signature
from ...storage.directories import Directory, publishing_directory
from ...storage.file_kinds import ABOUT, MODEL
from ...storage.filesystem import filesystem_of
from ...storage.sink import Written
from ...values.value import Value
from .. import stream, wire
from ..description import completed

_SCHEMA, _META_GRAPH, _GRAPH = b"\x08\x01", 2, 2  # saved_model_schema_version = 1; field numbers
SERVING, TAG = "serving_default", "serve"
_LENGTH = 5  # bytes of each length, so that it can be corrected
_METHOD = "tensorflow/serving/predict"


def publish(
    plan: FreezePlan,
    values: Iterator[Value],
    path: str,
    description: Dict[str, Any],
    proof: Optional[Proof],
    beside: bool = True,
) -> Tuple[Written, Optional[OSError]]:
    """Publish a plan with these values as a SavedModel; the arguments are those of `pb.publish`.

    `beside` is not used: the description is in the directory.
    """
    if stream.length(plan, description, 0) is None and not filesystem_of(path).rewrites:
        with tempfile.TemporaryDirectory() as here:
            local = os.path.join(here, "model")
            found = publish(plan, values, local, description, proof)
            with publishing_directory(path) as directory:
                for name in (MODEL, ABOUT):
                    directory.copy(os.path.join(local, name), name)
            return found
    with publishing_directory(path) as directory:
        written = _write_model(plan, values, description, proof, directory)
        about = completed(description, written.hash, proof)
        about["files"] = {MODEL: {"bytes": written.bytes, "hash": about.pop("hash")}}
        with directory.file(ABOUT) as file:
            file.write((json.dumps(about, indent=1, allow_nan=False) + "\n").encode())
    return Written(written.bytes + file.bytes, written.hash), None


def _write_model(
    plan: FreezePlan,
    values: Iterator[Value],
    description: Dict[str, Any],
    proof: Optional[Proof],
    directory: Directory,
) -> Written:
    about = _about(plan.signature)
    before = len(_wrapper(about, 0))
    expected = stream.length(plan, description, before)
    size = plan.graph_bytes + plan.weight_bytes
    finish = functools.partial(_finished, about, expected, proof)
    check = finish if proof is not None or expected is None else None
    with directory.file(MODEL, before + (expected or size), check) as file:
        file.write(_wrapper(about, expected or 0))
        stream.write(plan, values, description, file)
        if file.bytes > LIMIT:
            raise TooLargeError(f"{directory.path} would pass 2 GiB and could not be read")
    return file.written


def _finished(
    about: bytes, expected: Optional[int], proof: Optional[Proof], path: str, digest: str
) -> Optional[str]:
    """Correct the lengths in a complete file, if they were not known before, and prove the file."""
    corrected = None
    if expected is None:
        length = os.path.getsize(path) - len(_wrapper(about, 0))
        with open(path, "r+b") as file:
            file.write(_wrapper(about, length))
        corrected = digest_of(path)
    changed = None if proof is None else proof.check(path, corrected or digest)
    return changed or corrected


def _wrapper(about: bytes, length: int) -> bytes:
    """Return what stands before a GraphDef of this length."""
    graph = wire.tag(_GRAPH) + _fixed(length)
    inner = len(about) + len(graph) + length
    return _SCHEMA + wire.tag(_META_GRAPH) + _fixed(inner) + about + graph


def _fixed(number: int) -> bytes:
    """Encode a length in base 128 in a fixed number of bytes, which parsers read as any other."""
    groups = [number >> 7 * i & 0x7F for i in range(_LENGTH)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _about(signature: Signature) -> bytes:
    """Return the MetaGraphDef without its graph."""
    meta = MetaGraphDef()
    meta.meta_info_def.tags.append(TAG)
    meta.meta_info_def.tensorflow_version = _tf.VERSION
    meta.meta_info_def.stripped_default_attrs = True
    ends = meta.signature_def[SERVING]
    ends.method_name = _METHOD
    for found, infos in ((ends.inputs, signature.inputs), (ends.outputs, signature.outputs)):
        for info in infos:
            end = found[info.name]
            end.name, end.dtype = info.tensor, dtype_enum(info.dtype)
            end.tensor_shape.unknown_rank = info.shape is None
            for size in info.shape or ():
                end.tensor_shape.dim.add(size=-1 if size is None else size)
    return bytes(meta.SerializeToString(deterministic=True))
