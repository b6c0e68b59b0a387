"""What a Keras model tells while it is trained: its step, its metrics' directions, its averages."""

from __future__ import annotations

import re
import string
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np

from .. import _tf
from ..errors import FreezeError, UnknownNameError
from ..frozen.numbers import number
from ..graph.names import near

_UP = re.compile(
    r"acc|auc|precision|recall|f1|fbeta|f_?measure|f_?score|io_?u|dice|r2|cosine_similarity"
    r"|true_|sensitivity|specificity|top_?k|correlation|bleu"
)
_DOWN = re.compile(
    r"loss|err|mse|mae|mape|msle|rmse|crossentropy|divergence|hinge|perplexity|poisson|huber|log_?cosh|false_"
)


def step_of(model: Any) -> Optional[int]:
    """How many steps a model's optimizer has made; None where it does not count them."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if iterations is None:
        return None
    if _tf.graph_mode():
        iterations = _tf.keras_backend(model).get_value(iterations)
    elif hasattr(iterations, "numpy"):
        iterations = iterations.numpy()
    return int(np.asarray(iterations))


def synchronize(model: Any) -> None:
    """Have the model's variables hold what training has come to, which JAX keeps elsewhere."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def direction_of(model: Any, monitor: str) -> str:
    """ "min" or "max": what is better of a metric, as the metric itself says or else its name.

    Raises:
      FreezeError: neither says.
    """
    name = monitor[4:] if monitor.startswith("val_") else monitor
    for metric in sorted(_metrics(model), key=lambda metric: -len(metric.name)):
        said = getattr(metric, "_direction", None)  # Keras 3: "up" or "down"
        # one of several outputs has the output's name in front
        if said is not None and f"_{name}".endswith(f"_{metric.name}"):
            return "max" if said == "up" else "min"
    # the last word tells: "error_type_accuracy"
    up, down = (max((m.end() for m in p.finditer(name)), default=0) for p in (_UP, _DOWN))
    if up == down:
        raise FreezeError(
            f"whether more or less of {monitor!r} is better is not known: "
            'say mode="min" or mode="max"'
        )
    return "max" if up > down else "min"


def _metrics(model: Any) -> Any:
    for metric in getattr(model, "metrics", ()):
        yield from getattr(metric, "metrics", [metric])  # Keras 3 holds compiled ones together


def check_averages(model: Any) -> None:
    """Make sure that a model's optimizer is one that keeps averages.

    Raises:
      FreezeError: it is not.
    """
    if _tf.averaging_optimizer(model) is None:
        raise _no_averages()


def averages_of(model: Any) -> List[Tuple[Any, Any]]:
    """(variable, its average) pairs of a model's optimizer.

    Raises:
      FreezeError: it keeps none, or has not begun to.
    """
    pairs = _tf.optimizer_averages(model)
    if pairs is None:
        raise _no_averages()
    return pairs


def _no_averages() -> FreezeError:
    return FreezeError('ema="optimizer" needs an optimizer made with use_ema=True')


def scalars(logs: Optional[Mapping[str, Any]], monitor: Optional[str] = None) -> Dict[str, float]:
    """The metrics among Keras's logs that are single numbers.

    Raises:
      FreezeError: that of `monitor` is there, but is no number.
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


def lacks_validation(names: Iterable[str], metrics: Mapping[str, float]) -> bool:
    """Whether some of these are of a validation that has not run, as validation_freq may say."""
    ran = any(name.startswith("val_") for name in metrics)
    return not ran and any(name.startswith("val_") for name in names)


def fields_of(template: str) -> List[str]:
    """What a path is filled in with."""
    return [field for _, field, _, _ in string.Formatter().parse(template) if field]


def filled_in(template: str, epoch: int, batch: Optional[int], metrics: Mapping[str, float]) -> str:
    """A path with its epoch and batch, counted from 1, and metrics.

    Raises:
      UnknownNameError: it names something else.
    """
    fields: Dict[str, Any] = {"epoch": epoch + 1, **metrics}
    if batch is not None:
        fields.setdefault("batch", batch + 1)
    try:
        return template.format(**fields)
    except (KeyError, ValueError, IndexError) as error:
        raise UnknownNameError(
            f"filepath={template!r} cannot be filled in ({error!r}); there are: "
            + ", ".join(sorted(fields))
        ) from error


def no_monitor(monitor: Optional[str], metrics: Mapping[str, float]) -> UnknownNameError:
    """What to raise where a monitored metric is not among these; near matches come first."""
    known = near(monitor or "", metrics) + sorted(metrics)
    there = ", ".join(dict.fromkeys(map(repr, known)))
    return UnknownNameError(
        f"monitor={monitor!r} is not among the metrics: {there}"
        if there
        else f"monitor={monitor!r}: there was no such metric in all of training, so no file "
        "was written; give validation_data= or monitor another metric"
    )
