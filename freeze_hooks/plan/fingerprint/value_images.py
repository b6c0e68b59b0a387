"""Images of Python values: a later image is equal if a trace would read the value as before."""

from __future__ import annotations

import enum
import functools
import types
import zlib
from typing import Any, List

import numpy as np

PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, enum.Enum)
_DEPTH = 8
_SHOWN = 40  # characters


class _This:
    """Wraps an object to compare it by identity; it keeps the object alive."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _This) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


def image(value: Any, depth: int = 0) -> Any:
    """Return a value's image; two values with equal images are equal for a trace.

    Numbers, strings, arrays, and containers of them are compared by content. Functions are
    compared by their code and the values that they enclose. All else is compared by identity.
    """
    if depth > _DEPTH:
        return _This(value)
    inner = functools.partial(image, depth=depth + 1)
    if isinstance(value, PLAIN):
        return type(value), value if value == value else "nan"
    if isinstance(value, np.ndarray):
        return content(value)
    if isinstance(value, (list, tuple)):
        return list if isinstance(value, list) else tuple, tuple(map(inner, value))
    if isinstance(value, dict):
        return dict, tuple((inner(key), inner(item)) for key, item in list(value.items()))
    if isinstance(value, (set, frozenset)):
        return set, frozenset(map(inner, value))
    if isinstance(value, types.FunctionType):
        enclosed = tuple(inner(cell) for cell in cells(value))
        return value.__code__, inner(value.__defaults__), enclosed
    if isinstance(value, types.MethodType):
        return inner(value.__func__), _This(value.__self__)
    if isinstance(value, functools.partial):
        return inner(value.func), inner(value.args), inner(value.keywords)
    return _This(value)


def cells(function: Any) -> List[Any]:
    """Return the present values of the variables that a function encloses."""
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            found.append(None)
    return found


def content(array: Any) -> Any:
    """Return what differs between arrays with different content: dtype, shape and a checksum."""
    objects = array.dtype.hasobject
    data: Any = repr(array.tolist()).encode() if objects else np.ascontiguousarray(array)
    return array.dtype.str, array.shape, zlib.crc32(data)


def shown(value: Any) -> str:
    """Return a value as short text, on one line, for a message."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}"
    if isinstance(value, PLAIN):
        return _short(repr(value.item() if isinstance(value, np.generic) else value))
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        own = _builtin(value)
        items = [*own, *own.values()] if isinstance(own, dict) else own
        text = repr(own) if all(isinstance(item, PLAIN) for item in items) else ""
        return text if 0 < len(text) <= _SHOWN else f"a {type(own).__name__} of {len(own)}"
    called = getattr(value, "__name__", None) or getattr(value, "name", None)
    if callable(value) and isinstance(called, str) and hasattr(value, "__code__"):
        return called
    kind = type(value).__name__
    return f"{kind} {called!r}" if isinstance(called, str) else kind


def _builtin(value: Any) -> Any:
    """Return a container, perhaps wrapped by Keras, as one of Python's own."""
    for kind in (list, tuple, dict, frozenset):
        if isinstance(value, kind):
            return kind(value)
    return set(value)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
