"""The answers of a SavedModel's graph, which TensorFlow's own loader loads into a session."""

from __future__ import annotations

import functools
from typing import Any, Dict, Iterator, Mapping, Sequence, Tuple

import tensorflow as tf

from .._tf import v1
from ..errors import refused
from .asking import Asking
from .copied import assign_to, readable
from .expected import Expected
from .feeds import check_feeds
from .hints import hints_in
from .op_effects import VARIABLES
from .renamed import renaming_among
from .restored import Reader
from .tensor_ends import Ends, optional_in, taken_by, value_type


class LoadedAnswers:
    """The answers for a file of a SavedModel's graph.

    Args:
      asking: asks by a signature of the file.
      directory: the SavedModel's directory.
      tags: the tags of its graph.
      ends: the inputs and outputs that the user asked for.
      variable_map, ema: as in `freeze_saved_model`.
    """

    def __init__(
        self,
        asking: Asking,
        directory: str,
        tags: Sequence[str],
        ends: Ends,
        variable_map: Any = None,
        ema: Any = None,
    ) -> None:
        self._asking, self._ends = asking, ends
        self._directory, self._tags = directory, list(tags)
        self._variable_map, self._ema = variable_map, ema

    def expected(self) -> Expected:
        """Return the answers that the file must repeat.

        Raises:
          InvalidFileError: TensorFlow cannot load the SavedModel.
          FreezeError: the feeds do not fit the graph.
        """
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            with refused(f"SavedModel {self._directory!r}", tf.errors.OpError):
                v1.saved_model.loader.load(session, self._tags, self._directory)
            taken = taken_by(graph, self._ends)
            check_feeds(self._asking.verify, taken, optional_in(graph, self._ends))
            if self._variable_map or self._ema:
                for op, value in self._others(graph):
                    fed, assign = assign_to(op)
                    session.run(assign, {fed[0]: value})
            fetches = {n: readable(graph, t) for n, t in self._ends.outputs.items()}

            def answer(feeds: Mapping[str, Any]) -> Dict[str, Any]:
                fed = dict(self._ends.fixed)
                fed.update((self._ends.inputs[name], value) for name, value in feeds.items())
                return dict(session.run(fetches, fed))

            hints = functools.partial(hints_in, graph, self._ends)
            return self._asking.expected(taken, answer, hints)

    def _others(self, graph: Any) -> Iterator[Tuple[Any, Any]]:
        """Yield (variable's op, value) for variables that take another variable's value."""
        ops = {op.name: op for op in graph.get_operations() if op.type in VARIABLES}
        shapes = {name: value_type(op)[1] for name, op in ops.items()}
        known = {n: shape.as_list() for n, shape in shapes.items() if shape.is_fully_defined()}
        reader = Reader(_prefix(self._directory), known)
        named = renaming_among(reader.names(), reader.has, self._variable_map, self._ema)
        for name, op in ops.items():
            value = None if named(name) == name else reader.value(named(name))
            if value is not None:
                yield op, value


def _prefix(directory: str) -> str:
    return directory.rstrip("/") + "/variables/variables"
