"""The feeds for both a file and its model: a user's, or random ones."""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Set

import numpy as np
import tensorflow as tf

from ..errors import FreezeError, UnknownNameError, near
from ..signature import Signature, TensorInfo
from .asked import Verify
from .fit import array_of

# Random feeds: (size of the first dimension, of all others) where the shape leaves it open. There
# are two batches, since a file that fixes such a size by mistake accepts only one of them.
_SIZES = ((2, 32), (3, 48))
_MOST_KEYS = 64  # keys of a lookup table in one batch
VALUES = "values"  # a hint: the graph computes with these whole numbers, so any number is valid


def check_feeds(verify: Verify, taken: Sequence[TensorInfo], optional: Container[str] = ()) -> None:
    """Check that the feeds match a file's inputs, or that random feeds can be made.

    Raises:
      UnknownNameError: an input has no feed, or a feed has no input.
      FreezeError: an input's rank is unknown.
    """
    names = [info.name for info in taken]
    if verify.feeds is None:
        for info in taken:
            if info.shape is None:
                raise FreezeError(
                    f"verify=True: the rank of input {info.name!r} is unknown: give sample feeds, "
                    f"verify={{{info.name!r}: array}}"
                )
        return
    for name in verify.feeds:
        if name not in names:
            raise UnknownNameError(_no_input(name, names))
    missing = [name for name in names if name not in verify.feeds and name not in optional]
    if missing:
        raise UnknownNameError(f"verify= has no feed for {', '.join(map(repr, missing))}")


def feeds_by_signature(
    feeds: Optional[Mapping[str, Any]], signatures: Mapping[str, Signature]
) -> Dict[str, Optional[Mapping[str, Any]]]:
    """Return the user's feeds for each signature; None where random ones are to be made.

    The feeds are {input name: array}, which each signature with these inputs takes; or
    {signature: {input name: array}}.

    Raises:
      UnknownNameError: a feed is for no input of any signature.
    """
    if feeds is None or (len(signatures) == 1 and not _is_by_signature(feeds, signatures)):
        return dict.fromkeys(signatures, feeds)
    if _is_by_signature(feeds, signatures):
        return {key: feeds.get(key) for key in signatures}
    found: Dict[str, Optional[Mapping[str, Any]]] = {}
    used: Set[str] = set()
    for key, signature in signatures.items():
        inputs = [info.name for info in signature.inputs]
        own = {name: value for name, value in feeds.items() if _is_among(name, inputs)}
        used |= set(own)
        found[key] = own or None
    names = [info.name for signature in signatures.values() for info in signature.inputs]
    for name in feeds:
        if name not in used:
            raise UnknownNameError(_no_input(name, names))
    return found


def _is_by_signature(feeds: Mapping[str, Any], signatures: Mapping[str, Signature]) -> bool:
    return bool(feeds) and all(
        key in signatures and isinstance(value, Mapping) for key, value in feeds.items()
    )


def _is_among(name: str, inputs: Sequence[str]) -> bool:
    """Return whether a name is an input's, or that of a ragged or sparse one whose parts are."""
    return any(known == name or known.startswith(name + "/") for known in inputs)


def _no_input(name: str, inputs: Sequence[str]) -> str:
    close = near(name, inputs) or inputs
    return (
        f"verify= feeds {name!r}, which is not an input of the file; its inputs: "
        f"{', '.join(map(repr, close)) or 'none'}"
    )


def batches(
    verify: Verify, taken: Sequence[TensorInfo], hints: Optional[Mapping[str, Any]] = None
) -> Iterator[Dict[str, Any]]:
    """Yield the batches to compare on: {input name: array} in the model's dtypes.

    A second batch, with other sizes, follows where the shapes leave sizes open.

    Args:
      verify: the user's `verify=`, with or without feeds.
      taken: the model's inputs.
      hints: as in `random_feeds`.
    """
    if verify.feeds is not None:
        given = {name: array_of(value) for name, value in verify.feeds.items()}
        yield given
        other = _resized(given, taken)
        if other is not None:
            yield other
        return
    yield random_feeds(taken, verify.seed, hints)
    if any(None in (info.shape or ()) for info in taken):
        yield random_feeds(taken, verify.seed + 1, hints, _SIZES[1])


def _resized(given: Mapping[str, Any], taken: Sequence[TensorInfo]) -> Optional[Dict[str, Any]]:
    """Return half of a batch, or a batch of one twice; None if no batch size is open."""
    open_ = [
        info.name
        for info in taken
        if info.name in given and given[info.name].ndim and (info.shape or (None,))[0] is None
    ]
    sizes = {len(given[name]) for name in open_}
    if len(sizes) != 1 or sizes == {0}:
        return None
    size = sizes.pop()
    wanted = np.arange(2) % size if size < 2 else np.arange(size - size // 2)
    return {name: array[wanted] if name in open_ else array for name, array in given.items()}


def random_feeds(
    inputs: Iterable[TensorInfo],
    seed: int = 0,
    hints: Optional[Mapping[str, Any]] = None,
    sizes: Sequence[int] = _SIZES[0],
) -> Dict[str, Any]:
    """Return random feeds {input name: array}.

    Floating numbers are normally distributed. Whole numbers are 0 or 1, since these are valid rows
    of most tables. A string is "0".

    Args:
      inputs: the inputs to feed.
      seed: the seed of the random numbers.
      hints: {input name: VALUES, or an array of the keys of the table that looks it up}.
      sizes: (size of the first dimension, of all others) where the shape leaves it open.

    Raises:
      FreezeError: an input's rank is unknown, or there are no random values of its dtype.
    """
    random = np.random.RandomState(seed)
    hints = hints or {}
    keys = [len(hint) for hint in hints.values() if not isinstance(hint, str)]
    batch = max([sizes[0], *(min(count, _MOST_KEYS) + sizes[0] - 2 for count in keys)])
    return {
        info.name: _random_feed(info, random, hints.get(info.name), (batch, sizes[1]))
        for info in inputs
    }


def _random_feed(info: TensorInfo, random: Any, hint: Any, sizes: Sequence[int]) -> Any:
    if info.shape is None:
        raise FreezeError(f"the rank of input {info.name!r} is unknown: give it in feeds")
    shape = [sizes[min(i, 1)] if size is None else size for i, size in enumerate(info.shape)]
    dtype = tf.as_dtype(info.dtype)
    if hint is not None and not isinstance(hint, str) and len(hint):
        order = random.permutation(len(hint))
        count = int(np.prod(shape, dtype=np.int64))
        return np.resize(hint[order], count).reshape(shape)
    if dtype == tf.string:
        return np.full(shape, b"0", object)
    if dtype.is_complex:
        return (random.randn(*shape) + 1j * random.randn(*shape)).astype(dtype.as_numpy_dtype)
    if dtype.is_floating:
        return np.asarray(random.randn(*shape)).astype(dtype.as_numpy_dtype)
    if dtype.is_integer or dtype.is_bool:
        most = 1 if dtype.is_bool or hint != VALUES else min(dtype.max, 255)
        return np.asarray(random.randint(0, most + 1, shape)).astype(dtype.as_numpy_dtype)
    raise FreezeError(f"input {info.name!r} is {info.dtype}: give it in feeds")


def unfit(verify: Verify, error: Exception) -> FreezeError:
    """Return the error for feeds that the model does not accept."""
    who = "the model cannot take the feeds of verify="
    if verify.feeds is None:
        who = "verify= makes random feeds, and this model cannot take them"
    said = " ".join(str(error).split("[[")[0].split())
    return FreezeError(f"{who}: {said}; give others, verify={{name: array}}")
