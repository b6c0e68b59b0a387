"""The description that a frozen file contains."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional

from .. import __version__
from ..signature import Signature
from ..storage import atomic

FORMAT = 1  # the version of the description


def describe(
    signatures: Mapping[str, Signature],
    step: Optional[int],
    metrics: Mapping[str, float],
    values: str,
) -> Dict[str, Any]:
    """Return the description of a frozen file, in JSON types."""
    from .._tf import VERSION  # who writes a file has TensorFlow; who reads one need not

    main, *others = signatures.values()
    several = {key: dataclasses.asdict(each) for key, each in signatures.items() if others}
    return {
        "format": FORMAT,
        "signature": dataclasses.asdict(main),
        **({"signatures": several} if several else {}),
        "step": step,
        "metrics": {name: atomic.json_number(value) for name, value in metrics.items()},
        "values": values,
        "versions": {"freeze_hooks": __version__, "tensorflow": VERSION},
    }


def completed(
    description: Mapping[str, Any], digest: str, difference: Optional[float]
) -> Dict[str, Any]:
    """Return a description with what is known once the file is complete: its hash, and its proof.

    Args:
      description: what was written into the file.
      digest: xxh3_64 of the file, in hexadecimal.
      difference: the largest difference that its proof has found; None without a proof.
    """
    found = dict(description, hash={"algorithm": "xxh3_64", "value": digest})
    if difference is not None:
        found["max_difference"] = difference
    return found
