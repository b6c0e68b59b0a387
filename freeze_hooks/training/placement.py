"""Where a session's artifacts go: beside checkpoints, or into a directory of their own."""

from __future__ import annotations

import dataclasses
import os
from typing import List, Optional

from ..errors import FreezeError
from ..plan.formats import PB, Format
from ..storage.directories import is_ours
from ..storage.file_kinds import MAINS
from ..storage.filesystem import directory_of, filesystem_of
from ..storage.listing import exists, is_directory


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one artifact goes.

    Attributes:
      directory: the directory with the state of these artifacts.
      base: the artifact's name in it.
      link: a second name for the newest artifact, there.
      known: the name of the best artifact so far, if only the best is kept.
      keep: how many artifacts stay, if only the best is kept; None: the best replaces the last.
    """

    directory: str
    base: str
    link: str
    known: str
    keep: Optional[int] = None


def place(
    form: Format, stem: str, step: Optional[int], output_dir: Optional[str], name: str, best: bool
) -> Place:
    """Return where an artifact goes.

    A file is called after its checkpoint: `PREFIX.pb`, or `best.pb`. A directory is so only beside
    the checkpoint; elsewhere it is called after its step, as servers expect it: `output_dir/STEP`,
    `best/STEP`.

    Args:
      form: the format.
      stem: the prefix of the checkpoint, or what stands for it.
      step: the global step.
      output_dir: the user's directory; None: that of the checkpoint.
      name: separates the files of several hooks.
      best: whether only the best artifact is kept.

    Raises:
      FreezeError: the directory would be called after a step, and there is none.
    """
    directory = output_dir or directory_of(stem)
    if form.is_directory and (best or output_dir is not None):
        directory, version = versions(directory, name, best), _version(step)
        known = newest(directory) or version
        return Place(directory, version, "latest", known, 1 if best else None)
    ending = f".{name}{form.suffix}" if name else form.suffix
    base = "best" if best else os.path.basename(stem)
    return Place(directory, base + ending, "latest" + ending, base + ending)


def versions(directory: str, name: str, best: bool) -> str:
    """Return the directory in which each artifact is called after its step."""
    parts = [part for part in (name, "best" if best else "") if part]
    return os.path.join(directory, *parts)


def newest(directory: str) -> Optional[str]:
    """Return the name of the artifact with the highest step in a directory; None without any."""
    if not is_directory(directory):
        return None
    steps = [name for name in filesystem_of(directory).names(directory) if name.isdigit()]
    ours = [step for step in steps if is_ours(os.path.join(directory, step))]
    return max(ours, key=int, default=None)


def refuse_mixed(form: Format, directory: str) -> None:
    """Check that a directory has no artifacts of another format than `form`.

    It concerns directories in which artifacts are called after steps: servers watch them.

    Raises:
      FreezeError: it has some.
    """
    if not is_directory(directory):
        return
    found: List[str] = []
    what = ""
    if form.is_directory:
        files = filesystem_of(directory)
        found = [name for name in files.names(directory) if name.endswith(PB.suffix)]
        what = "frozen files"
    latest = newest(directory)
    for main, kind in MAINS.items():
        if latest is not None and main != form.main and not found:
            found, what = [latest] * exists(os.path.join(directory, latest, main)), kind
    if found:
        raise FreezeError(
            f"{directory!r} has {what} of another training, such as {found[-1]!r}: give each "
            "format= a directory of its own"
        )


def refuse_mixed_in(form: Format, template: str) -> None:
    """Check the directory of a path with fields, as `refuse_mixed`.

    Directories whose names do not begin with a field, such as an epoch, may be beside files.
    """
    directory, base = os.path.split(template)
    if "{" in directory or (form.is_directory and not base.startswith("{")):
        return
    refuse_mixed(form, directory or os.curdir)


def _version(step: Optional[int]) -> str:
    if step is None:
        raise FreezeError(
            "this format= calls a directory after its global step, and this session has none: "
            "tf.compat.v1.train.get_or_create_global_step() makes one"
        )
    return str(step)
