"""The live answers of a Keras model: its own eager call with training=False."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import tensorflow as tf

from .._keras import backend_of

Pairs = Sequence[Tuple[Any, Any]]


def answers_of(
    model: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    averages: Pairs = (),
    keep_state: bool = False,
) -> List[Any]:
    """Call a model with training=False, and return its answers as arrays, in tf.nest's order.

    Args:
      model: a model of Keras 3 on any backend, of tf_keras or of tf.keras.
      args, kwargs: the arguments of the call.
      averages: pairs (variable, average): the variable has the average's value during the call.
      keep_state: give all variables their values back after the call, which may change them.
    """
    if backend_of(model) != "tensorflow":
        args, kwargs = tf.nest.map_structure(_as_array, (list(args), dict(kwargs)))
    given = dict(kwargs)
    if "training" in inspect.signature(model.call).parameters:
        given["training"] = False
    with _without_gradients(model), _held(model, averages, keep_state):
        answer = model(*args, **given)
        flat = tf.nest.flatten(answer, expand_composites=True)
        return [array_of(tensor) for tensor in flat if tensor is not None]


@contextlib.contextmanager
def _held(model: Any, averages: Pairs, keep_state: bool) -> Iterator[None]:
    """Set variables for one call, and give them their old values back, bit for bit."""
    changed = list(model.variables) if keep_state else [variable for variable, _ in averages]
    changed = [variable for variable in changed if hasattr(variable, "assign")]
    before = [_copy(variable) for variable in changed]
    try:
        for variable, average in averages:
            variable.assign(_copy(average))
        yield
    finally:
        for variable, value in zip(changed, before):
            variable.assign(value)


def _copy(variable: Any) -> Any:
    value = variable.value
    value = value() if callable(value) else value
    return tf.identity(value) if _is_tensorflow(value) else np.array(array_of(value))


def array_of(value: Any) -> Any:
    """Return a tensor of any backend as an array."""
    if _is_tensorflow(value):
        return value.numpy()
    if isinstance(value, np.ndarray) or not hasattr(value, "shape"):
        return np.asarray(value)
    return np.asarray(__import__("keras").ops.convert_to_numpy(value))


def _as_array(value: Any) -> Any:
    return value.numpy() if _is_tensorflow(value) else value


def _is_tensorflow(value: Any) -> bool:
    return isinstance(value, (tf.Tensor, tf.Variable))


def _without_gradients(model: Any) -> Any:
    if backend_of(model) == "torch":
        return __import__("torch").no_grad()
    return contextlib.ExitStack()
