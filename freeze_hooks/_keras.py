"""Differences between tf.keras, tf_keras and Keras 3, and all uses of their private names."""

from __future__ import annotations

import sys
from typing import Any, List, Optional, Tuple

import tensorflow as tf


def graph_mode() -> bool:
    """Return whether Keras uses a graph and a session, as by default on TensorFlow 1."""
    with tf.init_scope():
        return not tf.executing_eagerly()


def keras_backend(model: Any) -> Any:
    """Return the backend module of a tf.keras or tf_keras model: sessions, learning phase."""
    for kind in type(model).__mro__:
        package, engine, _ = kind.__module__.partition(".engine.")
        if engine:
            return sys.modules[package + ".backend"]
    raise TypeError(f"{model!r} is not a Keras model")


def called_with(model: Any) -> Any:
    """Return the (args, kwargs) of a subclassed tf.keras model's first call, as TensorSpecs."""
    if hasattr(model, "save_spec"):
        return model.save_spec()
    inputs = getattr(model, "inputs", None) or []  # symbolic tensors in TensorFlow 1.15
    specs = [tf.TensorSpec(t.shape, t.dtype, t.op.name) for t in inputs if hasattr(t, "op")]
    return ((specs[0] if len(specs) == 1 else specs,), {}) if specs else None


def averaging_optimizer(model: Any) -> Any:
    """Return a model's optimizer if it keeps averages of the variables, else None."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return optimizer if getattr(optimizer, "use_ema", False) else None


def optimizer_averages(model: Any) -> Optional[List[Tuple[Any, Any]]]:
    """Return (variable, moving average) pairs of a model's optimizer; None if it has none (yet)."""
    optimizer = averaging_optimizer(model)
    averages = getattr(optimizer, "_model_variables_moving_average", None)
    if not averages:
        return None
    if hasattr(optimizer, "_index_dict"):  # tf_keras
        index, key = optimizer._index_dict, optimizer._var_key
        return [(v, averages[index[key(v)]]) for v in model.trainable_variables]
    return list(zip(optimizer._trainable_variables, averages))
