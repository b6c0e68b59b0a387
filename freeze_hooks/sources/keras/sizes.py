"""Opens those sizes of a Keras model's inputs for which the model also takes other sizes."""

from __future__ import annotations

from typing import Any, Callable, Collection, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ... import _tf
from ...errors import NotFreezableError
from ...proof.keras_call import answers_of
from ...proof.op_effects import changes
from ...proof.tolerance import difference, scale
from .arguments import Arguments
from .end_names import input_names

Trace = Callable[[Arguments], Any]
Place = Tuple[int, int]  # a size: (leaf, dimension)
_NUMBERS = (tf.int32, tf.int64, tf.string, tf.bool)  # their second dimension may be time
_TOLERANCE = 1e-3  # between two ways to compute the same, at equal sizes
_REFUSED = (ValueError, TypeError, IndexError, KeyError, RuntimeError, tf.errors.OpError)


def traced_open(
    model: Any, arguments: Arguments, sample: Optional[Arguments], trace: Trace
) -> Tuple[Arguments, Any]:
    """Return what a model takes, with as many open sizes as possible, and its trace.

    A size is opened if the trace gives the same answers as the model's own call, for this size and
    for another one. A warning names the sizes that stay closed.

    Args:
      model: the model.
      arguments: specs of the arguments of its call.
      sample: tensors for them; None makes some up.
      trace: returns a ConcreteFunction, or raises NotFreezableError.

    Raises:
      NotFreezableError: the model cannot be traced at all.
    """
    sample = sample or arguments.filled(map(_made_up, arguments.leaves))
    groups = _closed(arguments)
    found = _opened(model, arguments, sample, groups, trace) if groups else None
    if found is not None:
        return found
    for group in groups if len(groups) > 1 else ():
        found = _opened(model, arguments, sample, [group], trace)
        if found is not None:
            arguments, concrete = found
            _warn_of_closed(model, arguments)
            return arguments, concrete
    try:
        concrete = trace(arguments)
    except NotFreezableError:
        arguments = arguments.filled(map(_as_it_is, arguments.leaves, sample.leaves))
        concrete = trace(arguments)
    _warn_of_closed(model, arguments)
    return arguments, concrete


def _closed(arguments: Arguments) -> List[List[Place]]:
    """Return the sizes that may be opened, in groups of equal ones, which may belong together."""
    groups: Dict[Tuple[bool, int], List[Place]] = {}
    for i, spec in enumerate(arguments.leaves):
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
            continue
        last = spec.shape.rank - (spec.shape.rank > 2 or spec.dtype not in _NUMBERS)
        for axis, size in enumerate(spec.shape.as_list()[: max(1, last)]):
            if size is not None:
                groups.setdefault((axis > 0, size), []).append((i, axis))
    return list(groups.values())


def _opened(
    model: Any,
    arguments: Arguments,
    sample: Arguments,
    groups: Sequence[Sequence[Place]],
    trace: Trace,
) -> Optional[Tuple[Arguments, Any]]:
    places = {place for group in groups for place in group}
    wider = arguments.filled(
        _with_open(spec, [axis for leaf, axis in places if leaf == i])
        for i, spec in enumerate(arguments.leaves)
    )
    try:
        concrete = trace(wider)
    except NotFreezableError:
        return None
    if changes(concrete.graph.as_graph_def()):
        return None  # a trial would change the model
    if not _agree(model, concrete, sample):
        return None
    others = (resized(sample, places, more) for more in (True, False))
    return (wider, concrete) if any(_agree(model, concrete, o) for o in others) else None


def _agree(model: Any, concrete: Any, given: Arguments) -> bool:
    """Return whether a trace and the model's own call give the same answers."""
    try:
        live = answers_of(model, given.args, given.kwargs)
        answer = concrete(*map(tf.convert_to_tensor, given.leaves))
    except _REFUSED:
        return False
    flat = tf.nest.flatten(answer, expand_composites=True)
    found = [tensor.numpy() for tensor in flat if tensor is not None]
    return len(found) == len(live) and all(
        difference(one, other) <= _TOLERANCE * scale(other) for one, other in zip(found, live)
    )


def _with_open(spec: Any, axes: Sequence[int]) -> Any:
    if not axes:
        return spec
    sizes = [None if i in axes else size for i, size in enumerate(spec.shape.as_list())]
    return tf.TensorSpec(sizes, spec.dtype, spec.name)


def _as_it_is(spec: Any, value: Any) -> Any:
    """Return a spec with all sizes of a sample."""
    if not isinstance(spec, tf.TensorSpec):
        return spec
    return tf.TensorSpec(np.shape(value), spec.dtype, spec.name)


def resized(sample: Arguments, places: Collection[Place], more: bool) -> Arguments:
    """Return the sample with some sizes doubled or halved."""
    leaves = []
    for i, value in enumerate(sample.leaves):
        for axis in sorted(axis for leaf, axis in places if leaf == i):
            size = int(value.shape[axis])
            wanted = range(2 * size) if more else range(max(1, size // 2))
            value = tf.gather(value, [place % size for place in wanted], axis=axis)
        leaves.append(value)
    return sample.filled(leaves)


def _made_up(spec: Any) -> Any:
    """Return made-up values of a spec's dtype, for lack of a batch."""
    random = np.random.RandomState(0)
    if not isinstance(spec, tf.TensorSpec):
        raise NotFreezableError(f"a batch is needed to try {spec!r}")
    sizes = [2 if size is None else size for size in spec.shape.as_list()]
    if spec.dtype == tf.string:
        return tf.fill(sizes, "0")
    if spec.dtype.is_floating or spec.dtype.is_complex:
        return tf.cast(random.randn(*sizes), spec.dtype)
    most = 255 if spec.dtype == tf.uint8 else 1
    return tf.cast(random.randint(0, most + 1, sizes), spec.dtype)


def _warn_of_closed(model: Any, arguments: Arguments) -> None:
    closed = _closed(arguments)
    if not closed:
        return
    names = input_names(model, arguments)
    told, wider = [], arguments.leaves
    for i, spec in enumerate(arguments.leaves):
        axes = [axis for group in closed for leaf, axis in group if leaf == i]
        if axes:
            wider[i] = _with_open(spec, axes)
            told.append(f"{names[i]!r} is {spec.shape.as_list()}")
    example = ", ".join(f"tf.TensorSpec({s.shape.as_list()}, tf.{s.dtype.name})" for s in wider)
    _tf.warn(
        f"{model.name!r}: its files take only inputs of the first batch's sizes, since the model "
        f"does not take others, or could not be tried: {', '.join(told)}; if it should, "
        f"input_signature= opens them, or an error says why it cannot: {example}"
    )
