"""Hints for random feeds of a Keras model: known ids and texts, and the range of uint8."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np
import tensorflow as tf

from ... import _keras
from ...proof.feeds import VALUES
from ...signature import TensorInfo

_MOST = 64


def hints_of(model: Any, taken: Sequence[TensorInfo]) -> Dict[str, Any]:
    """Return {input: hint} for `random_feeds`.

    Args:
      model: a model of any Keras.
      taken: its inputs.
    """
    texts, numbers = _known(model)
    hints: Dict[str, Any] = {}
    for info in taken:
        dtype = tf.as_dtype(info.dtype)
        if dtype == tf.string and texts:
            hints[info.name] = np.array(texts[:_MOST], object)
        elif dtype.is_integer and numbers:
            fit = [n for n in numbers if dtype.min <= n <= dtype.max]
            if fit:
                hints[info.name] = np.array(fit[-_MOST:], dtype.as_numpy_dtype)
        elif dtype == tf.uint8:
            hints[info.name] = VALUES
    return hints


def _known(model: Any) -> Any:
    """Return texts and whole numbers that a model's lookups and embeddings have entries for."""
    texts: List[bytes] = []
    numbers: List[int] = []
    rows: List[int] = []
    for layer in _keras.all_layers(model):
        for entry in _vocabulary(layer):
            if isinstance(entry, (str, bytes)):
                texts.append(entry.encode() if isinstance(entry, str) else entry)
            elif isinstance(entry, (int, np.integer)):
                numbers.append(int(entry))
        if type(layer).__name__ == "Embedding":
            rows.append(int(layer.input_dim))
    if not numbers and rows:
        numbers = list(range(min(rows)))
    return texts, numbers


def _vocabulary(layer: Any) -> Sequence[Any]:
    get = getattr(layer, "get_vocabulary", None)
    try:
        return list(get()) if get is not None else []
    except Exception:  # it is not adapted yet
        return []
