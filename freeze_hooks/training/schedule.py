"""Tells when FreezeCallback saves: at the end of each epoch, or after a number of batches."""

from __future__ import annotations

from typing import Any, Union

from ..errors import FreezeError
from ..frozen.numbers import whole


class Schedule:
    """Counts a training's batches.

    Args:
      save_freq: "epoch", or a number of batches.

    Raises:
      FreezeError: it is neither.
    """

    def __init__(self, save_freq: Union[str, int]) -> None:
        self._every = 0 if save_freq == "epoch" else _batches(save_freq)
        self._since = 0
        self._last = -1

    @property
    def each_epoch(self) -> bool:
        """Whether to save at the end of each epoch."""
        return not self._every

    def missing(self, beside: Any = None) -> str:
        """Return why a training has ended without a save."""
        if beside is not None:
            return "the callback that beside= names has saved nothing"
        return (
            f"it had fewer batches than save_freq={self._every}"
            if self._every
            else "no epoch ended"
        )

    def begin(self, goes_on: bool) -> None:
        """Note that a training begins or goes on; its batches count from 0."""
        self._last = -1
        self._since = self._since if goes_on else 0

    def is_due(self, batch: int) -> bool:
        """Return whether to save after this batch; steps_per_execution reports only some."""
        self._since += batch + 1 if batch <= self._last else batch - self._last  # a new epoch
        self._last = batch
        if not self._every or self._since < self._every:
            return False
        self._since = 0
        return True


def _batches(save_freq: Any) -> int:
    if not isinstance(save_freq, str):
        count = whole(save_freq, "save_freq=")
        if count > 0:
            return count
    raise FreezeError(f'save_freq= is "epoch" or a number of batches, not {save_freq!r}')
