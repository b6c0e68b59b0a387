"""The argument `verify=`."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Union

from ..errors import FreezeError

TOLERANCE = 1e-4
SMALL_TOLERANCE = 0.05  # with weights=, which rounds: errors of 3e-3 to 5e-3 were measured


@dataclasses.dataclass(frozen=True)
class Verify:
    """Say how `verify=` proves a file: `fh.FreezeHook(..., verify=fh.Verify(tolerance=1e-3))`.

    Attributes:
      feeds: {input name of the file: array}, the batch to compare on. None makes random feeds.
      tolerance: the allowed difference of a floating output, relative to the output's greatest
        live absolute value, or to 1 if that is greater. None means 1e-4, or 0.05 with `weights=`.
        All other outputs must be equal.
      own_process: run the file in a separate Python process that knows nothing of the training.
      seed: the seed of the random feeds.
      first_only: run only the first file of each plan. Each later file is read back, and its hash
        is compared with that of the bytes that were written. `verify="first"` is the same.
    """

    feeds: Optional[Mapping[str, Any]] = None
    tolerance: Optional[float] = None
    own_process: bool = False
    seed: int = 0
    first_only: bool = False


FIRST = "first"
Verifying = Union[None, bool, str, Mapping[str, Any], Verify]


def makes_feeds(value: Any) -> bool:
    """Return whether an argument `verify=` asks for a proof without the user's feeds."""
    return (
        value is True
        or (isinstance(value, str) and value == FIRST)
        or (isinstance(value, Verify) and value.feeds is None)
    )


def verify_of(value: Verifying, weights: Optional[str] = None) -> Optional[Verify]:
    """Return the argument `verify=` as a `Verify` with a tolerance; None for no proof.

    Raises:
      FreezeError: `verify=` does not take such a value.
    """
    if value is None or value is False:
        return None
    if value is True:
        value = Verify()
    elif isinstance(value, str) and value == FIRST:
        value = Verify(first_only=True)
    elif isinstance(value, Mapping):
        value = Verify(dict(value))
    if not isinstance(value, Verify):
        raise FreezeError(
            f'verify= must be True, "first", a dict of feeds or fh.Verify, not {value!r}'
        )
    if value.tolerance is not None:
        return value
    return dataclasses.replace(value, tolerance=SMALL_TOLERANCE if weights else TOLERANCE)
