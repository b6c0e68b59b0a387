"""The assets in a frozen file or SavedModel: how they are noted, read, and checked."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple

from xxhash import xxh3_64

from ..errors import InvalidFileError
from ..plan.carried import AT_MOST, wrong_name
from ..storage.filesystem import filesystem_of
from ..storage.filesystem import read as read_file
from .frozen_saved_model import is_saved_model
from .wire import ASSETS, DESCRIPTION

NOTED = "assets"  # the field of the description
EXTRA = "assets.extra/"  # the folder of a SavedModel
_ALGORITHM = "xxh3_64"


class _Noted(NamedTuple):
    """What a description says of one asset."""

    bytes: int
    hash: str


def noted(assets: Mapping[str, bytes]) -> Dict[str, Any]:
    """Return what a description says of assets: the length and hash of each."""
    return {
        name: {
            "bytes": len(data),
            "hash": {"algorithm": _ALGORITHM, "value": str(xxh3_64(data).hexdigest())},
        }
        for name, data in assets.items()
    }


def sizes_in(description: Mapping[str, Any], path: str) -> Dict[str, int]:
    """Return {name: number of bytes} of the assets in a description.

    Raises:
      InvalidFileError: the description is broken; the error names `path`.
    """
    return {name: one.bytes for name, one in _noted_in(description, path).items()}


def take_packed(graph_def: Any) -> bytes:
    """Take the assets' bytes out of a GraphDef, where they only need memory, and return them."""
    for node in graph_def.node:
        if DESCRIPTION in node.attr and ASSETS in node.attr:
            packed = bytes(node.attr[ASSETS].s)
            del node.attr[ASSETS]
            return packed
    return b""


def unpacked(description: Mapping[str, Any], packed: bytes, path: str) -> Dict[str, bytes]:
    """Return {name: content} of the assets of a file or SavedModel.

    Args:
      description: what it says of itself.
      packed: the bytes in its graph; a SavedModel has its assets in files instead.
      path: where it is.

    Raises:
      InvalidFileError: an asset is missing, or has other bytes than were written.
      OSError: a file cannot be read.
    """
    wanted = _noted_in(description, path)
    if is_saved_model(path):
        found = {name: _in_directory(path, name, one.bytes) for name, one in wanted.items()}
    else:
        found, start = {}, 0
        for name, one in wanted.items():
            found[name] = packed[start : start + one.bytes]
            start += one.bytes
        if start != len(packed):
            raise InvalidFileError(
                f"{path} has {len(packed):,} bytes of assets, and not the {start:,} of its "
                "description: it was changed or damaged"
            )
    for name, one in wanted.items():
        if len(found[name]) != one.bytes or xxh3_64(found[name]).hexdigest() != one.hash:
            raise InvalidFileError(
                f"{path}: its asset {name!r} has other bytes than were written: it was changed or "
                "damaged"
            )
    return found


def _in_directory(directory: str, name: str, size: int) -> bytes:
    path = filesystem_of(directory).join(directory, EXTRA + name)
    try:
        there = filesystem_of(path).size(path)
        if there != size:
            raise InvalidFileError(
                f"{path} has {there:,} bytes, and not the {size:,} that were written: it was "
                "changed or damaged"
            )
        return read_file(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidFileError(
            f"{directory} lacks its asset {name!r}: {path}: {error.strerror or error}"
        ) from None


def _noted_in(description: Mapping[str, Any], path: str) -> Dict[str, _Noted]:
    """Return what a description says of each asset, in the order of their names."""
    found = {}
    try:
        for name, about in sorted(description.get(NOTED, {}).items()):
            wrong = wrong_name(name)
            size, kind, value = about["bytes"], about["hash"]["algorithm"], about["hash"]["value"]
            if type(size) is not int or size < 0:
                wrong = f"has the length {size!r}"
            if kind != _ALGORITHM:
                wrong = f"has a hash of the kind {kind!r}, which this version does not know"
            if wrong is not None:
                told = f"{path}: its description has an asset {name!r}, which {wrong}"
                raise InvalidFileError(told)
            found[name] = _Noted(size, value)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidFileError(f"{path}: its description is broken at assets: {error!r}") from None
    total = sum(one.bytes for one in found.values())
    if total > AT_MOST:
        raise InvalidFileError(
            f"{path}: its description has assets of {total:,} bytes, over the {AT_MOST:,} (16 MiB) "
            "that a file carries"
        )
    return found
