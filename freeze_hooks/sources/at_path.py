"""What is at a path: a SavedModel, a checkpoint or a graph, by the names of files."""

from __future__ import annotations

import os
import re
from typing import Any, List, Optional

from google.protobuf import text_encoding

from ..errors import FreezeError, near
from ..frozen.frozen_graph_model import is_graph_model
from ..frozen.other_kinds import nothing_at, told_at, told_directory
from ..storage.filesystem import read
from ..storage.listing import checkpoint_exists, exists, is_directory, matching, modified, names

SAVED_MODEL, CHECKPOINT, GRAPH = "SavedModel", "checkpoint", "graph"
_FILE = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_NEWEST = re.compile(r"""^\s*model_checkpoint_path:\s*(["'])(.*)\1\s*$""", re.MULTILINE)
_V1_SHARDS = "-?????-of-?????"
_V1_SHARD = re.compile(r"-[\d?]{5}-of-[\d?]{5}$")


def kind_of(path: str) -> str:
    """Return SAVED_MODEL, CHECKPOINT or GRAPH (a file with a GraphDef or MetaGraphDef; TF.js).

    Raises:
      FreezeError: nothing is there (near matches are named), or a directory of another kind.
    """
    if is_directory(path) and matching(os.path.join(path, "saved_model.pb*")):
        return SAVED_MODEL
    if exists(path) and not is_directory(path) and not path.endswith(".index"):
        of_checkpoint = ".data-" in path or exists(path + ".meta")  # the latter: format V1
        return CHECKPOINT if of_checkpoint else GRAPH
    if checkpoint_exists(path) or path.endswith(".index"):
        return CHECKPOINT
    if is_graph_model(path):
        return GRAPH
    if is_directory(path):
        if has_checkpoint(path):
            return CHECKPOINT
        raise told_directory(path)
    raise nothing_at(path)


def find_prefix(checkpoint: Any) -> str:
    """Return the prefix of a checkpoint, given its prefix, one of its files, or its directory.

    Raises:
      FreezeError: there is no checkpoint; what the directory has instead is named.
    """
    name = os.fspath(checkpoint)
    # ram:// takes the beginning of any name for a directory
    if is_directory(name) and not exists(name + ".index"):
        return _newest(name)
    prefix = _FILE.sub("", name)
    if checkpoint_exists(prefix):
        whole = exists(prefix) or exists(prefix + ".index")
        return prefix if whole else prefix + _V1_SHARDS
    if matching(prefix):  # shards of format V1, as Saver.save names them
        return prefix
    other = told_at(name)
    if other is not None:
        raise FreezeError(f"there is no checkpoint {name!r}: {other}")
    directory, base = os.path.split(_FILE.sub("", name))
    close = ", ".join(map(repr, near(base, _prefixes(directory or ".")))) or "no checkpoint alike"
    raise FreezeError(f"there is no checkpoint {name!r}; its directory has {close}")


def stem(prefix: str) -> str:
    """Return a prefix without the pattern of its shards; its `.meta` file has this name."""
    return _V1_SHARD.sub("", prefix)


def has_checkpoint(directory: str) -> bool:
    """Return whether a directory has a checkpoint; only names of files are looked at."""
    return exists(os.path.join(directory, "checkpoint")) or bool(_prefixes(directory))


def _newest(directory: str) -> str:
    latest = _latest(directory)
    # shards of format V1 are named by a pattern
    if latest is not None and (checkpoint_exists(latest) or matching(latest)):
        return latest
    found = [os.path.join(directory, prefix) for prefix in _prefixes(directory)]
    if not found:
        raise FreezeError(f"directory {directory!r} has no checkpoint: {told_directory(directory)}")
    return max(found, key=lambda prefix: modified(prefix + ".index"))


def _latest(directory: str) -> Optional[str]:
    """Return the prefix in a directory's file `checkpoint`, as tf.train.latest_checkpoint does."""
    path = os.path.join(directory, "checkpoint")
    if not exists(path):
        return None
    found = _NEWEST.search(read(path).decode(errors="replace"))
    named = text_encoding.CUnescape(found.group(2)).decode(errors="replace") if found else ""
    return os.path.join(directory, named) if named else None


def _prefixes(directory: str) -> List[str]:
    found = names(directory) if is_directory(directory) else []
    return [name[: -len(".index")] for name in found if name.endswith(".index")]
