"""Refuses paths of other kinds of files, so that a frozen file does not replace one."""

from __future__ import annotations

import os
import re
from typing import Tuple

from ..errors import FreezeError
from .filesystem import filesystem_of

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


def refuse_foreign(path: str, argument: str = "path") -> None:
    """Check that a frozen file can have this path, which may have fields such as {epoch}.

    Raises:
      FreezeError: the name belongs to another kind of file, or the path is a directory.
    """
    base = os.path.basename(path)
    if not base:
        example = os.path.join(path, "frozen.pb")
        raise FreezeError(f"{argument}={path!r} names no file: say one, such as {example!r}")
    if base.lower() in _OF_SAVED_MODELS:
        raise FreezeError(
            f"{argument}={path!r} is the name of a SavedModel's own file, which a frozen file "
            "would replace or be taken for: give it another name, such as 'frozen.pb'"
        )
    for ending, owner in _OWNERS:
        found = re.search(ending + r"$", path, re.IGNORECASE)
        if found:
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
