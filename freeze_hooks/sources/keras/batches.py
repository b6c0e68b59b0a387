"""Looks at the batches that fit trains on; training still gets all of them."""

from __future__ import annotations

import itertools
from typing import Any, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from ... import _keras, _tf
from ...signature import Signature
from .arguments import Arguments
from .recorded_calls import call_of, recorded, spec_of_tensor

_EXPERIMENTAL = tf.data.experimental
_ROWS = 8  # rows of a batch to keep for proofs of files


class Batches:
    """What one callback knows of the batches of its fit.

    Attributes:
      wanted: whether to keep the next batch.
      rows: how many rows of it to keep; None keeps all.
      spec: specs of the inputs (tf.TensorSpec, ragged or sparse); None before the first batch, and
        if no batch can be seen.
      inputs: those of the last kept batch: x of (x, y) and of (x, y, sample_weight).
      called: the arguments of the model's call in training, as specs, if known.
      is_new: whether the model was never called before.
    """

    def __init__(self) -> None:
        self.wanted = True
        self.rows: Optional[int] = None
        self.spec: Any = None
        self.inputs: Any = None
        self.called: Optional[Arguments] = None
        self.is_new = False

    def begin(self, model: Any) -> bool:
        """Look at the batches that `model` trains on until `end`; return whether that works."""
        self.wanted, self.rows, self.spec, self.inputs = True, None, None, None
        self.called, self.is_new = None, not getattr(model, "built", False)
        return self.follow(model)

    def follow(self, model: Any) -> bool:
        """Go on looking if the model may have a new train function; return whether that works."""
        if not may_look(model):
            return False
        function = _keras.train_function_of(model)
        if function is None:
            return False
        if not isinstance(function, _Passage):
            function = _Passage(model, function)
            _keras.train_with(model, function)
        function.admit(self)
        return True

    def end(self, model: Any) -> None:
        """Restore the model's train function."""
        function = getattr(model, "train_function", None)
        if isinstance(function, _Passage) and function.dismiss(self):
            _keras.train_with(model, function.original)

    def settle(self, signature: Signature, proves: bool) -> None:
        """Keep from now on only the rows that proofs of this signature's files need, if any."""
        fixed = any(info.shape and info.shape[0] is not None for info in signature.inputs)
        self.rows = None if fixed else _ROWS
        self.inputs = rows_of(self.inputs, self.rows) if proves else None

    def keep(self, batch: Any, spec: Any) -> None:
        """Note the spec of all batches and one batch, which is None if it cannot be kept."""
        self.wanted = False
        self.spec = _inputs_of(spec)
        self.inputs = None if batch is None else rows_of(_inputs_of(batch), self.rows)


def batch_of(inputs: Any) -> Batches:
    """Return what is known from a given batch, in the form that a model takes."""
    found = Batches()
    found.inputs = tf.nest.map_structure(_as_tensor, inputs)
    found.spec = spec_of(found.inputs)
    return found


def _as_tensor(leaf: Any) -> Any:
    return leaf if leaf is None or hasattr(leaf, "shape") else np.asarray(leaf)


def may_look(model: Any) -> bool:
    """Return whether a model's batches can be seen once `fit` trains it."""
    if _keras.graph_mode():
        return False
    return not _tf.uses_coordinator(_tf.strategy_of(model))


