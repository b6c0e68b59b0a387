"""Publishes a SavedModel: the frozen graph, its variables, and files about them."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from typing import Any, Dict, Iterator, Optional, Union

from ...errors import TooLargeError
from ...plan.formats import SavedModel
from ...plan.types import LIMIT, FreezePlan
from ...proof.file_runs import digest_of
from ...proof.proof import Proof
from ...signature import Signature
from ...storage.directories import Directory, copy_directory, publishing_directory
from ...storage.file_kinds import MODEL
from ...storage.filesystem import filesystem_of, pieces
from ...storage.sink import Written
from ...values.bundle_writer import DATA, INDEX, BundleWriter
from ...values.linked import LinkedValues, file_endings
from .. import stream, wire
from ..frozen_saved_model import SERVING
from ..reader import description as described_in
from .directory_note import write_note
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
        difference = None if proof is None else proof.difference
        whole = write_note(description, difference, files, directory)
    target.written = whole


def wrap(source: str, path: str, signature: Signature) -> None:
    """Publish a frozen file's bytes as a SavedModel with this signature.

    Raises:
      OSError: from the file system; what was at `path` stays.
    """
    about, size = about_graph(signature, None), filesystem_of(source).size(source)
    about += wire.padding(len(wrapper(about, size)))  # the file's large values stay aligned
    with publishing_directory(path) as directory:
        with directory.file(MODEL, size) as file:
            file.write(wrapper(about, size))
            for piece in pieces(source):
                file.write(piece)
        write_note(described_in(source), None, {MODEL: file.written}, directory)


@contextlib.contextmanager
def _graph_and_variables(
    plan: FreezePlan,
    description: Dict[str, Any],
    proof: Optional[Proof],
    directory: Directory,
    files: Dict[str, Written],
) -> Iterator[Target]:
    """Give the Target, and put what was written into `files`, by its name in the directory."""
    about = about_graph(plan.signature, plan.restoring)
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
