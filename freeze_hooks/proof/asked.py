"""What `verify=` asks for."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Union

from ..errors import FreezeError

TOLERANCE = 1e-4
SMALL_TOLERANCE = 0.05  # with weights=, which round: 3 to 5e-3 of the greatest output was seen


@dataclasses.dataclass(frozen=True)
class Verify:
    """Say how `verify=` proves a file: `fh.FreezeHook(..., verify=fh.Verify(tolerance=1e-3))`.

    Attributes:
      feeds: {input name of the file: array} to compare on; None makes random ones.
      tolerance: by how much a floating output may differ, as a part of the greatest live value of
        it (or of 1, if that is more). None is 1e-4, or 0.05 with `weights=`. Others must be equal.
      own_process: run the file in a Python process of its own, that never saw the training.
      seed: of the random feeds.
    """

    feeds: Optional[Mapping[str, Any]] = None
    tolerance: Optional[float] = None
    own_process: bool = False
    seed: int = 0


Verifying = Union[None, bool, Mapping[str, Any], Verify]


def verify_of(value: Verifying, weights: Optional[str] = None) -> Optional[Verify]:
    """What `verify=` means, with its tolerance.

    Raises:
      FreezeError: it is none of what `verify=` takes.
    """
    if value is None or value is False:
        return None
    if value is True:
        value = Verify()
    elif isinstance(value, Mapping):
        value = Verify(dict(value))
    if not isinstance(value, Verify):
        raise FreezeError(f"verify= is True, a dict of sample feeds or fh.Verify, not {value!r}")
    if value.tolerance is not None:
        return value
    return dataclasses.replace(value, tolerance=SMALL_TOLERANCE if weights else TOLERANCE)