class _Passage:
    """A train function that shows batches to callbacks before it trains on them."""

    def __init__(self, model: Any, original: Any) -> None:
        self.original = original
        self._model = model
        self._admitted: List[Batches] = []
        self._has_run = False

    def admit(self, batches: Batches) -> None:
        if self._has_run and batches not in self._admitted:
            self._admitted = []  # those were of an interrupted fit
            self._has_run = False
        if batches not in self._admitted:
            self._admitted.append(batches)

    def dismiss(self, batches: Batches) -> bool:
        """Forget a callback; return whether none is left."""
        self._admitted = [other for other in self._admitted if other is not batches]
        return not self._admitted

    def __call__(self, *args: Any) -> Any:
        self._has_run = True
        wanting = [batches for batches in self._admitted if batches.wanted]
        if wanting and args:
            # the data is the last argument: JAX has the state before it
            batch, spec, data = _looked_at(args[-1], _keras.steps_per_execution(self._model))
            args = (*args[:-1], data)
            fresh = [batches for batches in wanting if batches.spec is None]
            for batches in wanting if spec is not None else ():
                batches.keep(batch, spec)
            if fresh:
                return self._recorded(args, fresh)
        return self.original(*args)

    def _recorded(self, args: Any, fresh: List[Batches]) -> Any:
        with recorded(self._model):
            found = self.original(*args)
        for batches in fresh:
            batches.called = call_of(self._model)
        return found

    def __getattr__(self, name: str) -> Any:
        if name == "original":  # in a copy that is not complete yet
            raise AttributeError(name)
        return getattr(self.original, name)


def _looked_at(data: Any, steps: int) -> Tuple[Any, Any, Any]:
    """Return the first batch, its spec, and an object with the same batches as `data`."""
    if isinstance(data, (list, tuple)):  # PyTorch
        return (data[0], spec_of(data[0]), data) if data else (None, None, data)
    if not hasattr(data, "__next__"):
        return None, None, data
    if hasattr(data, "element_spec"):
        if not isinstance(data, tf.data.Iterator):  # tf.distribute
            return None, tf.nest.map_structure(_tf.spec_of_one_replica, data.element_spec), data
        return _of_dataset(data, steps)
    first = next(data, None)
    if first is None:
        return None, None, data
    return first, spec_of(first), itertools.chain([first], data)


def _of_dataset(iterator: Any, steps: int) -> Tuple[Any, Any, Any]:
    """Return a new iterator of the next batches with the same spec, so no new trace is needed."""
    spec = iterator.element_spec
    pulled = list(itertools.islice(_until_the_end(iterator), steps))
    if not pulled:
        return None, None, iterator
    dataset: Any = None
    for batch in pulled:
        one = tf.data.Dataset.from_tensors(batch)
        one = _EXPERIMENTAL.from_variant(_EXPERIMENTAL.to_variant(one), spec)
        dataset = one if dataset is None else dataset.concatenate(one)
    return pulled[0], spec, iter(dataset)


def _until_the_end(iterator: Any) -> Any:
    while True:
        try:
            yield next(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):
            return


def _inputs_of(batch: Any) -> Any:
    """Return x of what Keras takes as (x, y, sample_weight)."""
    inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
    return tf.nest.map_structure(_present, inputs)


def _present(leaf: Any) -> Any:
    """Return None in place of the Optional that Keras 3 uses for None in a dataset."""
    optional = (_EXPERIMENTAL.Optional, getattr(tf, "OptionalSpec", ()))
    return None if isinstance(leaf, optional) else leaf


def spec_of(values: Any) -> Any:
    """Return specs of tensors or arrays of any backend, with any number of rows."""
    return tf.nest.map_structure(_leaf_spec, values)


def _leaf_spec(value: Any) -> Any:
    spec = spec_of_tensor(value)
    if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
        return spec
    return tf.TensorSpec([None, *spec.shape.as_list()[1:]], spec.dtype)


def rows_of(inputs: Any, count: Optional[int]) -> Any:
    """Return the first rows of a batch; the whole batch if its tensors differ in rows."""
    leaves = [leaf for leaf in tf.nest.flatten(inputs) if hasattr(leaf, "shape")]
    sizes = {leaf.shape[0] if len(leaf.shape) else None for leaf in leaves}
    if count is None or len(sizes) != 1 or None in sizes:
        return inputs
    return tf.nest.map_structure(lambda leaf: _sliced(leaf, count), inputs)


def _sliced(leaf: Any, count: int) -> Any:
    if isinstance(leaf, tf.SparseTensor):
        sizes = [count, *leaf.dense_shape.numpy().tolist()[1:]]
        return tf.sparse.slice(leaf, [0] * len(sizes), sizes)
    return leaf[:count] if hasattr(leaf, "shape") else leaf
