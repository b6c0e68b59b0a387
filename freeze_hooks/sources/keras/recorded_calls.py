"""Records the arguments of a Keras 3 model's call in training, which its train_step chooses."""

from __future__ import annotations

import contextlib
import functools
import weakref
from typing import Any, Iterator, Mapping, Optional

import tensorflow as tf

from ... import _keras
from .arguments import Arguments, is_tensor, packed_by_name, required

_recorded: Any = weakref.WeakKeyDictionary()


def call_of(model: Any) -> Optional[Arguments]:
    """Return specs of the first recorded call of a model; None if there is none."""
    found: Optional[Arguments] = _recorded.get(model)
    return found


@contextlib.contextmanager
def recorded(model: Any) -> Iterator[None]:
    """Record the arguments of the model's call in the block; an older trace does not call it.

    Keras 2 records them itself.
    """
    if hasattr(model, "save_spec"):
        yield
        return
    original = model.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if model not in _recorded:
            _recorded[model] = _as_specs(model, Arguments(args, kwargs))
        return original(*args, **kwargs)

    with _keras.calling(model, call):
        yield


def _as_specs(model: Any, arguments: Arguments) -> Arguments:
    needed, given = required(model), dict(arguments.kwargs)
    for name in packed_by_name(model):  # Keras passes **kwargs under its name
        more = given.pop(name, {})
        given.update(more if isinstance(more, Mapping) else {name: more})
    kwargs = {
        name: value
        for name, value in given.items()
        if name != "training" and (value is not None or name in needed)
    }
    found = Arguments(arguments.args, kwargs).begun_by_position(model)
    return found.filled(spec_of_tensor(leaf) for leaf in found.leaves)


def spec_of_tensor(value: Any) -> Any:
    """Return the spec of a tensor or array of any backend, with all known sizes."""
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        return tf.type_spec_from_value(value)
    if not is_tensor(value):
        return value
    name = str(getattr(value.dtype, "name", value.dtype)).split(".")[-1]  # "torch.uint8"
    text = value.dtype == tf.string or getattr(value.dtype, "kind", "") in ("O", "S", "U")
    dtype = tf.string if text else tf.as_dtype(name)
    if getattr(value.shape, "rank", 0) is None:
        return tf.TensorSpec(None, dtype)
    return tf.TensorSpec([None if size is None else int(size) for size in value.shape], dtype)
