"""When FreezeCallback saves: at the end of each epoch, or after as many batches as it is told."""

from __future__ import annotations

from typing import Union

from .errors import FreezeError


class Schedule:
    """Counts a training's batches.

    Args:
      save_freq: "epoch", or a number of batches.

    Raises:
      FreezeError: it is neither.
    """

    def __init__(self, save_freq: Union[str, int]) -> None:
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise FreezeError(f'save_freq= is "epoch" or a number of batches, not {save_freq!r}')
        self._every = 0 if isinstance(save_freq, str) else save_freq
        self._since = 0
        self._last = -1

    @property
    def each_epoch(self) -> bool:
        """Whether it is the end of an epoch that counts."""
        return not self._every

    def begin(self) -> None:
        """A training begins, whose batches count from 0."""
        self._last = -1

    def is_due(self, batch: int) -> bool:
        """Whether to save after this batch; steps_per_execution reports only some of them."""
        self._since += batch + 1 if batch <= self._last else batch - self._last  # a new epoch
        self._last = batch
        if not self._every or self._since < self._every:
            return False
        self._since = 0
        return True
