"""Models that tf.distribute trains in several replicas: which worker writes, and what it reads."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager, Dict, Iterable, Iterator

import tensorflow as tf

from . import _tf
from ._tf import v1


def strategy_of(model: Any) -> Any:
    """The tf.distribute strategy under which a model is trained; the default one if none."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Whether this process is the one that writes, as Keras's ModelCheckpoint has it."""
    return not _tf.several_workers(strategy) or bool(strategy.extended.should_checkpoint)


def one_replica(strategy: Any) -> ContextManager[Any]:
    """Where a variable is what one replica has of it, rather than a reduction over all."""
    if strategy.num_replicas_in_sync == 1 and not _tf.several_workers(strategy):
        return contextlib.ExitStack()
    replica: ContextManager[Any] = tf.distribute.ReplicaContext(
        strategy, _tf.first_local_replica(strategy)
    )
    return replica


def reduced_on_read(values: Iterable[Any]) -> Dict[int, Any]:
    """{id of a replica's handle: variable} of those whose replicas differ until they are read.

    Such are the moving averages of a batch normalization. Where there are several workers, all
    must read them, in the same order (tf.VariableSynchronization.ON_READ).
    """
    reduced = _reduced(values)
    return {id(part.handle): value for value in reduced for part in _tf.replicas_of(value)}


def reduced_in(graph: Any) -> Dict[str, Any]:
    """{name of a replica's variable: variable} of those in a graph."""
    known = graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
    return {part.op.name: v for v in _reduced(known) for part in _tf.replicas_of(v)}


def _reduced(values: Iterable[Any]) -> Iterator[Any]:
    on_read = tf.VariableSynchronization.ON_READ
    for value in values:
        if hasattr(type(value), "values") and value.synchronization == on_read:
            yield value


def reduction(variable: Any) -> Any:
    """The tensor that a Saver saves of a variable whose replicas differ until they are read."""
    with contextlib.ExitStack() as stack:
        if not tf.distribute.has_strategy():
            stack.enter_context(variable.distribute_strategy.scope())
        return variable.read_value()
