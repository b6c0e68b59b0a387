"""The live answers of a session, or of a copy of its graph where the session must not run."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import tensorflow as tf

from .. import _tf
from .asking import Asking
from .copied import Copy
from .expected import Expected
from .feeds import check_feeds
from .hints import hints_in
from .live_values import LiveValues
from .op_effects import (
    VARIABLES,
    calls_functions,
    changes,
    is_fed_in_training,
    needed,
    only_reads,
)
from .parts import calling
from .renamed import Renaming
from .restored import Restored, restored_by
from .tensor_ends import Ends, optional_in, taken_by

Saved = Tuple[str, Any]  # a checkpoint's prefix, and the SaverDef of its Saver


class SessionAnswers:
    """The live answers for files of a session's graph.

    The session itself answers if that changes nothing in the training and the file has the
    session's own values. Otherwise a copy of the graph answers, in a separate session. TensorFlow
    assigns its variables: from the live session, or from the checkpoint by the Saver's restore ops.

    Args:
      asking: asks by a signature of the files.
      training: the session's graph.
      graph: the graph to freeze: the same, or the one of inference_fn=.
      ends: the inputs and outputs of `graph` that the user asked for.
      renaming: from names of `graph`'s variables to `training`'s; None if all names are the same.

    Raises:
      FreezeError: the feeds do not fit the graph.
    """

    def __init__(
        self,
        asking: Asking,
        training: Any,
        graph: Any,
        ends: Ends,
        renaming: Optional[Renaming] = None,
    ) -> None:
        self._asking = asking
        self._training, self._graph, self._ends = training, graph, ends
        self._renaming: Renaming = renaming or (lambda name: name)
        self._taken = taken_by(graph, ends)
        check_feeds(asking.verify, self._taken, optional_in(graph, ends))
        self._copy: Optional[Copy] = None
        self._values: Optional[LiveValues] = None
        self._restored: Dict[str, Optional[Restored]] = {}
        self._in_session = graph is training and renaming is None and self._may_run()
        if not self._in_session:
            self._make_copy()  # it may add ops, which is possible until the graph is finalized

    def expected(self, session: Any, saved: Optional[Saved] = None) -> Expected:
        """Return the answers for the session's values, or for a saved checkpoint's.

        Raises:
          FreezeError: the model does not accept the feeds.
          tf.errors.OpError: the session raised it.
        """
        if self._asking.bytes_only:
            return self._asking.of()
        with contextlib.ExitStack() as stack:
            if self._in_session and saved is None:
                answer = lambda feeds: self._run(session, feeds)  # noqa: E731
            else:
                copy = self._make_copy()
                answer = stack.enter_context(
                    copy.opened(lambda names: self._filling(session, saved, names))
                )
            hints = functools.partial(hints_in, self._graph, self._ends)
            return self._asking.expected(self._taken, answer, hints)

    def _may_run(self) -> bool:
        """Return whether a run in the session changes nothing and needs only the feeds."""
        given = {*self._ends.inputs.values(), *self._ends.fixed}
        asked = map(self._graph.get_tensor_by_name, self._ends.outputs.values())
        fed = map(self._graph.get_tensor_by_name, self._ends.inputs.values())
        if any(map(_is_handle, asked)) or any(tensor.op.type in VARIABLES for tensor in fed):
            return False  # a variable's handle cannot be fetched or fed
        ops = needed(self._graph, self._ends.outputs.values(), given)
        others = [op for op in ops if not only_reads(op)]
        if any(is_fed_in_training(op.type) for op in ops):
            return False
        if not all(calls_functions(op.node_def) for op in others):
            return False
        if others and changes(calling(self._graph, others)):
            return False
        return not any(op.name in _tf.reduced_in(self._graph) for op in ops)

    def _run(self, session: Any, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        fed = dict(self._ends.fixed)
        fed.update((self._ends.inputs[name], value) for name, value in feeds.items())
        return dict(session.run(dict(self._ends.outputs), fed))

    def _make_copy(self) -> Copy:
        if self._copy is None:
            self._copy = Copy(self._graph.as_graph_def(), self._ends)
            names = {self._renaming(name) for name in self._copy.held}
            self._values = LiveValues(self._training, sorted(names))
        return self._copy

    def _filling(
        self, session: Any, saved: Optional[Saved], names: Iterable[str]
    ) -> Iterator[Tuple[str, Any]]:
        takers: Dict[str, List[str]] = {}
        for name in names:
            takers.setdefault(self._renaming(name), []).append(name)
        for source, value in self._source(session, saved, list(takers)):
            for name in takers[source]:
                yield name, value

    def _source(
        self, session: Any, saved: Optional[Saved], names: Iterable[str]
    ) -> Iterator[Tuple[str, Any]]:
        assert self._values is not None
        restored = None if saved is None else self._restorer(saved[1])
        if saved is None or restored is None:
            yield from self._values.read(session, set(names))
            return
        own = sorted(restored.names & set(names))
        yield from restored.read(saved[0], own)
        yield from self._values.read(session, set(names) - restored.names)

    def _restorer(self, saver_def: Any) -> Optional[Restored]:
        key = saver_def.restore_op_name
        if key not in self._restored:
            self._restored[key] = restored_by(self._training.as_graph_def(), saver_def)
        return self._restored[key]


def _is_handle(tensor: Any) -> bool:
    return bool(tensor.dtype.base_dtype == tf.resource)
