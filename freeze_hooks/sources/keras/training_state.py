"""Reads a Keras model's step and its optimizer's averages during training."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from ... import _keras
from ...errors import FreezeError


def step_of(model: Any) -> Optional[int]:
    """Return how many steps a model's optimizer has made; None if it does not count them."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if iterations is None:
        return None
    if _keras.graph_mode():
        iterations = _keras.keras_backend(model).get_value(iterations)
    elif hasattr(iterations, "numpy"):
        iterations = iterations.numpy()
    return int(np.asarray(iterations))


def synchronize(model: Any) -> None:
    """Copy training's present values into the model's variables; JAX keeps them elsewhere."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def check_averages(model: Any) -> None:
    """Check that a model's optimizer keeps averages.

    Raises:
      FreezeError: it does not.
    """
    if _keras.averaging_optimizer(model) is None:
        raise _no_averages()


def averages_of(model: Any) -> List[Tuple[Any, Any]]:
    """Return (variable, its average) pairs of a model's optimizer.

    Raises:
      FreezeError: it keeps none, or has none yet.
    """
    pairs = _keras.optimizer_averages(model)
    if pairs is None:
        raise _no_averages()
    return pairs


def _no_averages() -> FreezeError:
    return FreezeError('ema="optimizer" needs an optimizer made with use_ema=True')
