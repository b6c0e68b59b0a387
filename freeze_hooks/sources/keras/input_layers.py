"""Assigns the tensors of a call to a functional model's Input layers, as Keras does."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

import numpy as np
import tensorflow as tf

from ... import _keras
from .arguments import Arguments


def as_declared(model: Any, call: Arguments) -> Optional[List[Any]]:
    """Return the tensors of a call in the order of the model's inputs; None if some are missing.

    A functional model also takes a dict by the names of its Input layers, and tensors with one
    dimension of size 1 more or less than declared.
    """
    inputs = _inputs_of(model)
    if inputs is None or not call.args:
        return call.leaves
    given, flat = call.args[0], tf.nest.flatten(inputs)
    if isinstance(given, Mapping) and not isinstance(inputs, Mapping):
        names = [_keras.input_layer_of(tensor)[0] for tensor in flat]
        if not set(names) <= set(given):
            return None
        leaves = [given[name] for name in names]
    elif isinstance(given, Mapping):
        if not set(inputs) <= set(given):
            return None
        leaves = tf.nest.flatten({key: given[key] for key in inputs})
    else:
        leaves = call.leaves
    if len(leaves) != len(flat):
        return None
    return [_of_rank(leaf, len(tensor.shape)) for leaf, tensor in zip(leaves, flat)]


def _inputs_of(model: Any) -> Any:
    try:
        return _keras.functional_of(model).input
    except (AttributeError, ValueError, RuntimeError):
        return None


def _of_rank(leaf: Any, rank: int) -> Any:
    sizes = list(leaf.shape)
    if isinstance(leaf, (tf.RaggedTensor, tf.SparseTensor)):
        return leaf
    if len(sizes) == rank + 1 and sizes[-1] == 1:
        return leaf[..., 0]
    return leaf[..., np.newaxis] if len(sizes) == rank - 1 else leaf
