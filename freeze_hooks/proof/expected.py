"""What the live model answers, and how far a file is from it."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Mapping, Sequence

import numpy as np
import tensorflow as tf

from ..errors import FreezeError, NotVerifiedError
from ..signature import Signature
from . import run_standalone
from .asked import Verify
from .tolerance import difference, scale


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
            run = _run_apart if self._verify.own_process else run_standalone.answers
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
            allowed = (self._verify.tolerance or 0.0) * scale(live)
            if largest > allowed:
                raise NotVerifiedError(
                    f"{called} is not published: its output {name!r} differs from the live "
                    f"model's by {largest:.3g}, where verify= allows {allowed:.3g}"
                )
            most = max(most, largest)
        return most


def _run_apart(path: str, feeds: Mapping[str, Any], fetches: Sequence[str]) -> Sequence[Any]:
    """What run_standalone.answers gives, in a Python process that has only TensorFlow."""
    with tempfile.TemporaryDirectory() as tmp:
        given, asked, out = (os.path.join(tmp, n) for n in ("in.npz", "names.json", "out.npz"))
        np.savez(given, **{str(i): value for i, value in enumerate(feeds.values())})
        with open(asked, "w") as file:
            json.dump({"feeds": list(feeds), "fetches": list(fetches)}, file)
        run = subprocess.run(
            [sys.executable, "-c", inspect.getsource(run_standalone), path, given, asked, out],
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
