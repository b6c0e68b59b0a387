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
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import tensorflow as tf

from .._protos import MetaGraphDef
from ..errors import FreezeError, NotVerifiedError
from ..signature import Signature
from . import run_standalone
from .asked import Verify
from .file_runs import FileRuns, digest_of
from .fit import array_of, held
from .graph_models import MAIN, read_model
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
            self._check_names(file.content.around, called)
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

    def _check_names(self, around: bytes, called: str) -> None:
        """Check the signature in a SavedModel, by which servers feed it and read its answers."""
        if not around:
            return
        ends = MetaGraphDef.FromString(around).signature_def["serving_default"]
        for infos, found in (
            (self._signature.inputs, ends.inputs),
            (self._signature.outputs, ends.outputs),
        ):
            wanted = {info.name: info.tensor for info in infos}
            named = {name: info.name for name, info in found.items()}
            if named != wanted:
                raise NotVerifiedError(
                    f"{called} is not published: its signature names the tensors {named}, but the "
                    f"model's are {wanted}"
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
        if os.path.basename(path) == MAIN:  # TensorFlow cannot read it
            graph_def = read_model(path).whole()
            path = os.path.join(tmp, "graph.pb")
            with open(path, "wb") as file:
                file.write(graph_def)
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
