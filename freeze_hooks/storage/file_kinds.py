"""Refuses paths of other kinds of files, so that an artifact does not replace one."""

from __future__ import annotations

import os
import re
from typing import Any, Iterator, Tuple

from ..errors import FreezeError
from .filesystem import filesystem_of

MODEL, MODEL_JSON = "saved_model.pb", "model.json"
# {main file of a directory: the directory's kind}
MAINS = {MODEL: "SavedModels", MODEL_JSON: "TF.js models"}
ABOUT = os.path.join("assets.extra", "freeze_hooks.json")  # in each directory that we write
_KERAS = "a model or weights that Keras saves"
_CHECKPOINT = "a part of a TensorFlow checkpoint"
_CONVERTED = "a model that on_publish= can write beside the frozen file"
_OWNERS: Tuple[Tuple[str, str], ...] = (
    (r"\.keras", _KERAS),
    (r"(\.weights)?\.(h5|hdf5)", _KERAS),
    (r"\.ckpt(-\d+)?", "a TensorFlow checkpoint"),
    (r"\.(index|meta|data-\d+-of-\d+)", _CHECKPOINT),
    (r"\.(onnx|tflite)", _CONVERTED),
    (r"\.xml", "an OpenVINO model"),
    (r"\.(pth?|safetensors|orbax|npy|npz|pkl|pickle|tfrecords?)", "a file of another format"),
    (r"\.pbtxt", "a graph as text, and a frozen file is binary"),
    (r"\.json", "the description of a frozen file, which is written beside it"),
)
_OF_SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt", "keras_metadata.pb", "fingerprint.pb")


def refuse_foreign(path: str, argument: str = "path", directory: bool = False) -> None:
    """Check that an artifact can have this path, which may have fields such as {epoch}.

    Args:
      path: where to write.
      argument: the name of the user's argument, for messages.
      directory: whether the artifact is a directory, such as a SavedModel, and not a frozen file.

    Raises:
      FreezeError: the name belongs to another kind of file; the path is a directory for a file, or
        a file, or a directory with other files, for a directory.
    """
    if directory:
        _refuse_for_directory(path, argument)
        return
    base = os.path.basename(path)
    if not base:
        example = os.path.join(path, "frozen.pb")
        raise FreezeError(f"{argument}={path!r} names no file: say one, such as {example!r}")
    if base.lower() in _OF_SAVED_MODELS:
        raise FreezeError(
            f"{argument}={path!r} is the name of a SavedModel's own file, which a frozen file "
            "would replace or be taken for: give it another name, such as 'frozen.pb'"
        )
    for found, owner in _owners(path):
        raise FreezeError(
            f"{argument}={path!r} ends in {found.group()!r}, as the name of {owner} does: "
            f"a frozen file is a GraphDef, so call it {path[: found.start()] + '.pb'!r}"
        )
    if filesystem_of(path).is_directory(path):
        inside = os.path.join(path, "frozen.pb")
        raise FreezeError(
            f"{argument}={path!r} is a directory, and a frozen file is one file: say a name in "
            f"it, such as {inside!r}"
        )


def _refuse_for_directory(path: str, argument: str) -> None:
    if not os.path.basename(path.rstrip("/")):
        raise FreezeError(f"{argument}={path!r} names no directory that can be written as a whole")
    own = re.compile(r"\.pb$", re.IGNORECASE).search(path)
    for found, owner in [(own, "a frozen file")] if own else _owners(path):
        raise FreezeError(
            f"{argument}={path!r} ends in {found.group()!r}, as the name of {owner} does: this "
            f"format= writes a directory, so call it {path[: found.start()]!r}"
        )
    files = filesystem_of(path)
    if not files.rewrites or not files.exists(path):
        return
    names = files.names(path) if files.is_directory(path) else None
    if names is None:
        raise FreezeError(
            f"{argument}={path!r} is a file, and this format= writes a directory: give another path"
        )
    if names and not files.exists(os.path.join(path, ABOUT)):
        raise FreezeError(
            f"{argument}={path!r} is a directory that freeze_hooks did not write: replacing it "
            f"would delete {', '.join(names[:3])}: give a path that does not exist yet"
        )


def _owners(path: str) -> Iterator[Tuple[Any, str]]:
    for ending, owner in _OWNERS:
        found = re.search(ending + r"$", path, re.IGNORECASE)
        if found:
            yield found, owner
