"""Publishes a SavedModel: the frozen graph, its variables, and files about them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from typing import Any, Dict, Iterator, Mapping, Optional, Union

from xxhash import xxh3_64

from ...errors import TooLargeError
from ...plan.formats import SavedModel
from ...plan.types import LIMIT, FreezePlan
from ...proof.file_runs import digest_of
from ...proof.proof import Proof
from ...signature import SERVING, Signature
from ...storage.directories import Directory, copy_directory, publishing_directory
from ...storage.file_kinds import ABOUT, MODEL
from ...storage.filesystem import filesystem_of, pieces
from ...storage.sink import Written
from ...values.bundle_writer import DATA, INDEX, BundleWriter
from ...values.linked import LinkedValues, file_endings
from .. import stream, wire
from ..assets import EXTRA
from ..description import completed
from ..reader import assets_in
from ..reader import description as described_in
from .graph_wrapper import about_graph, wrapper
from .target import Target
from .warmup_requests import REQUESTS, requests

_VARIABLES = "variables/"


@contextlib.contextmanager
def publishing(
    plan: FreezePlan,
    path: str,
    description: Dict[str, Any],
    proof: Optional[Proof],
    beside: bool = True,
) -> Iterator[Target]:
    """Give the Target for the graph of a SavedModel; the arguments are those of `pb_file`.

    `beside` is not used: the description is in the directory.
    """
    if not filesystem_of(path).rewrites and stream.layout(plan, description, 0) is None:
        with tempfile.TemporaryDirectory() as here:
            local = os.path.join(here, "model")
            with publishing(plan, local, description, proof) as target:
                yield target
            copy_directory(local, path)
        return
    with publishing_directory(path) as directory:
        files: Dict[str, Written] = {}
        with _graph_and_variables(plan, description, proof, directory, files) as target:
            yield target
        warmup = plan.format.warmup if isinstance(plan.format, SavedModel) else None
        if warmup is not None:
            with directory.file(REQUESTS) as asked:
                asked.write(requests(warmup, SERVING))
            files[REQUESTS] = asked.written
        _write_assets(plan.carried.assets, directory, files, proof)
        difference = None if proof is None else proof.difference
        about = completed(description, files[MODEL].hash, difference)
        del about["hash"]
        about["files"] = {name: _told(written) for name, written in files.items()}
        noted = _write_json(about, directory)
    target.written = _whole(files, noted)


def _whole(files: Mapping[str, Written], noted: int) -> Written:
    hashes = [written.hash for written in files.values() if written.hash]
    whole = hashes[0] if len(hashes) == 1 else str(xxh3_64("".join(hashes).encode()).hexdigest())
    return Written(sum(written.bytes for written in files.values()) + noted, whole)


def _write_assets(
    assets: Mapping[str, bytes],
    directory: Directory,
    files: Dict[str, Written],
    proof: Optional[Proof] = None,
) -> None:
    """Write the assets as files, and put what was written into `files`."""
    for name, data in assets.items():
        check = None if proof is None or not data else proof.read_back
        with directory.file(EXTRA + name, len(data), check) as file:
            file.write(data)
        files[EXTRA + name] = file.written


def wrap(source: str, path: str, signatures: Mapping[str, Signature]) -> None:
    """Publish a frozen file's bytes as a SavedModel with these signatures.

    Raises:
      InvalidFileError: the assets in it are damaged.
      OSError: from the file system; what was at `path` stays.
    """
    assets = assets_in(source)
    about, size = about_graph(signatures, None), filesystem_of(source).size(source)
    about += wire.padding(len(wrapper(about, size)))  # the file's large values stay aligned
    with publishing_directory(path) as directory:
        with directory.file(MODEL, size) as file:
            file.write(wrapper(about, size))
            for piece in pieces(source):
                file.write(piece)
        files = {MODEL: file.written}
        _write_assets(assets, directory, files)
        told = {name: _told(written) for name, written in files.items()}
        _write_json({**described_in(source), "files": told}, directory)


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


@contextlib.contextmanager
def _graph_and_variables(
    plan: FreezePlan,
    description: Dict[str, Any],
    proof: Optional[Proof],
    directory: Directory,
    files: Dict[str, Written],
) -> Iterator[Target]:
    """Give the Target, and put what was written into `files`, by its name in the directory."""
    about = about_graph(plan.signatures, plan.restoring)
    before = len(wrapper(about, 0))
    laid = stream.layout(plan, description, before)
    expected, headers = (None, []) if laid is None else laid
    size = plan.graph_bytes + plan.inner_bytes
    finish = functools.partial(_finished, about, expected, proof)
    check = finish if proof is not None or expected is None else None
    with directory.file(MODEL, before + (expected or size), check) as file:
        file.write(wrapper(about, expected or 0))
        with _variables(plan, proof, directory, files) as stored:
            yield Target(file, stored, headers)
        if file.bytes > LIMIT:
            raise TooLargeError(f"{directory.path} would pass 2 GiB and could not be read")
    files[MODEL] = file.written


@contextlib.contextmanager
def _variables(
    plan: FreezePlan, proof: Optional[Proof], directory: Directory, files: Dict[str, Written]
) -> Iterator[Union[BundleWriter, LinkedValues, None]]:
    if plan.restoring is None:
        yield None
    elif plan.checkpoint is not None:
        files.update(_link_files(plan.checkpoint, directory))
        yield LinkedValues()
    else:
        read_back = None if proof is None else proof.read_back
        with directory.file(_VARIABLES + DATA, plan.weight_bytes, read_back) as data:
            stored = BundleWriter(data)
            yield stored
        with directory.file(_VARIABLES + INDEX, check=read_back) as index:
            index.write(stored.index())
        files.update({_VARIABLES + DATA: data.written, _VARIABLES + INDEX: index.written})


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
        length = os.path.getsize(path) - len(wrapper(about, 0))
        with open(path, "r+b") as file:
            file.write(wrapper(about, length))
        corrected = digest_of(path)
    changed = None if proof is None else proof.check(path, corrected or digest)
    return changed or corrected
