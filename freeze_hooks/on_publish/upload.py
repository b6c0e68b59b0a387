"""`upload`: copies frozen files to another directory or a bucket."""

from __future__ import annotations

import contextlib
import os
import posixpath
from typing import Optional

from ..frozen.writer import Artifact
from ..storage import atomic, filesystem
from .converting import After


def upload(prefix: str) -> After:
    """Copy frozen files and their descriptions elsewhere: `fh.upload("gs://models")(artifact)`.

    The copy keeps the base name of the original. It has a temporary name until it is complete. The
    description is copied after it.

    Args:
      prefix: a directory of this machine, or one with any scheme that tf.io.gfile knows. It is
        created if missing.

    Returns:
      A function that copies one Artifact, and returns the path of the copied `.pb`. It raises
      OSError if the copy fails; an existing file there stays then.

    Raises:
      OSError: the directory cannot be created or is not writable.
    """
    prefix = os.fspath(prefix)
    atomic.ensure_writable(prefix)

    def uploaded(artifact: Artifact) -> str:
        far = filesystem.is_remote(artifact.path)
        base = (filesystem.split if far else os.path.split)(artifact.path)[1]
        join = posixpath.join if filesystem.is_remote(prefix) else os.path.join
        target = str(join(prefix, base))
        if os.path.realpath(target) == os.path.realpath(artifact.path):
            return target
        _copy(artifact.path, target, beside=target + ".json")
        with contextlib.suppress(FileNotFoundError):  # some adapters write no description
            _copy(artifact.path + ".json", target + ".json")
        return target

    return uploaded


def _copy(source: str, target: str, beside: Optional[str] = None) -> None:
    if filesystem.is_remote(source) and not filesystem.is_remote(target):
        content = atomic.read(source)
        atomic.publish(target, lambda file: file.write(content), len(content), beside)
    else:
        atomic.publish_link(source, target, beside)
