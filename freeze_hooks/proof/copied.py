"""A copy of a graph in a separate session. TensorFlow's own ops assign its variables."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from .._tf import v1
from .op_effects import MUTABLE_TABLES, VARIABLES, is_fed_in_training, needed, only_reads
from .parts import above, filling, let_go, node_of, part_of
from .tensor_ends import Ends, value_type

# Given names of variables and mutable tables, yields (name, value); a table's is (keys, values).
Filling = Callable[[Iterable[str]], Iterator[Tuple[str, Any]]]


class Copy:
    """A copy of the nodes that a graph's outputs need. Running it never changes the original.

    Args:
      graph_def: the graph.
      ends: the inputs and outputs of the part to copy.
      assets: {tensor: path of the file to feed} for ops that fill lookup tables.
      look: is called with the part of the graph before it runs, and may refuse it.
    """

    def __init__(
        self,
        graph_def: Any,
        ends: Ends,
        assets: Optional[Mapping[str, str]] = None,
        look: Callable[[Any], None] = lambda part: None,
    ) -> None:
        self._ends, self._assets = ends, dict(assets or {})
        given = {*ends.inputs.values(), *ends.fixed}
        wanted = set(map(node_of, given.union(ends.outputs.values())))
        nodes = {node.name: node for node in graph_def.node}
        self._starts = filling(graph_def, above(nodes, wanted))
        part = part_of(graph_def, wanted.union(self._starts, map(node_of, self._assets)))
        let_go(part, given)
        look(part)
        with tf.Graph().as_default() as self.graph:
            tf.import_graph_def(part, name="")
            ops = self.graph.get_operations()
            held = [op for op in ops if op.type in VARIABLES | MUTABLE_TABLES]
            self._held = {op.name: op for op in held}
            run = needed(self.graph, ends.outputs.values(), given)
            self._changes = not all(map(only_reads, run))
            self._made_up = _made_up(self.graph)
            self._assigns = {op.name: assign_to(op) for op in held}
            self._fetches = {n: readable(self.graph, t) for n, t in ends.outputs.items()}
        fed = {node_of(tensor) for tensor in ends.inputs.values()} & set(self._held)
        self._left = [n for n, t in ends.outputs.items() if node_of(t) in fed]  # fetched last
        self.graph.finalize()

    @property
    def held(self) -> List[str]:
        """The names of its variables and mutable tables."""
        return sorted(self._held)

    @property
    def shapes(self) -> Dict[str, List[int]]:
        """{name: dimensions} of the variables whose shapes are known."""
        variables = {n: op for n, op in self._held.items() if op.type in VARIABLES}
        shapes = {name: value_type(op)[1] for name, op in variables.items()}
        return {n: shape.as_list() for n, shape in shapes.items() if shape.is_fully_defined()}

    @contextlib.contextmanager
    def opened(self, values: Filling) -> Iterator[Callable[[Mapping[str, Any]], Dict[str, Any]]]:
        """Yield a function that runs the copy on these values: {input: array} -> {output: array}.

        A variable without a value is zero.
        """
        with v1.Session(graph=self.graph) as session:
            filled = False

            def answer(feeds: Mapping[str, Any]) -> Dict[str, Any]:
                nonlocal filled
                if self._changes or not filled:
                    self._fill(session, values)
                    filled = True
                return self._run(session, feeds)

            yield answer

    def _fill(self, session: Any, values: Filling) -> None:
        left = dict(self._held)
        for name, value in values(self.held):
            fed, assign = self._assigns[name]
            given = value if isinstance(value, tuple) else (value,)
            session.run(assign, dict(zip(fed, given)))
            del left[name]
        for name, op in left.items():
            zeros = _zeros(op)
            if zeros is not None:
                fed, assign = self._assigns[name]
                session.run(assign, {fed[0]: zeros})
        for start in self._starts:
            session.run(self.graph.get_operation_by_name(start), self._assets)

    def _run(self, session: Any, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        fed = {**self._made_up, **self._assets, **self._ends.fixed}
        for name, value in feeds.items():
            tensor = self.graph.get_tensor_by_name(self._ends.inputs[name])
            if tensor.op.type in VARIABLES:
                placeholders, assign = self._assigns[tensor.op.name]
                session.run(assign, {placeholders[0]: value})
            else:
                fed[tensor.name] = value
        first = {n: fetch for n, fetch in self._fetches.items() if n not in self._left}
        answers = dict(session.run(first, fed))
        answers.update(session.run({name: self._fetches[name] for name in self._left}))
        return answers


def readable(graph: Any, name: str) -> Any:
    """Return a tensor of this name that can be fetched; for a resource variable, its value."""
    tensor = graph.get_tensor_by_name(name)
    if tensor.dtype.base_dtype != tf.resource:
        return tensor
    return tf.raw_ops.ReadVariableOp(resource=tensor, dtype=value_type(tensor.op)[0])


def assign_to(op: Any) -> Tuple[List[Any], Any]:
    """Return (placeholders, op): the op assigns them to a variable or a mutable table."""
    handle = op.outputs[0]
    resource = handle.dtype == tf.resource
    if op.type in MUTABLE_TABLES:
        types = [tf.as_dtype(op.get_attr(k)) for k in ("key_dtype", "value_dtype")]
        fed = [v1.placeholder(dtype) for dtype in types]
        table = tf.raw_ops.LookupTableImportV2 if resource else tf.raw_ops.LookupTableImport
        return fed, table(table_handle=handle, keys=fed[0], values=fed[1])
    value = v1.placeholder(value_type(op)[0])
    if resource:
        return [value], tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    return [value], tf.raw_ops.Assign(ref=handle, value=value, validate_shape=False).op


def _zeros(op: Any) -> Any:
    """Return zeros for a variable without a value; None for a table or an unknown shape."""
    if op.type in MUTABLE_TABLES:
        return None
    dtype, shape = value_type(op)
    if not shape.is_fully_defined() or dtype == tf.string:
        return None
    return np.zeros(shape.as_list(), dtype.as_numpy_dtype)


def _made_up(graph: Any) -> Dict[str, Any]:
    """Return values for what only the training feeds, as in a branch that `bind=` turns off."""
    found = {}
    for op in graph.get_operations():
        for tensor in op.outputs if is_fed_in_training(op.type) else ():
            shape = tensor.shape.as_list() if tensor.shape.rank else []
            sizes = [1 if size is None else size for size in shape]
            if tensor.dtype == tf.string:
                found[tensor.name] = np.full(sizes, b"", object)
            elif graph.is_feedable(tensor):
                found[tensor.name] = np.zeros(sizes, tensor.dtype.as_numpy_dtype)
    return found
