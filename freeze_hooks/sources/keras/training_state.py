"""What a Keras model in training tells: its step, and its optimizer's averages."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from ... import _keras
from ...errors import FreezeError


def step_of(model: Any) -> Optional[int]:
    """How many steps a model's optimizer has made; None where it does not count them."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if iterations is None:
        return None
    if _keras.graph_mode():
        iterations = _keras.keras_backend(model).get_value(iterations)
    elif hasattr(iterations, "numpy"):
        iterations = iterations.numpy()
    return int(np.asarray(iterations))


def synchronize(model: Any) -> None:
    """Have the model's variables hold what training has come to, which JAX keeps elsewhere."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def check_averages(model: Any) -> None:
    """Make sure that a model's optimizer is one that keeps averages.

    Raises:
      FreezeError: it is not.
    """
    if _keras.averaging_optimizer(model) is None:
        raise _no_averages()


def averages_of(model: Any) -> List[Tuple[Any, Any]]:
    """(variable, its average) pairs of a model's optimizer.

    Raises:
      FreezeError: it keeps none, or has not begun to.
    """
    pairs = _keras.optimizer_averages(model)
    if pairs is None:
        raise _no_averages()
    return pairs


def _no_averages() -> FreezeError:
    return FreezeError('ema="optimizer" needs an optimizer made with use_ema=True')
