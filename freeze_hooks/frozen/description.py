"""The description that a frozen file contains."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional

from .. import __version__
from ..signature import Signature
from ..storage import atomic

FORMAT = 1  # the version of the description


def describe(
    signature: Signature, step: Optional[int], metrics: Mapping[str, float], values: str
) -> Dict[str, Any]:
    """Return the description of a frozen file, in JSON types."""
    from .._tf import VERSION  # who writes a file has TensorFlow; who reads one need not

    return {
        "format": FORMAT,
        "signature": dataclasses.asdict(signature),
        "step": step,
        "metrics": {name: atomic.json_number(value) for name, value in metrics.items()},
        "values": values,
        "versions": {"freeze_hooks": __version__, "tensorflow": VERSION},
    }
