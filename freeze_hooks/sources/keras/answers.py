"""Gives the answers that a Keras model's files must give: those of the live model's call."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from ...errors import FreezeError
from ...proof.asked import Verify
from ...proof.asking import Asking
from ...proof.expected import Case, Expected
from ...proof.feeds import check_feeds, random_feeds, unfit
from ...proof.keras_call import answers_of, array_of
from ...signature import Signature, TensorInfo
from .arguments import Arguments
from .batches import Batches, rows_of
from .feed_hints import hints_of
from .input_layers import as_declared
from .samples import sample_of
from .sizes import resized
from .training_state import averages_of, synchronize

_ROWS = 4  # of a batch; more rows prove no more
_REFUSED = (ValueError, TypeError, IndexError, RuntimeError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a file takes and returns.

    Attributes:
      arguments: the arguments of the model's call, as specs.
      inputs: a name for each tensor of the arguments, in order.
      outputs: a name for each output tensor, in order.
      changes: whether a call changes variables.
    """

    arguments: Arguments
    inputs: Sequence[str]
    outputs: Sequence[str]
    changes: bool


def expecting(
    model: Any, taken: Taken, seen: Optional[Batches], averaged: Any, asking: Asking
) -> Callable[[], Expected]:
    """Return a function that gives the answers of a live model, which its files must give.

    Args:
      model: the live model.
      taken: what the files take and return.
      seen: the batches of its training.
      averaged: the model whose optimizer has the averages that the files hold; None: they hold the
        variables' own values.
      asking: asks by a signature of the files.

    Raises:
      FreezeError: the feeds of `verify=` do not fit the file's inputs.
    """
    used = [info for info in infos_of(taken) if _in(asking.signature, info)]
    check_feeds(asking.verify, used)
    return functools.partial(_expected, model, asking, taken, seen, averaged)


def _expected(
    model: Any, asking: Asking, taken: Taken, seen: Optional[Batches], averaged: Any
) -> Expected:
    if asking.bytes_only:
        return asking.of()
    synchronize(model)
    averages = () if averaged is None else averages_of(averaged)
    proven = asking.runs.proven

    def case(call: Arguments) -> Case:
        live = answers_of(model, call.args, call.kwargs, averages, taken.changes)
        return Case(_fed(model, taken, call), dict(zip(taken.outputs, live)))

    first, failure = None, None
    for call in _calls(model, taken, asking.verify, seen):
        try:
            first = case(call)
            break
        except _REFUSED as error:
            failure = failure or error
    if first is None:
        raise unfit(asking.verify, failure or FreezeError("no feeds fit")) from failure
    cases = [first]
    for other in () if proven else _others(taken, call):
        with contextlib.suppress(*_REFUSED):  # the model takes only the first sizes
            cases.append(case(other))
            break
    return asking.of(cases, complete=not proven)


def _calls(
    model: Any, taken: Taken, verify: Verify, seen: Optional[Batches]
) -> Iterator[Arguments]:
    """Yield arguments for the model's call; the next is tried if the model refuses one."""
    if verify.feeds is not None:
        yield _of_feeds(taken, verify.feeds)
        return
    sample = None if seen is None else sample_of(model, taken.arguments, seen)
    fitting = None if sample is None else _fitting(model, taken, sample)
    if fitting is not None:
        yield fitting
        return
    infos = infos_of(taken)
    for hints in (hints_of(model, infos), {}):
        yield _of_feeds(taken, random_feeds(infos, verify.seed, hints))


def infos_of(taken: Taken) -> List[TensorInfo]:
    """Return what a file takes, as in its signature."""
    flat = tf.nest.flatten(taken.arguments.leaves, expand_composites=True)
    return [
        TensorInfo(
            name,
            name + ":0",
            spec.dtype.name,
            None if spec.shape.rank is None else tuple(spec.shape.as_list()),
        )
        for name, spec in zip(taken.inputs, flat)
    ]


def _in(signature: Signature, info: TensorInfo) -> bool:
    return any(info.name == used.name for used in signature.inputs)


def _of_feeds(taken: Taken, feeds: Mapping[str, Any]) -> Arguments:
    """Return arguments from feeds by the file's names; inputs that no output needs are zeros."""
    specs, flat = taken.arguments.leaves, []
    for name, spec in zip(taken.inputs, tf.nest.flatten(specs, expand_composites=True)):
        if name in feeds:
            flat.append(_as_given(feeds[name], spec.dtype))
        else:
            flat.append(tf.zeros([1 if s is None else s for s in spec.shape or ()], spec.dtype))
    return taken.arguments.filled(tf.nest.pack_sequence_as(specs, flat, expand_composites=True))


def _as_given(value: Any, dtype: Any) -> Any:
    """Return a tensor of a value's own dtype; of the file's for lists and floating numbers."""
    array = np.asarray(value)
    own = hasattr(value, "dtype") and not (array.dtype.kind == "f" and dtype.is_floating)
    if array.dtype.kind in "OSU":
        return tf.constant(np.array(value, object), tf.string)
    return tf.constant(array) if own else tf.cast(tf.constant(array), dtype)


def _fitting(model: Any, taken: Taken, call: Arguments) -> Optional[Arguments]:
    """Return a batch of training with as many rows as a file takes, or few; None if unfit."""
    specs = taken.arguments.leaves
    leaves = as_declared(model, call)
    if leaves is None or len(leaves) != len(specs):
        return None
    batches = {spec.shape[0] for spec in specs if spec.shape.rank}
    rows = batches.pop() if len(batches) == 1 else None
    for spec, leaf in zip(specs, leaves):
        shape = [rows, *leaf.shape[1:]] if rows is not None else list(leaf.shape)
        if len(shape) != spec.shape.rank:
            return None
        if not spec.shape.is_compatible_with(
            [None if size is None else int(size) for size in shape]
        ):
            return None
        if rows is not None and leaf.shape[0] < rows:
            return None
    args, kwargs = rows_of((call.args, dict(call.kwargs)), rows or _ROWS)
    return Arguments(tuple(args), kwargs)


def _fed(model: Any, taken: Taken, call: Arguments) -> Dict[str, Any]:
    """Return {the file's input: array} of a call."""
    flat = tf.nest.flatten(as_declared(model, call), expand_composites=True)
    return {name: array_of(value) for name, value in zip(taken.inputs, flat)}


def _others(taken: Taken, call: Arguments) -> Iterator[Arguments]:
    """Yield the call with other sizes of open dimensions."""
    places = [
        (i, axis)
        for i, spec in enumerate(taken.arguments.leaves)
        if isinstance(spec, tf.TensorSpec) and spec.shape.rank
        for axis, size in enumerate(spec.shape.as_list())
        if size is None
    ]
    leaves = call.leaves
    if len(leaves) == len(taken.arguments.leaves) and all(map(_is_dense, leaves)):
        for more in (True, False):
            for part in (places, [place for place in places if place[1] == 0]):
                yield resized(call, part, more)


def _is_dense(leaf: Any) -> bool:
    return not isinstance(leaf, (tf.RaggedTensor, tf.SparseTensor))
