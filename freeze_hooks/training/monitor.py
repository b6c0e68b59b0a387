"""The metric that decides whether FreezeCallback writes: its value at a save, its direction."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from .. import _tf
from .metrics import direction_of, no_monitor
from .path_template import lacks_validation


class Monitor:
    """Follows one metric through a training.

    Args:
      name: the metric's.
      mode: "min", "max" or "auto".

    Attributes:
      seen: whether it was ever there, or an error has said that it is not.
    """

    def __init__(self, name: Optional[str], mode: str) -> None:
        self._name = name or ""
        self._mode: Optional[str] = None if mode == "auto" else mode
        self.seen = self._missed = False

    def value(self, metrics: Mapping[str, float]) -> Optional[float]:
        """Its value; None if validation has not run, as validation_freq may say.

        Raises:
          UnknownNameError: there is no such metric.
        """
        if self._name in metrics:
            self.seen = True
            return metrics[self._name]
        if not lacks_validation([self._name], metrics):
            self.seen = True  # said now, and not once more in the end
            raise no_monitor(self._name, metrics)
        if self._missed:
            return None
        self._missed = True
        _tf.warn(
            f"FreezeCallback: {self._name!r} cannot be compared, for there was no validation; "
            f"metrics: {', '.join(sorted(metrics)) or 'none'}"
        )
        return None

    def direction(self, model: Any) -> str:
        """ "min" or "max"; of "auto", what Keras knows once the model's metrics are built.

        Raises:
          FreezeError: neither Keras nor the metric's name says.
        """
        if self._mode is None:
            self._mode = direction_of(model, self._name)
        return self._mode
