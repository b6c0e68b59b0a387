"""Artifact: what was written, as functions return it and hooks list it."""

from __future__ import annotations

import dataclasses
from typing import Mapping, Optional

from ..signature import SERVING, Signature, chosen, with_others


@dataclasses.dataclass(frozen=True)
class Artifact:
    """Print it to see what was written; `artifact.path` is the file.

    Functions return it, `hook.artifacts` lists it, and `on_publish=` gets it.

    Attributes:
      path: the file's path.
      step: the global step of its values; None if there is no step.
      signature: its inputs and outputs, with names, dtypes and shapes; those of the main signature.
      metrics: {name: value} of the metrics measured when it was written.
      bytes: its size.
      seconds: wall time from the first byte read to the file's rename.
      hash: xxh3_64 of its bytes, in hexadecimal.
      max_difference: with `verify=`, the largest difference between its and the live answers.
      others: {key: Signature} of its further signatures.
    """

    path: str
    step: Optional[int]
    signature: Signature
    metrics: Mapping[str, float]
    bytes: int
    seconds: float
    hash: str
    max_difference: Optional[float] = None
    others: Mapping[str, Signature] = dataclasses.field(default_factory=dict)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """All its signatures by key; the main one is "serving_default"."""
        return with_others(self.signature, self.others)

    def of_signature(self, key: str) -> Artifact:
        """Return the same artifact with another of its signatures as the main one.

        Raises:
          UnknownNameError: it has no such signature; names near matches.
        """
        if key == SERVING:
            return self
        return dataclasses.replace(self, signature=chosen(self.signatures, key, self.path))

    def __str__(self) -> str:
        step = "" if self.step is None else f" step {self.step}"
        proof = "" if self.max_difference is None else f", max diff {self.max_difference:.2g}"
        size = f"{self.bytes / 1e6:.1f} MB, {self.seconds:.2f} s"
        return f"Froze{step} -> {self.path} ({size}{proof})"


class Undescribed(OSError):
    """The frozen file was written, but not its description beside it (`.pb.json`)."""

    def __init__(self, artifact: Artifact, error: OSError) -> None:
        super().__init__(str(error))
        self.artifact, self.errno = artifact, error.errno
