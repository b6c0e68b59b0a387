"""What a file carries for those who run it: the user's metadata and assets, checked and read."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
import os
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Union

import numpy as np

from ..errors import FreezeError
from ..storage.filesystem import filesystem_of

AT_MOST = 16 << 20  # bytes of all assets
_OWN = ("freeze_hooks.json", "tf_serving_warmup_requests")  # in the same folder of a SavedModel
_DEEPEST = 50  # dicts and lists in each other
_LONGEST = 255  # bytes of a file's name
_KINDS = "text, numbers, True, False, None, and lists and dicts of these"

Metadata = Union[None, Mapping[str, Any], Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]]
Assets = Optional[Mapping[str, Any]]  # as users give them


@dataclasses.dataclass(frozen=True)
class Carried:
    """The metadata and assets of all files of a plan.

    Attributes:
      custom_metadata: JSON types by their keys, or the user's function that gives them.
      assets: the content of each asset, in the order of their names.
    """

    custom_metadata: Any = None
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def metadata_at(self, step: Optional[int], metrics: Mapping[str, float]) -> Dict[str, Any]:
        """Return the metadata of one save.

        Raises:
          FreezeError: the user's function fails, or returns something that is not JSON.
        """
        given = self.custom_metadata
        if not callable(given):
            return dict(given or {})
        try:
            found = given(step, dict(metrics))
        except Exception as error:
            raise FreezeError(
                f"the function of custom_metadata= failed: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(found, Mapping):
            raise FreezeError(f"the function of custom_metadata= must return a dict, not {found!r}")
        made: Dict[str, Any] = _json(found, "custom_metadata")
        return made


NOTHING = Carried()


def checked_metadata(given: Any) -> Metadata:
    """Return the user's `custom_metadata=` in JSON types, or as the function that it is.

    Raises:
      FreezeError: it is neither, or a value is not JSON; the error says where it is.
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        made: Dict[str, Any] = _json(given, "custom_metadata")
        return made
    if not callable(given):
        raise FreezeError(
            f"custom_metadata= is a dict or a function (step, metrics) -> dict, not {given!r}"
        )
    try:
        inspect.signature(given).bind(0, {})
    except TypeError as error:
        raise FreezeError(
            f"custom_metadata= is called as function(step, metrics), which {given!r} does not "
            f"take: {error}"
        ) from None
    except ValueError:  # it has no signature
        pass
    return given


def checked_assets(given: Any) -> Dict[str, Union[bytes, str]]:
    """Return {name: content, or the path of a file with it} for the user's `assets=`, by names.

    Raises:
      FreezeError: it is no dict, a name is not that of a file, a value is of another type, or all
        are over 16 MiB.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise FreezeError(f"assets= is a dict of files by name, not {given!r}")
    for name in given:
        wrong = wrong_name(name)
        if wrong is not None:
            raise FreezeError(
                f'assets= has the name {name!r}, which {wrong}: give a name such as "labels.txt"'
            )
    for name in given:
        inside = [other for other in given if other.startswith(name + "/")]
        if inside:
            raise FreezeError(f"assets= has {name!r} as a file, and as the folder of {inside[0]!r}")
    found = {name: _content(name, given[name]) for name in sorted(given)}
    _check_sizes({name: len(data) for name, data in found.items() if isinstance(data, bytes)})
    return found


def read_assets(given: Any) -> Dict[str, bytes]:
    """Return {name: content} for the user's `assets=`; files are read now.

    Raises:
      FreezeError: as `checked_assets`, or a file cannot be read; the error has its path.
    """
    found = checked_assets(given)
    _check_sizes({name: _size(name, data) for name, data in found.items()})
    read = {name: _bytes(name, data) for name, data in found.items()}
    _check_sizes({name: len(data) for name, data in read.items()})
    return read


def wrong_name(name: Any) -> Optional[str]:
    """Return why an asset cannot have this name; None if it can."""
    if not isinstance(name, str):
        return "is no text"
    parts = name.split("/")
    if not name:
        return "is empty"
    if "\\" in name:
        return "has a backslash"
    if parts[0] == "":
        return "is an absolute path"
    if {"", ".", ".."} & set(parts):
        return 'has a part that is empty, "." or ".."'
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in name):
        return "has characters that no file's name should have"
    if max(len(part.encode()) for part in parts) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    if parts[0].lower() in _OWN:
        return "a SavedModel uses for a file of its own"
    return None


def _content(name: str, value: Any) -> Union[bytes, str]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (str, os.PathLike)):
        return os.fsdecode(value)
    if isinstance(value, (list, tuple)):
        return _of_lines(name, value)
    hint = ": give array.tolist()" if isinstance(value, np.ndarray) else ""
    raise FreezeError(
        f"assets= takes a path, bytes or a list of lines for {name!r}, not "
        f"{type(value).__name__}{hint}"
    )


def _of_lines(name: str, lines: Any) -> bytes:
    for i, line in enumerate(lines):
        if not isinstance(line, str):
            raise FreezeError(f"assets= has {line!r} as line {i} of {name!r}, which is no text")
        if "\n" in line or "\r" in line:
            raise FreezeError(
                f"assets= has {line!r} as line {i} of {name!r}, which is more than one line: "
                "leave out the ends of lines"
            )
    try:
        return "".join(line + "\n" for line in lines).encode()
    except UnicodeEncodeError as error:
        raise FreezeError(f"assets= has text in {name!r} that is not Unicode: {error}") from None


def _size(name: str, data: Union[bytes, str]) -> int:
    if isinstance(data, bytes):
        return len(data)
    with _readable(name, data):
        return filesystem_of(data).size(data)


def _bytes(name: str, data: Union[bytes, str]) -> bytes:
    if isinstance(data, bytes):
        return data
    with _readable(name, data), filesystem_of(data).opened(data) as file:
        return bytes(file.read(AT_MOST + 1))


@contextlib.contextmanager
def _readable(name: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise FreezeError(f"assets= cannot read {path!r} for {name!r}: {why}") from error


def _check_sizes(sizes: Mapping[str, int]) -> None:
    total = sum(sizes.values())
    if total <= AT_MOST:
        return
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    told = ", ".join(f"{name!r} {size:,}" for name, size in largest)
    raise FreezeError(
        f"assets= have {total:,} bytes, over the {AT_MOST:,} (16 MiB) that a file carries: {told}"
    )


def _json(value: Any, where: str, depth: int = 0) -> Any:
    """Return a value in JSON types; NumPy's numbers become Python's."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # also of an Enum of texts
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FreezeError(f"{where} is {value!r}, which JSON does not have: give None or text")
        return float(value)
    if depth > _DEEPEST:
        raise FreezeError(f"{where[:100]}... is over {_DEEPEST} levels deep, or holds itself")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise FreezeError(f"{where} has the key {key!r}, and keys of JSON are text")
        return {
            str.__str__(key): _json(inner, f"{where}[{key!r}]", depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_json(inner, f"{where}[{i}]", depth + 1) for i, inner in enumerate(value)]
    raise FreezeError(
        f"{where} is of type {type(value).__name__}, and JSON has {_KINDS}{_instead(value)}"
    )


def _instead(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ": give array.tolist()"
    if isinstance(value, (set, frozenset)):
        return ": give sorted(...)"
    if isinstance(value, (bytes, bytearray)):
        return ": give text, or a file by assets="
    if hasattr(value, "__float__"):
        return ": give float(...)"
    return ""
