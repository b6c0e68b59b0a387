"""Compares a metric with the best value so far, and remembers the best value."""

from __future__ import annotations

import math
from typing import Optional

from ..storage.atomic import json_number
from ..storage.state_file import as_dict, changed, remembered


class Best:
    """The best value of a metric so far; NaN never is the best.

    Args:
      monitor: the metric's name.
      mode: "min" or "max".
      threshold: the value that the first one must beat; None: any number is the first best.
    """

    def __init__(self, monitor: str, mode: str, threshold: Optional[float] = None) -> None:
        self.monitor = monitor
        self.mode = mode
        self.value = self._written = threshold

    def beaten_by(self, value: float) -> bool:
        """Return whether `value` is better than the best so far."""
        if math.isnan(value):
            return False
        if self.value is None:
            return True
        return value < self.value if self.mode == "min" else value > self.value

    def claim(self, value: float) -> Best:
        """Take a better value as the best; return a copy to remember with its file."""
        self.value = value
        return Best(self.monitor, self.mode, value)

    def written(self, value: Optional[float]) -> None:
        """Note that there is a file with this value."""
        self._written = value

    def disclaim(self, claimed: Best) -> None:
        """Return to the last value with a file, since the claimed value's file was not written.

        An earlier claim may have no file: in the background, a newer job replaces a waiting one.
        """
        if self.value == claimed.value:
            self.value = self._written


def load_best(directory: str, name: str, monitor: str) -> Optional[float]:
    """Return the best value of a metric from the directory's state, or None."""
    own = remembered(directory, name)
    try:
        return float(as_dict(own.get("best"))[monitor])
    except (KeyError, TypeError, ValueError):
        return None


def save_best(directory: str, name: str, best: Best) -> None:
    """Save the best value of a metric in the directory's state."""
    with changed(directory, name) as own:
        own["best"] = {best.monitor: json_number(best.value)}
