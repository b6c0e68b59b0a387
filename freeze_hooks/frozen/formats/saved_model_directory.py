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

from xxhash import xxh3_64

from ... import _tf
from ..._protos import MetaGraphDef, SaverDef, VariableDef, dtype_enum
from ...errors import TooLargeError
from ...graph.passes.restored_variables import Restoring
from ...plan.formats import SavedModel
from ...plan.types import LIMIT, FreezePlan
from ...proof.file_runs import digest_of
from ...proof.proof import Proof
from ...signature import Signature
from ...storage.directories import Directory, copy_directory, publishing_directory
from ...storage.file_kinds import ABOUT, MODEL
from ...storage.filesystem import filesystem_of, pieces
from ...storage.sink import Written
from ...values.bundle_writer import DATA, INDEX, BundleWriter
from ...values.linked import LinkedValues, file_endings
from ...values.value import Value
from .. import stream, wire
from ..description import completed
from ..frozen_saved_model import SERVING
from ..reader import description as described_in
from .warmup_requests import REQUESTS, requests

_SCHEMA, _META_GRAPH, _GRAPH = b"\x08\x01", 2, 2  # saved_model_schema_version = 1; field numbers
TAG = "serve"
_LENGTH = 5  # bytes of each length, so that it can be corrected
_VARIABLES = "variables/"
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
    if not filesystem_of(path).rewrites and stream.layout(plan, description, 0) is None:
        with tempfile.TemporaryDirectory() as here:
            local = os.path.join(here, "model")
            found = publish(plan, values, local, description, proof)
            copy_directory(local, path)
            return found
    with publishing_directory(path) as directory:
        files = _write_files(plan, values, description, proof, directory)
        warmup = plan.format.warmup if isinstance(plan.format, SavedModel) else None
        if warmup is not None:
            with directory.file(REQUESTS) as asked:
                asked.write(requests(warmup, SERVING))
            files[REQUESTS] = asked.written
        difference = None if proof is None else proof.difference
        about = completed(description, files[MODEL].hash, difference)
        del about["hash"]
        about["files"] = {name: _told(written) for name, written in files.items()}
        noted = _write_json(about, directory)
    hashes = [written.hash for written in files.values() if written.hash]
    whole = hashes[0] if len(hashes) == 1 else str(xxh3_64("".join(hashes).encode()).hexdigest())
    return Written(sum(w.bytes for w in files.values()) + noted, whole), None


def wrap(source: str, path: str, signature: Signature) -> None:
    """Publish a frozen file's bytes as a SavedModel with this signature.

    Raises:
      OSError: from the file system; what was at `path` stays.
    """
    about, size = _about(signature, None), filesystem_of(source).size(source)
    about += wire.padding(len(_wrapper(about, size)))  # the file's large values stay aligned
    with publishing_directory(path) as directory:
        with directory.file(MODEL, size) as file:
            file.write(_wrapper(about, size))
            for piece in pieces(source):
                file.write(piece)
        whole = {"bytes": file.written.bytes, "hash": _hash_of(file.written)}
        _write_json({**described_in(source), "files": {MODEL: whole}}, directory)


def _told(written: Written) -> Dict[str, Any]:
    """Describe a file; the index of variables has the checksums of linked files."""
    about: Dict[str, Any] = {"bytes": written.bytes}
    return {**about, "hash": _hash_of(written)} if written.hash else {**about, "linked": True}


def _hash_of(written: Written) -> Dict[str, str]:
    return {"algorithm": "xxh3_64", "value": written.hash}


def _write_json(about: Dict[str, Any], directory: Directory) -> int:
    """Write the description's file, and return its length."""
    with directory.file(ABOUT) as file:
        file.write((json.dumps(about, indent=1, allow_nan=False) + "\n").encode())
    return file.bytes


def _write_files(
    plan: FreezePlan,
    values: Iterator[Value],
    description: Dict[str, Any],
    proof: Optional[Proof],
    directory: Directory,
) -> Dict[str, Written]:
    """Write the graph, and its variables if it has some; return what was written, by file."""
    about = _about(plan.signature, plan.restoring)
    before = len(_wrapper(about, 0))
    laid = stream.layout(plan, description, before)
    expected, headers = (None, []) if laid is None else laid
    size = plan.graph_bytes + plan.inner_bytes
    finish = functools.partial(_finished, about, expected, proof)
    check = finish if proof is not None or expected is None else None
    others: Dict[str, Written] = {}
    with directory.file(MODEL, before + (expected or size), check) as file:
        file.write(_wrapper(about, expected or 0))
        if plan.restoring is None:
            stream.write(plan, values, description, file, headers=headers)
        elif plan.checkpoint is not None:
            others = _link_files(plan.checkpoint, directory)
            stream.write(plan, values, description, file, LinkedValues(), headers)
        else:
            read_back = None if proof is None else proof.read_back
            with directory.file(_VARIABLES + DATA, plan.weight_bytes, read_back) as data:
                stored = BundleWriter(data)
                stream.write(plan, values, description, file, stored, headers)
            with directory.file(_VARIABLES + INDEX, check=read_back) as index:
                index.write(stored.index())
            others = {_VARIABLES + DATA: data.written, _VARIABLES + INDEX: index.written}
        if file.bytes > LIMIT:
            raise TooLargeError(f"{directory.path} would pass 2 GiB and could not be read")
    return {MODEL: file.written, **others}


def _link_files(prefix: str, directory: Directory) -> Dict[str, Written]:
    """Make a checkpoint's files those of the variables."""
    linked = {}
    for ending in file_endings(prefix):
        name = _VARIABLES + "variables" + ending
        linked[name] = Written(directory.link(prefix + ending, name), "")
    index = _VARIABLES + INDEX
    linked[index] = linked[index]._replace(hash=digest_of(prefix + ".index"))
    return linked


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


def _about(signature: Signature, restoring: Optional[Restoring]) -> bytes:
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
    if restoring is not None:
        _add_saver(meta, restoring)
    return bytes(meta.SerializeToString(deterministic=True))


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
