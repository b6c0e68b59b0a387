"""What a live Keras model answers itself: its own call for inference, eager and uncompiled."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import tensorflow as tf

Pairs = Sequence[Tuple[Any, Any]]


def answers_of(
    model: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    averages: Pairs = (),
    keep_state: bool = False,
) -> List[Any]:
    """The arrays that a model answers with training=False, in the order of tf.nest.

    Args:
      model: of Keras 3 on any backend, of tf_keras or tf.keras.
      args, kwargs: of its call.
      averages: pairs (variable, the one whose value it has for the time of the call).
      keep_state: whether a call may change variables, which are put back then.
    """
    if _backend(model) != "tensorflow":
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
    """Variables as they are to be for one call; after it, as they were, bit for bit."""
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
    """A tensor of any backend as an array."""
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
    if _backend(model) == "torch":
        return __import__("torch").no_grad()
    return contextlib.ExitStack()


def _backend(model: Any) -> str:
    """Keras 3's backend; TensorFlow for all other Kerases."""
    if not any(kind.__module__.startswith("keras.src.") for kind in type(model).__mro__):
        return "tensorflow"
    return str(__import__("keras").backend.backend())
