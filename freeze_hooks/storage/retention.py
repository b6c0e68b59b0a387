"""Decides which frozen files a directory keeps, and deletes the others with their companions.

A file is noted as coming before it is written. So if a program is killed in between, the next one
still knows the file.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Container, Dict, List, Optional, Sequence

from .directories import delete_directory, is_ours
from .filesystem import filesystem_of, relative, resolved
from .state_file import as_dict, changed

# endings of files and directories that on_publish= makes beside a frozen file
COMPANIONS = (".onnx", ".tflite", ".saved_model")


def announce(directory: str, name: str, file: str, checkpoint: str) -> None:
    """Note a file that will be written; the arguments are those of `retain`.

    Raises:
      OSError: the state cannot be written.
    """
    # the file itself is made durable later, and with it this rename in the same directory
    with changed(directory, name, durable=False) as own:
        prefix = checkpoint and relative(checkpoint, directory)
        if _ours(as_dict(own.get("files"))).get(file) != prefix:
            own["coming"] = {**_ours(as_dict(own.get("coming"))), file: prefix}


def accompany(directory: str, name: str, file: str, ending: str) -> None:
    """Note that a file gets a companion: its name with `ending`, one of COMPANIONS.

    Raises:
      OSError: the state cannot be written.
    """
    with changed(directory, name) as own:
        made = _made(own)
        own["made"] = {**made, file: sorted({ending, *made.get(file, ())})}


def companion(path: str, ending: str) -> str:
    """Return the path of a frozen file's companion."""
    return (path[: -len(".pb")] if path.endswith(".pb") else path) + ending


def delete_if_alone(path: str, ending: str) -> None:
    """Delete a companion if its frozen file was deleted while it was made."""
    if not _is_there(path):
        with contextlib.suppress(OSError):
            _delete_companion(path, ending)


def retain(
    directory: str,
    name: str,
    file: str,
    checkpoint: str,
    exists: Callable[[str], bool],
    keep: Optional[int] = None,
    awaited: Container[str] = (),
) -> List[str]:
    """Note a new file, and delete old files that are no longer to be kept.

    A file is deleted when its checkpoint is, or with `keep` when there are enough newer files.

    Args:
      directory: the directory of the files and their state.
      name: the key of these files in the state; files of other keys are not touched.
      file: the base name of the new file.
      checkpoint: the prefix of its checkpoint; "" if it has none.
      exists: returns whether there is a checkpoint with a prefix.
      keep: how many of the newest files to keep, even if their checkpoints are deleted; files with
        and without a checkpoint are counted apart, and only the new file's kind is deleted.
      awaited: newer files, which are noted next.

    Returns:
      The paths of the deleted files.
    """
    made: Dict[str, List[str]] = {}
    there = filesystem_of(directory)

    def deleted(known: str) -> bool:
        return _delete(os.path.join(directory, known), made.get(known, ()))

    def settled(known: str, mark: str) -> bool:
        """Return whether a file to delete is gone, or another one has replaced it."""
        path = os.path.join(directory, known)
        is_another = mark and _is_there(path) and there.identity(path) != mark
        return bool(is_another) or deleted(known)

    with changed(directory, name) as own:
        made = _made(own)
        files = _ours(as_dict(own.get("files")))
        files.pop(file, None)  # the newest comes last
        coming = _ours(as_dict(own.get("coming")))
        coming.pop(file, None)
        for known in [known for known in coming if known not in awaited]:
            prefix = coming.pop(known)
            if _is_there(os.path.join(directory, known)):
                files.setdefault(known, prefix)
        # files that were to be deleted when a program ended, or could not be deleted then
        leaving = _ours(as_dict(own.get("leaving")))
        leaving = {k: mark for k, mark in leaving.items() if k != file and not settled(k, mark)}
        files[file] = checkpoint and relative(checkpoint, directory)

        def outlived(known: str) -> bool:
            prefix = files[known]
            return bool(prefix) and not exists(resolved(prefix, directory))

        others = [known for known in files if known != file]
        if keep is None:
            over = [known for known in others if outlived(known)]
        else:
            alike = [known for known in others if bool(files[known]) == bool(checkpoint)]
            over = alike[: max(0, len(alike) + 1 - keep)]
        for known in over:
            del files[known]
        leaving.update((known, there.identity(os.path.join(directory, known))) for known in over)
        still = {known: ends for known, ends in made.items() if known in files or known in leaving}
        own.update(files=files, leaving=leaving, made=still, coming=coming)
        for key in ("leaving", "made", "coming"):
            if not own[key]:
                del own[key]
    # only now, so that the state never names a missing file
    return [os.path.join(directory, known) for known in over if deleted(known)]


def _ours(files: Dict[str, Any]) -> Dict[str, str]:
    """Return the entries that can be ours: frozen files directly in this directory."""
    return {
        file: checkpoint
        for file, checkpoint in files.items()
        if isinstance(checkpoint, str) and _can_be_ours(file) and "\0" not in checkpoint
    }


def _made(own: Dict[str, Any]) -> Dict[str, List[str]]:
    """Return {file: endings of its companions} from the state."""
    return {
        file: [ending for ending in COMPANIONS if ending in endings]
        for file, endings in as_dict(own.get("made")).items()
        if isinstance(endings, list) and _can_be_ours(file)
    }


def _can_be_ours(file: str) -> bool:
    """Return whether a name can be an artifact's; of directories, only our own are deleted."""
    return file == os.path.basename(file) and file not in ("", ".", "..") and "\0" not in file


def _is_there(path: str) -> bool:
    return filesystem_of(path).stamp(path) is not None or is_ours(path)


def _delete_companion(path: str, ending: str) -> None:
    doomed = companion(path, ending)
    if is_ours(doomed):
        delete_directory(doomed)
    elif not filesystem_of(doomed).is_directory(doomed):
        filesystem_of(doomed).delete(doomed)


def _delete(path: str, endings: Sequence[str] = ()) -> bool:
    """Delete an artifact, its description and its companions; return False if that fails now.

    The artifact goes first: code that makes a companion checks afterwards that it still exists.
    """
    about = [path, path + ".json"] if path.endswith(".pb") else []
    try:
        delete_directory(path)
        for doomed in about:
            filesystem_of(doomed).delete(doomed)
        for ending in endings:
            _delete_companion(path, ending)
    except OSError:  # Windows: a program reads it
        return False
    return True
