"""What a model of any Keras takes, and what it computes on."""

from __future__ import annotations

from typing import Any, Mapping

import tensorflow as tf

from . import _tf
from .errors import FreezeError, NotFreezableError


def is_built(model: Any) -> bool:
    """Whether a model can be planned without an input_signature."""
    if not getattr(model, "built", False):
        return False
    return _known_signature(model) is not None or _built_signature(model) is not None


def check_call(model: Any) -> None:
    """Make sure that a model has something to freeze.

    Raises:
      FreezeError: it is no model.
      NotFreezableError: it only holds others, which its train_step calls.
    """
    owner = next((kind for kind in type(model).__mro__ if "call" in vars(kind)), None)
    if owner is None:
        raise FreezeError(f"{model!r} is no Keras model; one in a file is to be loaded first")
    of_keras = owner.__module__.split(".")[0] in ("keras", "tf_keras", "tensorflow")
    if of_keras and owner.__name__ in ("Layer", "Model"):
        raise NotFreezableError(
            f"{model.name!r} ({type(model).__name__}) has no call(), which is what is frozen of a "
            "model: give it one that calls the part to deploy, or write that part from a callback "
            "of yours, with fh.plan_keras_model(part)"
        )


def backend_of(model: Any) -> str:
    """The Keras backend that a model computes on: "tensorflow", "jax", "torch"..."""
    keras = next((k for k in type(model).__mro__ if k.__module__.startswith("keras.src.")), None)
    if keras is None:
        return "tensorflow"
    return str(__import__("keras").backend.backend())


def functional_of(model: Any) -> Any:
    """The functional model inside a Sequential of Keras 3; else the model."""
    return getattr(model, "_functional", None) or model


def signature_of(model: Any, given: Any) -> Any:
    """What a model takes, as a structure of tf.TensorSpec: as `given`, or as Keras knows it.

    Raises:
      FreezeError: Keras does not know it yet.
      NotFreezableError: an input is sparse or ragged.
    """
    specs = given if given is not None else _known_signature(model)
    if specs is None:
        specs = _built_signature(model)
        if specs is not None:
            _tf.warn(
                f"{model.name!r}: its inputs are taken to be float32 (or text, if cast to it), "
                "for Keras remembers only their shapes; say input_signature= to be sure"
            )
    if specs is None:
        raise FreezeError(
            f"what {model.name!r} takes is not known yet: call it once, or give input_signature=, "
            "such as tf.TensorSpec([None, 28, 28, 1], tf.float32)"
        )
    return specs


def opened(model: Any, specs: Any) -> Any:
    """Specs without the batch size that Keras took from a call; None where it was declared."""
    if not _is_inferred(model) or not isinstance(specs, tf.TensorSpec) or not specs.shape.rank:
        return None
    if specs.shape[0] is None:
        return None
    return tf.TensorSpec([None] + specs.shape.as_list()[1:], specs.dtype)


def _is_inferred(model: Any) -> bool:
    """Whether a Sequential took its input's shape from a call."""
    if hasattr(model, "_has_explicit_input_shape"):  # Keras 2
        return not model._has_explicit_input_shape
    layers = getattr(model, "_layers", None) or []
    if not hasattr(model, "_functional") or len(layers) < 2:
        return False
    config = getattr(getattr(layers[0], "_auto_config", None), "config", {})
    given = {key for key, value in config.items() if value is not None and value is not False}
    if given != {"batch_shape", "dtype"}:  # which Sequential.build gives its own InputLayer
        return False
    return not hasattr(layers[1], "input_shape") or _is_inferred(layers[1])


def _known_signature(model: Any) -> Any:
    try:
        inputs = functional_of(model).input
    except (AttributeError, ValueError, RuntimeError):
        inputs = None
    if inputs is not None:
        return tf.nest.map_structure(_spec_of, inputs)
    return _tf.called_with(model)


def _built_signature(model: Any) -> Any:
    """What a subclassed model of Keras 3 remembers of its inputs: their shapes alone."""
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes or len(shapes) != 1:
        return None
    return _specs_of_shapes(next(iter(shapes.values())))  # fit gives one structure of inputs


def _specs_of_shapes(shapes: Any) -> Any:
    if isinstance(shapes, Mapping):
        return {key: _specs_of_shapes(value) for key, value in shapes.items()}
    if shapes and not all(size is None or isinstance(size, int) for size in shapes):
        return type(shapes)(_specs_of_shapes(value) for value in shapes)
    return tf.TensorSpec([None] + list(shapes[1:]), tf.float32)


def _spec_of(tensor: Any) -> Any:
    if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
        raise NotFreezableError(f"input {tensor.name!r} is sparse or ragged: give dense tensors")
    spec = getattr(tensor, "type_spec", None)
    if spec is not None and not isinstance(spec, tf.TensorSpec):
        raise NotFreezableError(f"input {tensor.name!r} is a {type(spec).__name__}, not a tensor")
    return tf.TensorSpec(tensor.shape, tf.as_dtype(tensor.dtype))
