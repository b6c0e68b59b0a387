"""Proof of a written file: its answers are compared with those of the model it was made of."""

from __future__ import annotations

import inspect
import json
import mmap
import os
import subprocess
import sys
import tempfile
import uuid
from typing import Any, Container, Dict, Iterable, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf
import xxhash

from . import plain, remote
from .errors import FreezeError, NotVerifiedError, UnknownNameError
from .graph.names import near
from .plan import Signature, TensorInfo
from .spec import Verify

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


class Expected:
    """What the live model answers to some feeds, to compare a file with.

    Args:
      verify: with a tolerance.
      signature: the file's.
      feeds: {input name: array}.
      outputs: {output name: array}.
    """

    def __init__(
        self,
        verify: Verify,
        signature: Signature,
        feeds: Mapping[str, Any],
        outputs: Mapping[str, Any],
    ) -> None:
        self._verify = verify
        self._feeds = {i.tensor: feeds[i.name] for i in signature.inputs if i.name in feeds}
        self._fetches = [info.tensor for info in signature.outputs]
        self._outputs = {info.name: np.asarray(outputs[info.name]) for info in signature.outputs}

    def difference(self, path: str, called: str) -> float:
        """The largest absolute difference between a file's answers and the live ones.

        Args:
          path: the file.
          called: what it will be called, for messages.

        Raises:
          NotVerifiedError: it cannot be run, or it is over the tolerance.
        """
        try:
            run = _run_apart if self._verify.own_process else plain.answers
            found = run(path, self._feeds, self._fetches)
        except (ValueError, tf.errors.OpError) as error:  # ours are ValueErrors too
            said = f"{called} cannot be run, and is not published: {error}"
            raise NotVerifiedError(said) from error
        most = 0.0
        for ours, (name, live) in zip(found, self._outputs.items()):
            if np.shape(ours) != live.shape:
                raise NotVerifiedError(
                    f"{called} is not published: its output {name!r} has the shape "
                    f"{np.shape(ours)}, where the live model's has {live.shape}"
                )
            largest = difference(ours, live)
            allowed = (self._verify.tolerance or 0.0) * _scale(live)
            if largest > allowed:
                raise NotVerifiedError(
                    f"{called} is not published: its output {name!r} differs from the live "
                    f"model's by {largest:.3g}, where verify= allows {allowed:.3g}"
                )
            most = max(most, largest)
        return most


def difference(one: Any, other: Any) -> float:
    """The greatest difference of two arrays' elements; NaN equals NaN.

    Infinite where shapes differ, or elements that are no numbers. Of floating arrays of different
    dtypes, the wider is rounded to the narrower first.
    """
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return float("inf")
    if one.dtype.kind in "OSUb" or other.dtype.kind in "OSUb":
        return 0.0 if np.array_equal(_texts(one), _texts(other)) else float("inf")
    if one.dtype != other.dtype:
        narrow = min(one.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
        one, other = one.astype(narrow), other.astype(narrow)
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    one, other = one.astype(wide), other.astype(wide)
    unlike = (one != other) & ~(np.isnan(one) & np.isnan(other))
    if not unlike.any():
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(one[unlike] - other[unlike])
    return float("inf") if np.isnan(apart).any() else float(apart.max())


def _texts(array: Any) -> List[Any]:
    flat = array.reshape(-1).tolist()
    return [text.encode() if isinstance(text, str) else text for text in flat]


def _scale(live: Any) -> float:
    """What a tolerance is a part of; nothing for what is no floating number."""
    if live.dtype.kind in "OSUbiu" or not live.size:
        return 0.0
    size = np.abs(live.astype(np.complex128))
    return float(max(1.0, size[np.isfinite(size)].max(initial=0.0)))


def _run_apart(path: str, feeds: Mapping[str, Any], fetches: Sequence[str]) -> Sequence[Any]:
    """What plain.answers gives, in a Python process that has only TensorFlow."""
    with tempfile.TemporaryDirectory() as tmp:
        given, asked, out = (os.path.join(tmp, n) for n in ("in.npz", "names.json", "out.npz"))
        np.savez(given, **{str(i): value for i, value in enumerate(feeds.values())})
        with open(asked, "w") as file:
            json.dump({"feeds": list(feeds), "fetches": list(fetches)}, file)
        run = subprocess.run(
            [sys.executable, "-c", inspect.getsource(plain), path, given, asked, out],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if run.returncode:
            said = run.stderr.decode(errors="replace").strip().splitlines()
            raise FreezeError(said[-1] if said else f"its process ended with {run.returncode}")
        with np.load(out, allow_pickle=True) as found:
            return [found[str(i)] for i in range(len(fetches))]


class Proof:
    """The place in a file's description where the difference is noted once it is known.

    Attributes:
      mark: stands in the description until then.
      difference: what was found.
    """

    def __init__(self, expected: Expected, path: str) -> None:
        self._expected = expected
        self._path = path
        # written over in place, which a path with a scheme does not allow
        self.mark: Optional[str] = None if remote.is_remote(path) else uuid.uuid4().hex
        self.difference: Optional[float] = None

    def check(self, temporary: str) -> Optional[str]:
        """Run a file that is all written, and note the difference in it.

        Returns:
          The file's new hash, if it was changed.

        Raises:
          NotVerifiedError: it does not answer as the live model.
        """
        self.difference = self._expected.difference(temporary, self._path)
        if self.mark is None:
            return None
        mark = json.dumps(self.mark).encode()
        with open(temporary, "r+b") as file:
            with mmap.mmap(file.fileno(), 0) as view:
                place = view.rfind(mark)
                view[place : place + len(mark)] = _padded(self.difference, len(mark))
                view.flush()
                digest = xxhash.xxh3_64(view).hexdigest()
            os.fsync(file.fileno())
        return digest


def _padded(number: float, length: int) -> bytes:
    return json.dumps(number).encode().ljust(length)
