"""Converts numbers of NumPy, TensorFlow, Keras, JAX and PyTorch to Python's int and float."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Union

import numpy as np
import tensorflow as tf

from ..errors import FreezeError

Number = Union[int, float]
Run = Optional[Callable[[Any], Any]]
_NONE = (str, bytes, bytearray, complex)
_SHOWN = 100  # characters of a wrong value in an error


def number(value: Any, what: str, run: Run = None) -> Number:
    """Return a number as Python's int or float; a whole number stays exact.

    Args:
      value: a number, or an array, a tensor or a variable that holds one number.
      what: its name in the error.
      run: returns the value of a graph's tensor or variable, as a session's `run` does.

    Raises:
      FreezeError: it is not a number.
    """
    try:
        found = _content(value, run)
        return int(found) if isinstance(found, (int, np.integer)) else float(found)
    except Exception as error:  # each library raises its own
        shown = " ".join(repr(value).split())
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
        raise FreezeError(f"{what} is not a number but {shown}: {error}") from error


def whole(value: Any, what: str, run: Run = None) -> int:
    """Return a whole number, such as a step, as an int; arguments as in `number`.

    Raises:
      FreezeError: it is not a whole number.
    """
    found = number(value, what, run)
    if found != found or found in (float("inf"), float("-inf")) or found != int(found):
        raise FreezeError(f"{what} is not a whole number but {found!r}")
    return int(found)


def metrics_of(metrics: Any, what: str, run: Run = None) -> Dict[str, Number]:
    """Return metrics as {name: Python number}.

    Raises:
      FreezeError: `metrics` is not a dict, or a metric is not a number; the error names it.
    """
    if not isinstance(metrics, Mapping):
        raise FreezeError(f"{what} must be a dict {{name: number}}, not {metrics!r}")
    return {
        str(name): number(value, f"{what}: metric {str(name)!r}", run)
        for name, value in metrics.items()
    }


def _content(value: Any, run: Run) -> Any:
    """Return the Python number in a value; raise TypeError if it has none."""
    if isinstance(getattr(value, "graph", None), tf.Graph):
        if run is None:
            raise TypeError("a graph's tensor has a value only in a session: pass that value")
        value = run(value)
    if np.ma.is_masked(value):
        raise TypeError("it is masked")
    if not hasattr(value, "item") and hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "item"):  # PyTorch tensors with a gradient or on an accelerator have it too
        if getattr(getattr(value, "dtype", None), "kind", "f") in "mM":
            raise TypeError("it is a time")
        value = value.item()
    if hasattr(value, "result"):
        raise TypeError("it is a metric object: pass metric.result()")
    if isinstance(value, _NONE) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise TypeError(f"it is of type {type(value).__name__}")
    return value
