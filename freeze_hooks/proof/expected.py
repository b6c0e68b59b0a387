"""The live model's answers, and how much a file's answers differ from them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from ..errors import FreezeError, NotVerifiedError
from ..signature import Signature, TensorInfo
from . import run_standalone
from .asked import Verify
from .composite_feeds import Composite, fitting
from .feeds import batches, unfit
from .file_runs import FileRuns, digest_of
from .fit import array_of, held
from .layout import Content
from .tolerance import difference, scale

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_NONE: Mapping[str, str] = {}
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


class Asking:
    """Asks a live model for the answers that files of one plan must repeat.

    The first file of a layout is compared on all batches, later ones on the first batch: the other
    batches have other sizes, and sizes depend on the layout alone.

    Args:
      verify: the user's `verify=`, with a tolerance.
      signature: the files' signature.
    """

    def __init__(self, verify: Verify, signature: Signature) -> None:
        self.verify, self.signature = verify, signature
        self.runs = FileRuns()
        self._batches: Optional[List[Mapping[str, Any]]] = None

    @property
    def bytes_only(self) -> bool:
        """Whether the next file is only read back, and not run."""
        return self.verify.first_only and self.runs.proven

    def expected(
        self,
        taken: Sequence[TensorInfo],
        answer: Answer,
        hints: Callable[[], Mapping[str, Any]] = dict,
        composites: Sequence[Composite] = (),
    ) -> Expected:
        """Return the model's answers to one or two batches.

        Args:
          taken: the file's inputs, with the dtypes and shapes that the model has for them.
          answer: runs the model, by the file's names: {input: array} -> {output: array}.
          hints: returns {input name: hint} for random feeds, as in `random_feeds`.
          composites: the ragged and sparse arguments; the parts of each must fit each other.

        Raises:
          FreezeError: the model does not accept the feeds.
        """
        verify = self.verify
        if self._batches is None:
            found = list(batches(verify, taken, {} if verify.feeds else hints()))
            if verify.feeds is None:
                found = [fitting(feeds, composites, verify.seed) for feeds in found]
            self._batches = found
        first, *others = self._batches
        try:
            cases = [Case(first, answer(first))]
        except FreezeError:
            raise
        except _REFUSED as error:
            raise unfit(verify, error) from error
        for feeds in () if self.runs.proven else others:
            with contextlib.suppress(*_REFUSED):  # the model accepts only the first batch's size
                cases.append(Case(feeds, answer(feeds)))
        return self.of(cases, {info.name: info.dtype for info in taken})

    def of(self, cases: Sequence[Case] = (), dtypes: Mapping[str, str] = _NONE) -> Expected:
        """Return these answers as an Expected; without cases, a file is only read back."""
        complete = not self.runs.proven
        return Expected(self.verify, self.signature, cases, dtypes, self.runs, complete)


class Expected:
    """The live model's answers to some batches; files are compared with them.

    Args:
      verify: the user's `verify=`, with a tolerance.
      signature: the file's signature.
      cases: the batches and the model's answers; without any, a file is only read back.
      dtypes: {input name: the model's dtype}; the file must have the same.
      runs: runs the files of this plan.
      complete: whether the cases prove a new layout too.
    """

    def __init__(
        self,
        verify: Verify,
        signature: Signature,
        cases: Sequence[Case],
        dtypes: Mapping[str, str],
        runs: FileRuns,
        complete: bool,
    ) -> None:
        self._verify = verify
        self._signature = signature
        self._cases = [_own(case) for case in cases]
        self._dtypes = dtypes
        self._runs = runs
        self._complete = complete

    @property
    def runs_files(self) -> bool:
        """Whether files are run, and not only read back."""
        return bool(self._cases)

    def read_back(self, path: str, called: str, digest: str) -> None:
        """Read a file, and compare its hash with that of the bytes that were written.

        Args:
          path: the file.
          called: its final name, for messages.
          digest: xxh3_64 of what was written, in hexadecimal.

        Raises:
          NotVerifiedError: the hashes differ.
        """
        _same(digest, called, digest_of(path))

    def difference(self, path: str, called: str, digest: str) -> Tuple[float, Content]:
        """Read and run a file, and compare it with the live answers.

        Returns:
          The largest absolute difference, and what was read of the file.

        Raises:
          NotVerifiedError: the file is not what was written, has other inputs or outputs than the
            model, cannot be run, or differs by more than the tolerance.
        """
        fetches = [info.tensor for info in self._signature.outputs]
        try:
            same = functools.partial(_same, digest, called)
            file = self._runs.open(path, same, here=not self._verify.own_process)
            fed = [self._fed(case, called) for case in self._cases]
            found = file.run(fed, fetches) if file.graph else _run_apart(path, fed, fetches)
        except NotVerifiedError:
            raise
        except (ValueError, tf.errors.OpError) as error:  # a FreezeError is a ValueError
            said = f"{called} cannot be run, and is not published: {error}"
            raise NotVerifiedError(said) from error
        largest = max(
            self._apart(info.name, array_of(ours), case.outputs[info.name], called)
            for answers, case in zip(found, self._cases)
            for ours, info in zip(answers, self._signature.outputs)
        )
        self._runs.proven |= self._complete
        return largest, file.content

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


def _same(written: str, called: str, found: str) -> None:
    if found != written:
        raise NotVerifiedError(
            f"{called} is not published: its bytes were written with the hash {written} and read "
            f"back with the hash {found}: the disk, the file system or another program changed "
            "them; try again, or write to another disk"
        )


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
