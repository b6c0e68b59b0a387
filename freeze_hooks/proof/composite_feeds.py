"""Ragged and sparse feeds: makes random ones, and takes a user's apart into plain tensors."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

# (TypeSpec of a composite argument, the file's names of its parts in tf.nest.flatten's order)
Composite = Tuple[Any, Sequence[str]]


def composites_in(signature: Any, names: Sequence[str]) -> List[Composite]:
    """Return the ragged and sparse arguments of a function, with the names of their parts.

    Args:
      signature: a ConcreteFunction's `structured_input_signature`.
      names: the file's names of the function's inputs without captures, in order.
    """
    found, place = [], 0
    for leaf in tf.nest.flatten(signature):
        parts = tf.nest.flatten(leaf, expand_composites=True)
        count = sum(isinstance(part, tf.TensorSpec) for part in parts)
        if isinstance(leaf, (tf.RaggedTensorSpec, tf.SparseTensorSpec)):
            found.append((leaf, names[place : place + count]))
        place += count
    return found


def fitting(feeds: Mapping[str, Any], composites: Sequence[Composite], seed: int) -> Dict[str, Any]:
    """Return random feeds in which the parts of a ragged or sparse tensor fit each other.

    A ragged tensor gets as many rows as values; some rows are empty. The values of a sparse tensor
    get different places, in order.
    """
    random, found = np.random.RandomState(seed), dict(feeds)
    for spec, names in composites:
        if any(name not in feeds for name in names):
            continue
        make = _ragged if isinstance(spec, tf.RaggedTensorSpec) else _sparse
        found.update(zip(names, make(spec, [feeds[name] for name in names], random)))
    return found


def in_parts(
    feeds: Optional[Mapping[str, Any]], composites: Sequence[Composite]
) -> Optional[Dict[str, Any]]:
    """Return a user's feeds, with each RaggedTensor and SparseTensor replaced by its parts."""
    if feeds is None:
        return None
    found = dict(feeds)
    for _, names in composites:
        whole = names[0].rpartition("/")[0]
        value = found.get(whole)
        parts = [] if value is None else tf.nest.flatten(value, expand_composites=True)
        if len(parts) == len(names):
            del found[whole]
            found.update((name, np.asarray(part)) for name, part in zip(names, parts))
    return found


def _ragged(spec: Any, parts: Sequence[Any], random: Any) -> List[Any]:
    values, *splits = parts
    shape = tf.TensorShape(getattr(spec, "shape", None))  # 1.15's RaggedTensorSpec has no `shape`
    rows = shape.as_list()[0] if shape.rank else None
    made: List[Any] = []
    below = len(values)
    for old in reversed(splits):  # the innermost first
        count = len(values) if rows is None or len(made) + 1 < len(splits) else int(rows)
        inner = np.sort(random.randint(0, below + 1, max(count - 1, 0)))
        made.append(np.array([0, *inner, below], old.dtype))
        below = count
    return [values, *reversed(made)]


def _sparse(spec: Any, parts: Sequence[Any], random: Any) -> List[Any]:
    indices, values, dense_shape = parts
    rank = len(dense_shape)
    known = spec.shape.as_list() if spec.shape.rank is not None else [None] * rank
    shape = [len(values) if size is None else size for size in known]
    cells = int(np.prod(shape, dtype=np.int64))
    places = np.sort(random.choice(cells, min(cells, len(values)), replace=False))
    indices = np.stack(np.unravel_index(places, shape), 1).astype(indices.dtype)
    return [indices, values[: len(places)], np.array(shape, dense_shape.dtype)]
