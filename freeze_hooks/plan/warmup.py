"""Fits the feeds of a server's warm-up request to a file's inputs."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ..errors import FreezeError, UnknownNameError, near
from ..graph.exact import exact
from ..signature import Signature


def fitted(feeds: Any, signature: Signature) -> Dict[str, Any]:
    """Return {input name: array of the input's dtype} for the user's `warmup=`.

    Raises:
      UnknownNameError: it names no input, or lacks one.
      FreezeError: it is no mapping, or a value does not fit its input.
    """
    if not isinstance(feeds, Mapping):
        raise FreezeError(f"warmup= is a dict of arrays by input name, not {feeds!r}")
    inputs = {info.name: info for info in signature.inputs}
    for name in feeds:
        if name not in inputs:
            close = near(str(name), inputs) or list(inputs)
            raise UnknownNameError(f"warmup= names {name!r}, but the inputs are {close}")
    missing = [name for name in inputs if name not in feeds]
    if missing:
        raise UnknownNameError(f"warmup= lacks the inputs {missing}")
    found = {name: exact(value, inputs[name].dtype, name) for name, value in feeds.items()}
    for name, array in found.items():
        _check_shape(array.shape, inputs[name].shape, name)
    return found


def _check_shape(given: Any, shape: Any, name: str) -> None:
    if shape is None:
        return
    fits = len(given) == len(shape) and all(b in (None, a) for a, b in zip(given, shape))
    if not fits:
        raise FreezeError(
            f"warmup= has an array of shape {list(given)} for {name!r}, "
            f"whose shape is {list(shape)}"
        )
