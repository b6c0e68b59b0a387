"""Traces a Keras model's inference for its inputs."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence, Tuple

import tensorflow as tf

from ... import _keras, _tf
from ...errors import NotFreezableError
from .arguments import Arguments, readings, takes_training
from .batches import Batches
from .guess import guessed, texts_of
from .input_types import built_with, called_with, declared, not_known, opened
from .samples import arguments_of, sample_of
from .sizes import traced_open


def traced(model: Any, given: Any, seen: Optional[Batches]) -> Tuple[Arguments, Any]:
    """Return what a model takes, and the ConcreteFunction traced for it.

    Args:
      model: the model.
      given: `input_signature=`, or None.
      seen: the batches that fit trains on, if they were looked at.

    Raises:
      FreezeError: what it takes is not known.
      NotFreezableError: it cannot be traced.
    """

    def trace(arguments: Arguments) -> Any:
        return _trace(model, arguments)

    if given is not None:
        found = _first(readings(model, given), trace)
        _check_times(model, found[0])
        return found
    said = declared(model)
    if said is not None:
        found = _declared(model, said, trace)
        _check_times(model, None)
        return found
    failure = None
    if seen is not None and seen.spec is not None:
        arguments = arguments_of(model, seen)
        try:
            return traced_open(model, arguments, sample_of(model, arguments, seen), trace)
        except NotFreezableError as error:  # its train_step may pass something else
            failure = error
    called = called_with(model)
    if called is not None:
        return traced_open(model, called, None, trace)
    built = built_with(model)
    if built is None:
        raise failure or not_known(model)
    return traced_as_built(model, built)


def like(model: Any, arguments: Arguments) -> Tuple[Arguments, Any]:
    """Return the same as `traced` for a model that takes the arguments of another one."""
    return arguments, _trace(model, arguments)


def traced_as_built(model: Any, shapes: Arguments) -> Tuple[Arguments, Any]:
    """Return the same as `traced` if only the shapes of a model's inputs are known."""

    def trace(arguments: Arguments) -> Any:
        return _trace(model, arguments)

    return traced_open(model, guessed(model, shapes, trace), None, trace)


def _first(meanings: Sequence[Arguments], trace: Callable[[Arguments], Any]) -> Tuple[Any, Any]:
    """Return the first of several meanings that can be traced, and its trace."""
    failure: Optional[Exception] = None
    for arguments in meanings:
        try:
            return arguments, trace(arguments)
        except NotFreezableError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _declared(
    model: Any, said: Arguments, trace: Callable[[Arguments], Any]
) -> Tuple[Arguments, Any]:
    """Trace the declared inputs, with any batch size if Keras took it from a call."""
    wider = opened(model, said.args[0])
    if wider is not None:
        try:
            return Arguments((wider,)), trace(Arguments((wider,)))
        except NotFreezableError:
            pass  # the layers need the batch size that they were built for
    concrete = trace(said)
    texts = texts_of(said, concrete)
    return (said, concrete) if texts is None else (texts, trace(texts))


def serving(model: Any, arguments: Arguments) -> Callable[..., Any]:
    """Return a function of tensors that calls a model, with training=False if it takes that."""
    more = {"training": False} if takes_training(model) else {}

    def serve(*leaves: Any) -> Any:
        call = arguments.filled(leaves)
        with _tf.one_replica(_tf.strategy_of(model)):
            return model(*call.args, **call.kwargs, **more)

    return serve


def _trace(model: Any, arguments: Arguments) -> Any:
    try:
        function = tf.function(serving(model, arguments))
        return function.get_concrete_function(*arguments.leaves)
    except Exception as error:
        raise NotFreezableError(
            f"{model.name!r} cannot be traced for inference: {error}"
        ) from error


def _check_times(model: Any, given: Optional[Arguments]) -> None:
    """Check that no layer confuses batch and time.

    Keras 3.15's TimeDistributed does in traces with an open number of time steps.
    """
    if given is not None and not any(map(_is_open, given.leaves)):
        return
    for layer in _keras.all_layers(model):
        if type(layer).__name__ == "TimeDistributed" and _miscounts(layer):
            raise NotFreezableError(
                f"layer {layer.name!r} (Keras's TimeDistributed) gives wrong answers if the number "
                "of time steps is open: give input_signature= with that number"
            )


def _is_open(spec: Any) -> bool:
    """Return whether a size other than the batch's is open."""
    return spec.shape.rank is None or None in spec.shape.as_list()[1:]


def _miscounts(layer: Any) -> bool:
    try:
        taken = layer.input
    except (AttributeError, ValueError, RuntimeError):
        return False  # of a subclassed model; verify= finds it there
    if not hasattr(taken, "shape") or len(taken.shape) < 3 or taken.shape[1] is not None:
        return False
    sizes = [1, 2] + [2 if size is None else size for size in taken.shape[2:]]
    function = tf.function(lambda x: layer(x, training=False))
    try:
        concrete = function.get_concrete_function(tf.TensorSpec(taken.shape, taken.dtype))
        return bool(concrete(tf.zeros(sizes, taken.dtype)).shape[1] != 2)
    except (ValueError, tf.errors.OpError):
        return False
