"""The live model's answers to some batches, and how much a file's answers differ from them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import tensorflow as tf

from .._protos import MetaGraphDef
from ..errors import FreezeError, NotVerifiedError
from ..signature import SERVING, Signature
from . import run_standalone
from .asked import Verify
from .file_runs import FileRuns, OpenFile, digest_of
from .fit import array_of, held
from .layout import Content
from .tolerance import difference, scale


@dataclasses.dataclass(frozen=True)
class Case:
    """One batch, and what the model answers to it.

    Attributes:
      feeds: {input name of the file: array}, as fed to the model.
      outputs: {output name of the file: array}.
    """

    feeds: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Answered:
    """What the live model answers by one signature.

    Attributes:
      key: the signature's key.
      signature: the file's inputs and outputs.
      cases: the batches and the model's answers; without any, a file is only read back.
      dtypes: {input name: the model's dtype}; the file must have the same.
    """

    key: str
    signature: Signature
    cases: Sequence[Case]
    dtypes: Mapping[str, str]


class Expected:
    """The live model's answers to some batches; files are compared with them.

    Args:
      verify: the user's `verify=`, with a tolerance.
      parts: the answers by each signature.
      runs: runs the files of this plan.
      complete: whether the cases prove a new layout too.
    """

    def __init__(
        self, verify: Verify, parts: Sequence[Answered], runs: FileRuns, complete: bool
    ) -> None:
        self._verify = verify
        self._parts = parts
        self._runs = runs
        self._complete = complete

    @property
    def runs_files(self) -> bool:
        """Whether files are run, and not only read back."""
        return any(part.cases for part in self._parts)

    def together(self, others: Iterable[Expected]) -> Expected:
        """Return these answers with those by other signatures of the same files."""
        parts = [part for each in (self, *others) for part in each._parts]
        return Expected(self._verify, parts, self._runs, self._complete)

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
        try:
            same = functools.partial(_same, digest, called)
            file = self._runs.open(path, same, here=not self._verify.own_process)
            largest = max(self._largest(part, file, path, called) for part in self._parts)
        except NotVerifiedError:
            raise
        except (ValueError, tf.errors.OpError) as error:  # a FreezeError is a ValueError
            said = f"{called} cannot be run, and is not published: {error}"
            raise NotVerifiedError(said) from error
        self._runs.proven |= self._complete
        return largest, file.content

    def _largest(self, part: Answered, file: OpenFile, path: str, called: str) -> float:
        """Return the largest difference of the answers by one signature."""
        _check_names(part, file.content.around, called)
        outputs = part.signature.outputs
        fetches = [info.tensor for info in outputs]
        fed = [_fed(part, case, called) for case in part.cases]
        found = file.run(fed, fetches) if file.graph else _run_apart(path, fed, fetches)
        return max(
            self._apart(_told(part, info.name), array_of(ours), case.outputs[info.name], called)
            for answers, case in zip(found, part.cases)
            for ours, info in zip(answers, outputs)
        )

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


def _check_names(part: Answered, around: bytes, called: str) -> None:
    """Check the signature in a SavedModel, by which servers feed it and read its answers."""
    if not around:
        return
    ends = MetaGraphDef.FromString(around).signature_def[part.key]
    for infos, found in (
        (part.signature.inputs, ends.inputs),
        (part.signature.outputs, ends.outputs),
    ):
        wanted = {info.name: info.tensor for info in infos}
        named = {name: info.name for name, info in found.items()}
        if named != wanted:
            raise NotVerifiedError(
                f"{called} is not published: its signature {part.key!r} names the tensors {named}, "
                f"but the model's are {wanted}"
            )


def _fed(part: Answered, case: Case, called: str) -> Dict[str, Any]:
    """Return {tensor in the file: array of its dtype}."""
    found = {}
    for info in part.signature.inputs:
        own, name = part.dtypes.get(info.name, info.dtype), _told(part, info.name)
        if own != info.dtype:
            raise NotVerifiedError(
                f"{called} is not published: its input {name!r} is {info.dtype}, but "
                f"the model takes {own}"
            )
        if info.name not in case.feeds:
            continue
        try:
            found[info.tensor] = held(case.feeds[info.name], tf.as_dtype(info.dtype))
        except ValueError as error:
            raise NotVerifiedError(
                f"{called} is not published: its input {name!r} cannot take what the "
                f"model takes: {error}"
            ) from None
    return found


def _told(part: Answered, name: str) -> str:
    """Return the name of an input or output for messages."""
    return name if part.key == SERVING else f"{part.key}: {name}"


def _same(written: str, called: str, found: str) -> None:
    if found != written:
        raise NotVerifiedError(
            f"{called} is not published: its bytes were written with the hash {written} and read "
            f"back with the hash {found}: the disk, the file system or another program changed "
            "them; try again, or write to another disk"
        )


def own(case: Case) -> Case:
    """Return a case whose answers are arrays that nothing else changes."""
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
