"""Which frozen files a training writes and keeps: the arguments that all adapters share."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Optional, Sequence, Tuple, Type, TypeVar, Union

from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..frozen.numbers import number, whole

Listener = Callable[[Artifact], Any]
Listeners = Union[Listener, Sequence[Listener]]
_Options = TypeVar("_Options", bound="Options")


@dataclasses.dataclass(frozen=True)
class Options:
    """Which frozen files are written and kept; the adapters document the fields."""

    keep: Optional[int] = None
    save_best_only: bool = False
    monitor: Optional[str] = None
    mode: str = "min"
    threshold: Optional[float] = None
    resume: Union[bool, str] = "auto"
    strict: bool = False
    on_publish: Tuple[Listener, ...] = ()

    @classmethod
    def make(cls: Type[_Options], on_publish: Listeners = (), **given: Any) -> _Options:
        """Return the options for a user's arguments.

        Raises:
          FreezeError: an argument has a wrong type or value.
        """
        listeners = (on_publish,) if callable(on_publish) else tuple(on_publish)
        for listener in listeners:
            if not callable(listener):
                raise FreezeError(f"on_publish= takes functions of an Artifact, not {listener!r}")
        asked = cls(on_publish=listeners, **given)
        if asked.mode not in ("min", "max"):
            raise FreezeError(f'mode= is "min" or "max", not {asked.mode!r}')
        if asked.resume not in (True, False, "auto"):
            raise FreezeError(f'resume= is True, False or "auto", not {asked.resume!r}')
        threshold = None if asked.threshold is None else number(asked.threshold, "the threshold")
        keep = None if asked.keep is None else whole(asked.keep, "keep=")
        if keep is not None and keep < 1:
            raise FreezeError(f"keep= is a number of files from 1 on, not {keep!r}")
        return dataclasses.replace(asked, threshold=threshold, keep=keep)
