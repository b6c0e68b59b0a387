"""Reads metrics from Keras's logs, and finds which direction of a metric is better."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional

from .. import _keras
from ..errors import FreezeError, UnknownNameError, near
from ..frozen.numbers import number

_UP = re.compile(
    r"acc|auc|precision|recall|f1|fbeta|f_?measure|f_?score|io_?u|dice|r2|cosine_similarity"
    r"|true_|sensitivity|specificity|top_?k|correlation|bleu"
)
_DOWN = re.compile(
    r"loss|err|mse|mae|mape|msle|rmse|crossentropy|divergence|hinge|perplexity|poisson|huber|log_?cosh|false_"
)


def direction_of(model: Any, monitor: str) -> str:
    """Return "min" or "max", the better direction, from the metric itself or else its name.

    Raises:
      FreezeError: neither tells.
    """
    name = monitor[4:] if monitor.startswith("val_") else monitor
    for metric in sorted(_metrics(model), key=lambda metric: -len(metric.name)):
        said = _keras.better_direction(metric)
        # with several outputs, the output's name stands before the metric's
        if said is not None and f"_{name}".endswith(f"_{metric.name}"):
            return said
    # the last word decides: "error_type_accuracy"
    up, down = (max((m.end() for m in p.finditer(name)), default=0) for p in (_UP, _DOWN))
    if up == down:
        raise FreezeError(
            f"it is not known whether more or less of {monitor!r} is better: "
            'say mode="min" or mode="max"'
        )
    return "max" if up > down else "min"


def _metrics(model: Any) -> Any:
    for metric in getattr(model, "metrics", ()):
        yield from getattr(metric, "metrics", [metric])  # Keras 3 groups compiled metrics


def scalars(logs: Optional[Mapping[str, Any]], monitor: Optional[str] = None) -> Dict[str, float]:
    """Return the metrics in Keras's logs that are single numbers.

    Raises:
      FreezeError: the metric `monitor` is not a number.
    """
    found: Dict[str, float] = {}
    for name, value in (logs or {}).items():
        if name not in ("batch", "size"):
            try:
                found[name] = number(value, f"metric {name!r}")
            except FreezeError:  # None, a text, a number for each class
                if name == monitor:
                    raise
    return found


def monitored(monitor: str, metrics: Mapping[str, float], source: str) -> float:
    """Return the monitored metric.

    Raises:
      UnknownNameError: `source` gave no such metric; lists near matches.
    """
    if monitor not in metrics:
        close = near(monitor, metrics) or sorted(metrics)
        told = ", ".join(map(repr, close)) or "there are none"
        raise _not_among(monitor, f" of {source}", told)
    return metrics[monitor]


def _not_among(monitor: Optional[str], source: str, told: str) -> UnknownNameError:
    return UnknownNameError(f"monitor={monitor!r} is not among the metrics{source}: {told}")


def no_monitor(monitor: Optional[str], metrics: Mapping[str, float]) -> UnknownNameError:
    """Return the error for a monitored metric that is missing; lists near matches first."""
    known = near(monitor or "", metrics) + sorted(metrics)
    if known:
        return _not_among(monitor, "", ", ".join(dict.fromkeys(map(repr, known))))
    return UnknownNameError(
        f"monitor={monitor!r}: there was no such metric in all of training, so no file "
        "was written; give validation_data= or monitor another metric"
    )
