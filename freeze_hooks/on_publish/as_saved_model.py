"""`to_saved_model`: makes SavedModels of frozen files, so that one training writes both."""

from __future__ import annotations

from typing import Optional

from ..errors import ConversionError
from ..frozen.artifact import Artifact
from ..frozen.formats.saved_model_directory import wrap
from ..frozen.frozen_graph_model import is_graph_model
from ..frozen.frozen_saved_model import is_saved_model
from ..storage.file_kinds import refuse_foreign
from .converting import After, beside, destination


def to_saved_model(path: Optional[str] = None) -> After:
    """Make a SavedModel of each frozen file: `fh.to_saved_model()(artifact)`.

    The bytes of the file are copied into `saved_model.pb` of a new directory, after the names of
    its inputs and outputs. The graph is the same, so nothing is proved again.

    Args:
      path: the directory to write, replaced each time; None writes `X.saved_model` beside each
        `X.pb`.

    Returns:
      A function that takes one Artifact, and returns the path of the directory. It raises
      ConversionError if the artifact is a directory already, and OSError if the directory cannot
      be written.

    Raises:
      FreezeError: `path` is that of another kind of file.
      OSError: the directory of `path` is not writable.
    """
    path = destination(path)
    if path is not None:
        refuse_foreign(path, directory=True)

    def saved_model(artifact: Artifact) -> str:
        if is_saved_model(artifact.path):
            raise ConversionError(f"{artifact.path} is a SavedModel already")
        if is_graph_model(artifact.path):
            raise ConversionError(
                f"{artifact.path} is a TF.js model, and only a .pb can be wrapped: "
                'format="saved_model", in a second hook or callback, writes SavedModels'
            )
        target = beside(artifact, path, ".saved_model")
        wrap(artifact.path, target, artifact.signature)
        return target

    saved_model.makes_beside = None if path else ".saved_model"  # type: ignore[attr-defined]
    return saved_model
