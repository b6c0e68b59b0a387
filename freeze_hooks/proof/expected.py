"""The live model's answers, and how much a file's answers differ from them."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import tensorflow as tf

from ..errors import FreezeError, NotVerifiedError
from ..signature import Signature, TensorInfo
from . import run_standalone
from .asked import Verify
from .composite_feeds import Composite, fitting
from .feeds import batches, unfit
from .fit import array_of, held
from .tolerance import difference, scale

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
# raised by a model that does not accept its feeds
_REFUSED = (tf.errors.InvalidArgumentError, ValueError, TypeError)


@dataclasses.dataclass(frozen=True)
class Case:
    """One batch, and what the model answers to it.

    Attributes:
      feeds: {input name of the file: array}, as fed to the model.
      outputs: {output name of the file: array}.
    """

    feeds: Mapping[str, Any]
    outputs: Mapping[str, Any]


def expected_of(
    verify: Verify,
    signature: Signature,
    taken: Sequence[TensorInfo],
    answer: Answer,
    hints: Optional[Mapping[str, Any]] = None,
    composites: Sequence[Composite] = (),
) -> Expected:
    """Ask the model for its answers to one or two batches, and return them.

    Args:
      verify: the user's `verify=`, with or without feeds.
      signature: the file's signature.
      taken: the file's inputs, with the dtypes and shapes that the model has for them.
      answer: runs the model, by the file's names: {input: array} -> {output: array}.
      hints: {input name: hint} for random feeds, as in `random_feeds`.
      composites: the ragged and sparse arguments; the parts of each must fit each other.

    Raises:
      FreezeError: the model does not accept the feeds.
    """
    first, *others = batches(verify, taken, hints)
    if verify.feeds is None:
        first, *others = (fitting(f, composites, verify.seed) for f in (first, *others))
    try:
        cases = [Case(first, answer(first))]
    except FreezeError:
        raise
    except _REFUSED as error:
        raise unfit(verify, error) from error
    for feeds in others:
        with contextlib.suppress(*_REFUSED):  # the model accepts only the first batch's size
            cases.append(Case(feeds, answer(feeds)))
    return Expected(verify, signature, cases, {info.name: info.dtype for info in taken})


class Expected:
    """The live model's answers to some batches; files are compared with them.

    Args:
      verify: the user's `verify=`, with a tolerance.
      signature: the file's signature.
      cases: the batches and the model's answers.
      dtypes: {input name: the model's dtype}; the file must have the same.
    """

    def __init__(
        self,
        verify: Verify,
        signature: Signature,
        cases: Sequence[Case],
        dtypes: Mapping[str, str],
    ) -> None:
        self._verify = verify
        self._signature = signature
        self._cases = [_own(case) for case in cases]
        self._dtypes = dtypes

    def difference(self, path: str, called: str) -> float:
        """Run a file, and return the largest absolute difference from the live answers.

        Args:
          path: the file.
          called: its final name, for messages.

        Raises:
          NotVerifiedError: the file has other inputs or outputs than the model, cannot be run, or
            differs by more than the tolerance.
        """
        fed = [self._fed(case, called) for case in self._cases]
        fetches = [info.tensor for info in self._signature.outputs]
        try:
            run = _run_apart if self._verify.own_process else run_standalone.answers
            found = run(path, fed, fetches)
        except (ValueError, tf.errors.OpError) as error:  # a FreezeError is a ValueError
            said = f"{called} cannot be run, and is not published: {error}"
            raise NotVerifiedError(said) from error
        return max(
            self._apart(info.name, array_of(ours), case.outputs[info.name], called)
            for answers, case in zip(found, self._cases)
            for ours, info in zip(answers, self._signature.outputs)
        )

    def _fed(self, case: Case, called: str) -> Dict[str, Any]:
        """Return {tensor in the file: array of its dtype}."""
        found = {}
        for info in self._signature.inputs:
            own = self._dtypes.get(info.name, info.dtype)
            if own != info.dtype:
                raise NotVerifiedError(
                    f"{called} is not published: its input {info.name!r} is {info.dtype}, but "
                    f"the model takes {own}"
                )
            if info.name not in case.feeds:
                continue
            try:
                found[info.tensor] = held(case.feeds[info.name], tf.as_dtype(info.dtype))
            except ValueError as error:
                raise NotVerifiedError(
                    f"{called} is not published: its input {info.name!r} cannot take what the "
                    f"model takes: {error}"
                ) from None
        return found

    def _apart(self, name: str, ours: Any, live: Any, called: str) -> float:
        for what, one, other in (
            ("dtype", _kind(ours), _kind(live)),
            ("shape", ours.shape, live.shape),
        ):
            if one != other:
                raise NotVerifiedError(
                    f"{called} is not published: its output {name!r} has the {what} {one}, but "
                    f"the live model's has {other}"
                )
        largest = difference(ours, live)
        allowed = (self._verify.tolerance or 0.0) * scale(live)
        if largest > allowed:
            raise NotVerifiedError(
                f"{called} is not published: its output {name!r} differs from the live "
                f"model's by {largest:.3g}; verify= allows {allowed:.3g}"
            )
        return largest


def _own(case: Case) -> Case:
    outputs = {name: array_of(value) for name, value in case.outputs.items()}
    return Case(dict(case.feeds), outputs)


def _kind(array: Any) -> str:
    return "string" if array.dtype.kind in "OSU" else str(array.dtype)


def _run_apart(
    path: str, fed: Sequence[Mapping[str, Any]], fetches: Sequence[str]
) -> List[List[Any]]:
    """Call run_standalone.answers in a Python process that imports only TensorFlow."""
    with tempfile.TemporaryDirectory() as tmp:
        odd = [
            run_standalone.write_arrays(os.path.join(tmp, f"batch-{i}.npz"), batch)
            for i, batch in enumerate(fed)
        ]
        with open(os.path.join(tmp, "names.json"), "w") as file:
            json.dump({"dtypes": odd, "fetches": list(fetches)}, file)
        run = subprocess.run(
            [sys.executable, "-c", inspect.getsource(run_standalone), path, tmp],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if run.returncode:
            said = run.stderr.decode(errors="replace").strip().splitlines()
            raise FreezeError(said[-1] if said else f"its process ended with {run.returncode}")
        with open(os.path.join(tmp, "found.json")) as file:
            kinds = json.load(file)
        arrays = (
            run_standalone.read_arrays(os.path.join(tmp, f"found-{i}.npz"), odd)
            for i, odd in enumerate(kinds)
        )
        return [[found[str(place)] for place in range(len(fetches))] for found in arrays]
