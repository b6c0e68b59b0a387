"""The description that a frozen file contains."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional

from .. import __version__
from ..errors import InvalidFileError
from ..signature import Signature
from ..storage import atomic
from .assets import NOTED, noted

FORMAT = 1  # the version of the description
CUSTOM = "custom_metadata"


def describe(
    signatures: Mapping[str, Signature],
    step: Optional[int],
    metrics: Mapping[str, float],
    values: str,
    custom: Mapping[str, Any],
    assets: Mapping[str, bytes],
) -> Dict[str, Any]:
    """Return the description of a frozen file, in JSON types.

    Args:
      signature, step, metrics: as in an Artifact.
      values: where the values are from.
      custom: the user's metadata of this save.
      assets: the assets' content by their names.
    """
    from .._tf import VERSION  # who writes a file has TensorFlow; who reads one need not

    main, *others = signatures.values()
    several = {key: dataclasses.asdict(each) for key, each in signatures.items() if others}
    found: Dict[str, Any] = {
        "format": FORMAT,
        "signature": dataclasses.asdict(main),
        **({"signatures": several} if several else {}),
        "step": step,
        "metrics": {name: atomic.json_number(value) for name, value in metrics.items()},
        "values": values,
        "versions": {"freeze_hooks": __version__, "tensorflow": VERSION},
    }
    if custom:
        found[CUSTOM] = custom
    if assets:
        found[NOTED] = noted(assets)
    return found


def custom_metadata_in(description: Mapping[str, Any], path: str) -> Dict[str, Any]:
    """Return the user's metadata in a description; `path` is for the error.

    Raises:
      InvalidFileError: it is not an object.
    """
    found = description.get(CUSTOM, {})
    if not isinstance(found, dict):
        raise InvalidFileError(f"{path}: its description is broken: {CUSTOM} is not an object")
    return found


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
