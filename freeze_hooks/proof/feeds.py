"""What a file and its model are both fed."""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable

import numpy as np
import tensorflow as tf

from ..errors import FreezeError, UnknownNameError, near
from ..signature import Signature, TensorInfo
from .asked import Verify

_BATCH, _SIZE = 2, 32  # of random feeds: the first dimension, and another, where they are open


def check_feeds(verify: Verify, signature: Signature, optional: Container[str] = ()) -> None:
    """See that the feeds are those of a file, or that random ones can be made.

    Raises:
      UnknownNameError: an input has no feed, or a feed no input.
      FreezeError: an input's rank is unknown.
    """
    names = [info.name for info in signature.inputs]
    if verify.feeds is None:
        for info in signature.inputs:
            if info.shape is None:
                raise FreezeError(
                    f"verify=True: the rank of input {info.name!r} is unknown: give sample feeds, "
                    f"verify={{{info.name!r}: array}}"
                )
        return
    for name in verify.feeds:
        if name not in names:
            close = near(name, names) or names
            raise UnknownNameError(
                f"verify= feeds {name!r}, which is no input of the file; inputs are: "
                f"{', '.join(map(repr, close)) or 'none'}"
            )
    missing = [name for name in names if name not in verify.feeds and name not in optional]
    if missing:
        raise UnknownNameError(f"verify= has no feed for {', '.join(map(repr, missing))}")


def feeds_of(verify: Verify, signature: Signature) -> Dict[str, Any]:
    """{input name: array} to compare on."""
    if verify.feeds is None:
        return random_feeds(signature.inputs, verify.seed)
    types = {info.name: tf.as_dtype(info.dtype).as_numpy_dtype for info in signature.inputs}
    return {name: np.asarray(value, types[name]) for name, value in verify.feeds.items()}


def random_feeds(inputs: Iterable[TensorInfo], seed: int = 0) -> Dict[str, Any]:
    """{input name: array}: normal numbers, or whole ones of 0 and 1, which most tables have.

    Raises:
      FreezeError: an input's rank is unknown, or it is of a dtype that cannot be made up.
    """
    random = np.random.RandomState(seed)
    return {info.name: _random_feed(info, random) for info in inputs}


def _random_feed(info: TensorInfo, random: Any) -> Any:
    if info.shape is None:
        raise FreezeError(f"the rank of input {info.name!r} is unknown: give it in feeds")
    sizes = [(_SIZE if i else _BATCH) if s is None else s for i, s in enumerate(info.shape)]
    dtype = tf.as_dtype(info.dtype)
    if dtype == tf.string:
        return np.full(sizes, b"0", object)
    if dtype.is_complex:
        return (random.randn(*sizes) + 1j * random.randn(*sizes)).astype(dtype.as_numpy_dtype)
    if dtype.is_floating:
        return np.asarray(random.randn(*sizes)).astype(dtype.as_numpy_dtype)
    if dtype.is_integer or dtype.is_bool:
        return np.asarray(random.randint(0, 2, sizes)).astype(dtype.as_numpy_dtype)
    raise FreezeError(f"input {info.name!r} is {info.dtype}: give it in feeds")


def unfit(verify: Verify, error: Exception) -> FreezeError:
    """The error of feeds that the model does not take."""
    who = "the model cannot take the feeds that verify= has"
    if verify.feeds is None:
        who = "verify= makes random feeds, and this model cannot take them"
    said = " ".join(str(error).split("[[")[0].split())
    return FreezeError(f"{who}: {said}; give others, verify={{name: array}}")
