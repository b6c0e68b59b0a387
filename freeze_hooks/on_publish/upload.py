"""`upload`: copies artifacts to another directory or a bucket."""

from __future__ import annotations

import contextlib
import os

from ..frozen.artifact import Artifact
from ..storage import atomic
from ..storage.directories import copy_directory, is_ours
from ..storage.filesystem import filesystem_of
from .converting import After


def upload(prefix: str) -> After:
    """Copy artifacts and their descriptions elsewhere: `fh.upload("gs://models")(artifact)`.

    The copy keeps the base name of the original. It has a temporary name until it is complete. The
    description is copied after it.

    Args:
      prefix: a directory of this machine, or one with any scheme that tf.io.gfile knows. It is
        created if missing.

    Returns:
      A function that copies one Artifact, and returns the path of the copy. It raises
      OSError if the copy fails; an existing file there stays then.

    Raises:
      OSError: the directory cannot be created or is not writable.
    """
    prefix = os.fspath(prefix)
    atomic.ensure_writable(prefix)

    def uploaded(artifact: Artifact) -> str:
        base = filesystem_of(artifact.path).split(artifact.path)[1]
        target = filesystem_of(prefix).join(prefix, base)
        if os.path.realpath(target) == os.path.realpath(artifact.path):
            return target
        if is_ours(artifact.path):
            copy_directory(artifact.path, target)
            return target
        atomic.publish_link(artifact.path, target, beside=target + ".json")
        with contextlib.suppress(FileNotFoundError):  # some adapters write no description
            atomic.publish_link(artifact.path + ".json", target + ".json")
        return target

    return uploaded
