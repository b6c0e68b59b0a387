"""The live answers of a function: the user's Python function is called with tensors."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

import tensorflow as tf

from .. import _tf
from ..errors import FreezeError
from ..signature import TensorInfo
from .asking import Asking
from .composite_feeds import composites_in, in_parts
from .expected import Expected
from .feeds import check_feeds
from .fit import held
from .op_effects import changes, changes_tables


class FunctionAnswers:
    """The live answers for files of a traced function.

    Args:
      asking: asks by a signature of the files.
      function: the user's function; variables that it changes get their values back.
      concrete: its trace, which tells how to call it.
      names: has `inputs` and `outputs`, the files' names of its tensors, in order.
      others: returns (handle, value) of captured variables that have another value in the file;
        they get it for the time of a call.

    Raises:
      FreezeError: the feeds do not fit, or the function changes a lookup table.
    """

    def __init__(
        self,
        asking: Asking,
        function: Callable[..., Any],
        concrete: Any,
        names: Any,
        others: Callable[[], Iterable[Tuple[Any, Any]]] = tuple,
    ) -> None:
        self._concrete, self._outputs, self._others = concrete, list(names.outputs), others
        self._taken = _taken(concrete, names.inputs)
        self._composites = composites_in(
            concrete.structured_input_signature, [info.name for info in self._taken]
        )
        self._asking = asking.with_feeds(in_parts(asking.verify.feeds, self._composites))
        self._function = function
        used = {info.name for info in asking.signature.inputs}
        self._needed = [info for info in self._taken if info.name in used]
        check_feeds(self._asking.verify, self._needed)
        graph_def = concrete.graph.as_graph_def()
        if changes_tables(graph_def):
            raise FreezeError("verify= cannot call a function that changes a lookup table")
        self._changes = changes(graph_def)

    def expected(self) -> Expected:
        """Return the function's answers now, which a file written now must repeat.

        Raises:
          FreezeError: the function does not accept the feeds.
        """
        if self._asking.bytes_only:
            return self._asking.of()
        with tf.init_scope():
            others = list(self._others())
            with variables_kept([handle for handle, _ in others]):
                for handle, value in others:
                    tf.raw_ops.AssignVariableOp(resource=handle, value=value)
                return self._asking.expected(
                    self._needed, self._answer, composites=self._composites
                )

    def _answer(self, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        args, more = self._arguments(feeds)
        captured = [outer for outer, _ in _tf.captures(self._concrete.graph)]
        with variables_kept(captured if self._changes else []):  # each call from the same state
            return _named(self._called(args, more), self._outputs)

    def _called(self, args: Any, more: Any) -> Any:
        own = getattr(self._function, "python_function", None)
        if own is None:
            return self._function(*args, **more)
        try:
            return own(*args, **more)
        except Exception:  # some code works only in a trace, such as tf.gradients
            return tf.function(own)(*args, **more)

    def _arguments(self, feeds: Mapping[str, Any]) -> Tuple[Any, Any]:
        """Return (args, kwargs) for a call; an argument that no output needs gets zeros."""
        signature, taken = self._concrete.structured_input_signature, iter(self._taken)
        flat = [
            _tensor(next(taken), feeds) if isinstance(spec, tf.TensorSpec) else spec
            for spec in tf.nest.flatten(signature, expand_composites=True)
        ]
        args, more = tf.nest.pack_sequence_as(signature, flat, expand_composites=True)
        return args, more


@contextlib.contextmanager
def variables_kept(handles: Sequence[Any]) -> Iterator[None]:
    """Give variables their values back at the end; until one changes, no memory is copied."""
    before = []
    for handle in handles:
        kind = _tf.handle_type(handle) if handle.dtype == tf.resource else None
        if kind is not None:
            dtype = tf.as_dtype(kind[0])
            before.append((handle, tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)))
    try:
        yield
    finally:
        for handle, value in before:
            tf.raw_ops.AssignVariableOp(resource=handle, value=value)


def _taken(concrete: Any, names: Sequence[str]) -> List[TensorInfo]:
    """Return the inputs without captures, in order; by TensorFlow's names if the file uses them."""
    captured = {inner.op.name for _, inner in _tf.captures(concrete.graph)}
    tensors = [t for t in concrete.inputs if t.op.name not in captured]
    own = [tensor.op.name for tensor in tensors]
    named = own if set(own) == set(names) else names
    return [
        TensorInfo(
            name,
            tensor.name,
            tensor.dtype.base_dtype.name,
            None if tensor.shape.rank is None else tuple(tensor.shape.as_list()),
        )
        for name, tensor in zip(named, tensors)
    ]


def _tensor(info: TensorInfo, feeds: Mapping[str, Any]) -> Any:
    dtype, value = tf.as_dtype(info.dtype), feeds.get(info.name)
    if value is None:
        return tf.zeros([1 if size is None else size for size in info.shape or ()], dtype)
    try:
        return tf.constant(held(value, dtype), dtype)
    except ValueError:
        return tf.constant(value)  # the file cannot hold it either, which is reported later


def _named(found: Any, names: Sequence[str]) -> Dict[str, Any]:
    """Return a function's results as {output name: array}, matched by dict keys or by order."""
    leaves = list(_leaves(found, ()))
    tensors = [part for _, leaf in leaves for part in _parts(leaf)]
    keys = ["_".join(path) for path, _ in leaves]
    named = keys if isinstance(found, Mapping) and sorted(keys) == sorted(names) else names
    return {name: tf.convert_to_tensor(value).numpy() for name, value in zip(named, tensors)}


def _parts(leaf: Any) -> List[Any]:
    return list(tf.nest.flatten(leaf, expand_composites=True))


def _leaves(structure: Any, path: Tuple[str, ...]) -> Iterator[Tuple[Tuple[str, ...], Any]]:
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _leaves(structure[key], (*path, str(key)))
    elif isinstance(structure, (list, tuple)) and not hasattr(structure, "dtype"):
        for i, part in enumerate(structure):
            yield from _leaves(part, (*path, str(i)))
    elif structure is not None:
        yield path, structure
