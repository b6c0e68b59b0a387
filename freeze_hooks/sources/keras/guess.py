"""Guesses input dtypes of a subclassed Keras 3 model, of which Keras keeps only shapes."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

import numpy as np
import tensorflow as tf

from ... import _tf
from ...errors import FreezeError, NotFreezableError
from ...proof.op_effects import changes
from ...proof.tolerance import difference, scale
from .arguments import Arguments
from .end_names import input_names

_WHOLE = (tf.uint8, tf.int32)  # images, and most other whole numbers
_TOLERANCE = 1e-3


def guessed(model: Any, arguments: Arguments, trace: Callable[[Arguments], Any]) -> Arguments:
    """Return specs with the dtypes that the model is likely to take.

    If the only use of an input is a cast to whole numbers or texts, it gets this dtype. Other
    inputs get float32. A warning names them all.

    Args:
      model: the model.
      arguments: specs with the right shapes, all float32.
      trace: returns a ConcreteFunction, or raises NotFreezableError.

    Raises:
      FreezeError: the model gives other answers to whole numbers than to the same float32 numbers.
      NotFreezableError: it cannot be traced.
    """
    concrete = trace(arguments)
    dtypes = [_cast_to(fed) for fed in concrete.inputs[: len(arguments.leaves)]]
    found = arguments.filled(
        tf.TensorSpec(spec.shape, dtype or spec.dtype)
        for spec, dtype in zip(arguments.leaves, dtypes)
    )
    unknown = [i for i, dtype in enumerate(dtypes) if dtype is None]
    if unknown:
        _check_alike(model, found, unknown, trace)
    names = input_names(model, found)
    told = ", ".join(f"{n!r} {s.dtype.name}" for n, s in zip(names, found.leaves))
    _tf.warn(
        f"{model.name!r}: its inputs are taken to be float32, or what they are cast to ({told}), "
        "since Keras remembers only their shapes; give input_signature= to be sure"
    )
    return found


def texts_of(arguments: Arguments, concrete: Any) -> Optional[Arguments]:
    """Return specs with string dtype for inputs that are cast to strings; None if none is.

    Numbers cannot be cast to strings, so these inputs must be strings.
    """
    leaves = arguments.leaves
    texts = [_cast_to(fed) == tf.string for fed in concrete.inputs[: len(leaves)]]
    if not any(texts) or not all(isinstance(spec, tf.TensorSpec) for spec in leaves):
        return None
    return arguments.filled(
        tf.TensorSpec(spec.shape, tf.string, spec.name) if text else spec
        for spec, text in zip(leaves, texts)
    )


def _cast_to(fed: Any) -> Optional[Any]:
    """Return the integer or string dtype that all users of an input cast it to, or None."""
    users = fed.consumers()
    dtypes = {op.get_attr("DstT") if op.type == "Cast" else None for op in users}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    return dtype if dtype is not None and (dtype == tf.string or dtype.is_integer) else None


def _check_alike(
    model: Any, arguments: Arguments, unknown: List[int], trace: Callable[[Arguments], Any]
) -> None:
    for dtype in _WHOLE:
        leaves = list(arguments.leaves)
        for i in unknown:
            leaves[i] = tf.TensorSpec(leaves[i].shape, dtype)
        try:
            traces = trace(arguments), trace(arguments.filled(leaves))
        except NotFreezableError:
            continue  # it refuses these numbers
        one, other = (_answers(concrete, arguments.leaves, unknown) for concrete in traces)
        if one is not None and other is not None and not _alike(one, other):
            names = input_names(model, arguments)
            told = ", ".join(repr(names[i]) for i in unknown)
            raise FreezeError(
                f"{model.name!r} gives other answers to {dtype.name} than to the same numbers as "
                f"float32, and Keras remembers no dtypes: give the dtype of {told} by "
                "input_signature=, such as "
                f"tf.TensorSpec({leaves[unknown[0]].shape.as_list()}, tf.{dtype.name})"
            )


def _answers(concrete: Any, specs: List[Any], unknown: List[int]) -> Optional[List[Any]]:
    """Return a trace's answers to whole numbers; None if the call would change the model."""
    if changes(concrete.graph.as_graph_def()):
        return None
    random = np.random.RandomState(0)
    fed = []
    for i, (spec, tensor) in enumerate(zip(specs, concrete.inputs)):
        sizes = [2 if size is None else size for size in spec.shape.as_list()]
        if spec.dtype == tf.string:
            fed.append(tf.fill(sizes, "0"))
        else:
            most = 255 if i in unknown else 1
            fed.append(tf.cast(random.randint(0, most + 1, sizes), tensor.dtype))
    try:
        flat = tf.nest.flatten(concrete(*fed), expand_composites=True)
    except (ValueError, tf.errors.OpError):
        return None
    return [tensor.numpy() for tensor in flat if tensor is not None]


def _alike(one: List[Any], other: List[Any]) -> bool:
    return len(one) == len(other) and all(
        difference(a, b) <= _TOLERANCE * max(scale(a), scale(b)) for a, b in zip(one, other)
    )
