"""Finds the arguments of a model's call, and tensors for them, from batches of training."""

from __future__ import annotations

from typing import Any, List, Optional

import tensorflow as tf

from ... import _keras
from .arguments import Arguments
from .batches import Batches
from .input_types import called_with, is_declared
from .recorded_calls import spec_of_tensor


def arguments_of(model: Any, seen: Batches) -> Arguments:
    """Return specs of the arguments with which a model in training is called.

    These are the batch's inputs, unless the model's train_step passes something else.
    """
    specs = _of_batch(model, seen)
    called = _called(model, seen)
    if called is None or _alike(called, specs):
        return specs
    return called.filled(map(_as_fed, called.leaves))


def sample_of(model: Any, arguments: Arguments, seen: Batches) -> Optional[Arguments]:
    """Return tensors of the last kept batch for a call that takes `arguments`, or None."""
    if seen.inputs is None:
        return None
    given = Arguments((seen.inputs,))
    if is_declared(model) or seen.spec is None:
        return given
    called = _called(model, seen)
    if called is None or _alike(called, _of_batch(model, seen)):
        return given
    return _picked(arguments, tf.nest.flatten(seen.inputs))


def _of_batch(model: Any, seen: Batches) -> Arguments:
    specs = Arguments((tf.nest.map_structure(lambda leaf: _as_cast(model, leaf), seen.spec),))
    called = called_with(model)
    if called is not None and len(called.leaves) == len(specs.leaves):
        specs = specs.filled(map(_named_as, specs.leaves, called.leaves))
    return specs


def _called(model: Any, seen: Batches) -> Optional[Arguments]:
    """Return the arguments of the model's call in this training, if known."""
    return seen.called or (called_with(model) if seen.is_new else None)


def _alike(one: Arguments, other: Arguments) -> bool:
    """Return whether two have the same structure, dtypes and ranks."""
    both = [(list(a.args), dict(a.kwargs)) for a in (one, other)]
    try:
        tf.nest.assert_same_structure(*both, check_types=False)
    except (ValueError, TypeError):
        return False
    return all(
        type(a) is type(b) and _same_kind(a, b) and a.shape.rank == b.shape.rank
        for a, b in zip(one.leaves, other.leaves)
    )


def _same_kind(one: Any, other: Any) -> bool:
    """Return whether dtypes are equal or both floating: Keras casts only floating inputs."""
    return one.dtype == other.dtype or (one.dtype.is_floating and other.dtype.is_floating)


def _picked(arguments: Arguments, leaves: List[Any]) -> Optional[Arguments]:
    """Return the arguments with a fitting tensor of a batch for each spec, or None."""
    picked = []
    for spec in arguments.leaves:
        fitting = [leaf for leaf in leaves if _fits(leaf, spec)]
        if not fitting:
            return None
        picked.append(fitting[0])
        leaves = [leaf for leaf in leaves if leaf is not fitting[0]]
    return arguments.filled(picked)


def _fits(leaf: Any, spec: Any) -> bool:
    found = spec_of_tensor(leaf)
    if not isinstance(found, tf.TensorSpec) or not isinstance(spec, tf.TensorSpec):
        return False
    rest = [shape[1:] if shape.rank else shape for shape in (found.shape, spec.shape)]
    return bool(found.dtype == spec.dtype and rest[0].is_compatible_with(rest[1]))


def _as_cast(model: Any, spec: Any) -> Any:
    """Return a float64 spec as the float32 that Keras casts it to before the model gets it."""
    if not isinstance(spec, tf.TensorSpec) or spec.dtype != tf.float64:
        return spec
    if not _keras.casts_inputs(model) or getattr(model, "compute_dtype", None) == "float64":
        return spec
    return tf.TensorSpec(spec.shape, tf.float32, spec.name)


def _as_fed(spec: Any) -> Any:
    """Return a 16-bit floating spec as float32: in mixed precision, Keras casts float32 inputs."""
    if isinstance(spec, tf.TensorSpec) and spec.dtype in (tf.float16, tf.bfloat16):
        return tf.TensorSpec(spec.shape, tf.float32)
    return spec


def _named_as(spec: Any, other: Any) -> Any:
    if not isinstance(spec, tf.TensorSpec):
        return spec
    return tf.TensorSpec(spec.shape, spec.dtype, getattr(other, "name", None))
