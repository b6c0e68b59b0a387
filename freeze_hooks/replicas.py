"""Models that tf.distribute trains in several replicas: which worker writes, and which values."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager, Dict, Iterable, Iterator

import tensorflow as tf

from . import _tf
from ._tf import v1


def strategy_of(model: Any) -> Any:
    """Return the tf.distribute strategy of a model's training; if none, the default strategy."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Return whether this process writes files, decided as in Keras's ModelCheckpoint."""
    return not _tf.several_workers(strategy) or bool(strategy.extended.should_checkpoint)


def one_replica(strategy: Any) -> ContextManager[Any]:
    """Return a context in which a variable has one replica's value, not a reduction over all."""
    if strategy.num_replicas_in_sync == 1 and not _tf.several_workers(strategy):
        return contextlib.ExitStack()
    replica: ContextManager[Any] = tf.distribute.ReplicaContext(
        strategy, _tf.first_local_replica(strategy)
    )
    return replica


def reduced_on_read(values: Iterable[Any]) -> Dict[int, Any]:
    """Return {id of a replica's handle: variable} for variables that are reduced when read.

    Their replicas differ until then (tf.VariableSynchronization.ON_READ). Examples are the moving
    averages of a batch normalization. If there are several workers, all must read them, in the
    same order.
    """
    reduced = _reduced(values)
    return {id(part.handle): value for value in reduced for part in _tf.replicas_of(value)}


def reduced_in(graph: Any) -> Dict[str, Any]:
    """Return {name of a replica's variable: variable} for such variables of a graph."""
    known = graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
    return {part.op.name: v for v in _reduced(known) for part in _tf.replicas_of(v)}


def _reduced(values: Iterable[Any]) -> Iterator[Any]:
    on_read = tf.VariableSynchronization.ON_READ
    for value in values:
        if hasattr(type(value), "values") and value.synchronization == on_read:
            yield value


def reduction(variable: Any) -> Any:
    """Return the tensor that a Saver saves for a variable that is reduced when read."""
    with contextlib.ExitStack() as stack:
        if not tf.distribute.has_strategy():
            stack.enter_context(variable.distribute_strategy.scope())
        return variable.read_value()
