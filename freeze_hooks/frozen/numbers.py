"""Numbers of any kind, as Python's own: NumPy's, TensorFlow's, Keras's, JAX's, PyTorch's."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Union

import numpy as np
import tensorflow as tf

from ..errors import FreezeError

Number = Union[int, float]
Run = Optional[Callable[[Any], Any]]
_NONE = (str, bytes, bytearray, complex)
_SHOWN = 100  # characters of what is not a number


def number(value: Any, what: str, run: Run = None) -> Number:
    """A number as Python's int or float; a whole one stays exact.

    Args:
      value: a number, or an array, a tensor or a variable that holds one.
      what: what it is, for the error.
      run: gives the value of a tensor or variable of a graph, as a session's `run` does.

    Raises:
      FreezeError: it is no number.
    """
    try:
        found = _content(value, run)
        return int(found) if isinstance(found, (int, np.integer)) else float(found)
    except Exception as error:  # each library raises its own
        shown = " ".join(repr(value).split())
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
        raise FreezeError(f"{what} is not a number but {shown}: {error}") from error


def whole(value: Any, what: str, run: Run = None) -> int:
    """As `number`, of what must be a whole one, such as a step.

    Raises:
      FreezeError: it is none.
    """
    found = number(value, what, run)
    if found != found or found in (float("inf"), float("-inf")) or found != int(found):
        raise FreezeError(f"{what} is not a whole number but {found!r}")
    return int(found)


def metrics_of(metrics: Any, what: str, run: Run = None) -> Dict[str, Number]:
    """Metrics by name.

    Raises:
      FreezeError: they are no dict, or one of them is no number; it is named.
    """
    if not isinstance(metrics, Mapping):
        raise FreezeError(f"{what} is a dict {{name: number}}, not {metrics!r}")
    return {
        str(name): number(value, f"{what}: metric {str(name)!r}", run)
        for name, value in metrics.items()
    }


def _content(value: Any, run: Run) -> Any:
    """The Python number in a value."""
    if isinstance(getattr(value, "graph", None), tf.Graph):
        if run is None:
            raise TypeError("a graph's tensor has a value only in a session: give what it ran to")
        value = run(value)
    if np.ma.is_masked(value):
        raise TypeError("it is masked")
    if not hasattr(value, "item") and hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "item"):  # also of a PyTorch tensor with a gradient, or on an accelerator
        if getattr(getattr(value, "dtype", None), "kind", "f") in "mM":
            raise TypeError("it is a time")
        value = value.item()
    if hasattr(value, "result"):
        raise TypeError("it has a result: give metric.result()")
    if isinstance(value, _NONE) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise TypeError(f"it is of type {type(value).__name__}")
    return value
