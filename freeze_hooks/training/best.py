"""Whether a metric is the best so far."""

from __future__ import annotations

import math
from typing import Optional

from ..storage.atomic import json_number
from ..storage.state import as_dict, changed, remembered


class Best:
    """Whether a metric is the best so far; NaN never is.

    Args:
      monitor: the metric's name.
      mode: "min" or "max".
      threshold: what the first value must beat; None lets any number be the first best.
    """

    def __init__(self, monitor: str, mode: str, threshold: Optional[float] = None) -> None:
        self.monitor = monitor
        self.mode = mode
        self.value = self._written = threshold

    def beaten_by(self, value: float) -> bool:
        """Whether `value` is better than the best so far."""
        if math.isnan(value):
            return False
        if self.value is None:
            return True
        return value < self.value if self.mode == "min" else value > self.value

    def claim(self, value: float) -> Best:
        """Take a better value as the best; returns what is to be remembered with its file."""
        self.value = value
        return Best(self.monitor, self.mode, value)

    def written(self, value: Optional[float]) -> None:
        """Note that there is a file of this value, claimed before or by an earlier training."""
        self._written = value

    def disclaim(self, claimed: Best) -> None:
        """Go back to what there is a file of, as that of a claimed value could not be written.

        A claim before it need not have one: in the background, a newer job takes its place.
        """
        if self.value == claimed.value:
            self.value = self._written


def load_best(directory: str, name: str, monitor: str) -> Optional[float]:
    """The best value of a metric that the directory's state remembers."""
    own = remembered(directory, name)
    try:
        return float(as_dict(own.get("best"))[monitor])
    except (KeyError, TypeError, ValueError):
        return None


def save_best(directory: str, name: str, best: Best) -> None:
    """Remember the best value of a metric in the directory's state."""
    with changed(directory, name) as own:
        own["best"] = {best.monitor: json_number(best.value)}
