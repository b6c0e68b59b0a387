"""The metric that decides whether FreezeCallback writes: its value and its direction."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from .. import _tf
from .metrics import direction_of, no_monitor
from .path_template import lacks_validation


class Monitor:
    """Follows one metric through a training.

    Args:
      name: the metric's name.
      mode: "min", "max" or "auto".

    Attributes:
      seen: whether the metric was there once, or an error was raised because it was not.
    """

    def __init__(self, name: Optional[str], mode: str) -> None:
        self._name = name or ""
        self._mode: Optional[str] = None if mode == "auto" else mode
        self.seen = self._missed = False

    def value(self, metrics: Mapping[str, float]) -> Optional[float]:
        """Return its value; None if validation has not run, for example because of validation_freq.

        Raises:
          UnknownNameError: there is no such metric.
        """
        if self._name in metrics:
            self.seen = True
            return metrics[self._name]
        if not lacks_validation([self._name], metrics):
            self.seen = True  # the error is raised now, and not again at the end
            raise no_monitor(self._name, metrics)
        if self._missed:
            return None
        self._missed = True
        _tf.warn(
            f"FreezeCallback: {self._name!r} cannot be compared, since there was no validation; "
            f"metrics: {', '.join(sorted(metrics)) or 'none'}"
        )
        return None

    def direction(self, model: Any) -> str:
        """Return "min" or "max"; for "auto", what Keras knows once the model's metrics are built.

        Raises:
          FreezeError: neither Keras nor the metric's name tells.
        """
        if self._mode is None:
            self._mode = direction_of(model, self._name)
        return self._mode
