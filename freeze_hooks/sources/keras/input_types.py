"""Finds out what a model of any Keras takes, from what it declares or remembers."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import tensorflow as tf

from ... import _keras
from ...errors import FreezeError, NotFreezableError
from .arguments import Arguments, readings, required


def is_declared(model: Any) -> bool:
    """Return whether a model declares its inputs, as functional ones do."""
    return _declared(model) is not None


def is_known(model: Any) -> bool:
    """Return whether a model can be planned without an input_signature and a batch."""
    if not getattr(model, "built", False):
        return False
    return (_declared(model) or called_with(model) or built_with(model)) is not None


def check_call(model: Any) -> None:
    """Check that a model has a call to freeze.

    Raises:
      FreezeError: it is not a Keras model.
      NotFreezableError: it has no call(): its train_step calls other models that it holds.
    """
    owner = next((kind for kind in type(model).__mro__ if "call" in vars(kind)), None)
    if owner is None:
        raise FreezeError(f"{model!r} is not a Keras model; load it first if it is in a file")
    of_keras = owner.__module__.split(".")[0] in ("keras", "tf_keras", "tensorflow")
    if of_keras and owner.__name__ in ("Layer", "Model"):
        raise NotFreezableError(
            f"{model.name!r} ({type(model).__name__}) has no call(), and only the call of a "
            "model is frozen: give it one that calls the part to deploy, or write that part from "
            "your own callback, with fh.plan_keras_model(part)"
        )


def declared(model: Any) -> Optional[Arguments]:
    """Return the inputs that a functional or Sequential model declares, as specs, or None.

    Raises:
      NotFreezableError: an input is not a dense, sparse or ragged tensor.
    """
    specs = _declared(model)
    return None if specs is None else Arguments((specs,))


def called_with(model: Any) -> Optional[Arguments]:
    """Return the arguments of a subclassed tf.keras or tf_keras model's first call, or None."""
    saved = _keras.called_with(model)
    if saved is None:
        return None
    args, kwargs = saved
    kwargs = {name: spec for name, spec in kwargs.items() if name not in ("training",)}
    found = Arguments(tuple(args), kwargs)
    several = len(found.named(model)) > 1  # placeholders' names then tell nothing
    return found.filled(map(_nameless, found.leaves)) if several else found


def _nameless(spec: Any) -> Any:
    return tf.TensorSpec(spec.shape, spec.dtype) if isinstance(spec, tf.TensorSpec) else spec


def built_with(model: Any) -> Optional[Arguments]:
    """Return what a subclassed Keras 3 model remembers of its inputs: shapes, here as float32."""
    shapes = _keras.built_shapes(model)
    if not shapes:
        return None
    named = {name[: -len("_shape")]: _specs_of_shapes(value) for name, value in shapes.items()}
    if len(shapes) > 1:
        return readings(model, named)[0]
    return Arguments(tuple(named.values())) if len(required(model)) <= 1 else None


def not_known(model: Any) -> FreezeError:
    """Return the error for a model whose inputs are not known."""
    why = "call it once, or give input_signature="
    if getattr(model, "built", False):
        why = "Keras has not kept all that it was called with: give input_signature="
    return FreezeError(
        f"what {model.name!r} takes is not known yet: {why}, "
        "such as tf.TensorSpec([None, 28, 28, 1], tf.float32)"
    )


def opened(model: Any, specs: Any) -> Any:
    """Return specs without the batch size that Keras took from a call; None if not so."""
    if not isinstance(specs, tf.TensorSpec) or not specs.shape.rank or specs.shape[0] is None:
        return None
    if not _keras.has_inferred_input(model):
        return None
    return tf.TensorSpec([None] + specs.shape.as_list()[1:], specs.dtype)


def _declared(model: Any) -> Any:
    try:
        inputs = _keras.functional_of(model).input
    except (AttributeError, ValueError, RuntimeError):
        return None
    return None if inputs is None else tf.nest.map_structure(_spec_of, inputs)


def _specs_of_shapes(shapes: Any) -> Any:
    if isinstance(shapes, Mapping):
        return {key: _specs_of_shapes(value) for key, value in shapes.items()}
    if shapes and not all(size is None or isinstance(size, int) for size in shapes):
        return type(shapes)(_specs_of_shapes(value) for value in shapes)
    return tf.TensorSpec([None] + list(shapes[1:]), tf.float32)


def _spec_of(tensor: Any) -> Any:
    spec = getattr(tensor, "type_spec", None)  # of Keras 2
    if isinstance(spec, (tf.SparseTensorSpec, tf.RaggedTensorSpec)):
        return spec
    if spec is not None and not isinstance(spec, tf.TensorSpec):
        raise NotFreezableError(f"input {tensor.name!r} is a {type(spec).__name__}, not a tensor")
    dtype = tf.as_dtype(tensor.dtype)
    if getattr(tensor, "sparse", False):
        return tf.SparseTensorSpec(tensor.shape, dtype)
    if getattr(tensor, "ragged", False):
        return tf.RaggedTensorSpec(tensor.shape, dtype, getattr(tensor, "ragged_rank", None) or 1)
    return tf.TensorSpec(tensor.shape, dtype)
