"""Makes a temporary SavedModel with another graph and links to the original files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any, Iterator

import tensorflow as tf

from .._protos import SavedModel

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt", "fingerprint.pb")  # the last describes the first


@contextlib.contextmanager
def beside_its_files(directory: str, meta: Any) -> Iterator[str]:
    """Give a directory with the SavedModel's files and the graph `meta`.

    The variables are linked, and copied only on a file system without links.
    """
    with tempfile.TemporaryDirectory() as copy:
        saved = SavedModel(saved_model_schema_version=1, meta_graphs=[meta])
        with open(os.path.join(copy, _GRAPHS[0]), "wb") as file:
            file.write(saved.SerializeToString())
        for name in tf.io.gfile.listdir(directory):
            name = name.rstrip("/")
            if name not in _GRAPHS:
                _bring(os.path.join(directory, name), os.path.join(copy, name))
        yield copy


def _bring(source: str, target: str) -> None:
    if os.path.exists(source):
        with contextlib.suppress(OSError):
            os.symlink(os.path.abspath(source), target)
            return
    if not tf.io.gfile.isdir(source):
        tf.io.gfile.copy(source, target)
        return
    tf.io.gfile.makedirs(target)
    for name in tf.io.gfile.listdir(source):
        name = name.rstrip("/")
        _bring(os.path.join(source, name), os.path.join(target, name))
