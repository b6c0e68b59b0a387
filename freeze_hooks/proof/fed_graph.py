"""The graph of a frozen file with its values as feeds, so that it stays from file to file."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

import tensorflow as tf

from .._protos import NodeDef
from .._tf import callable_of, v1
from .op_effects import FILLS, fill_tables_in_functions, leaves_no_state
from .parts import above


def without_optimizers() -> Any:
    """Return a ConfigProto for a session that runs a graph as it is, which starts sooner."""
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = v1.OptimizerOptions.L0
    return config


class FedGraph:
    """A file's graph in which Consts are placeholders; `run` feeds them.

    Args:
      graph_def: the file's other nodes and its functions.
      fed: {name of a Const: (DataType number, shape, or None for any)}.

    Raises:
      ValueError: TensorFlow cannot import the graph.
    """

    def __init__(self, graph_def: Any, fed: Mapping[str, Tuple[int, Any]]) -> None:
        for name, (dtype, shape) in fed.items():
            graph_def.node.add().CopyFrom(_placeholder(name, dtype, shape))
        tables = filling_tables(graph_def).intersection(fed) or fill_tables_in_functions(graph_def)
        self._lasts = leaves_no_state(graph_def) and not tables
        with tf.Graph().as_default() as self.graph:
            tf.import_graph_def(graph_def, name="")
        self.graph.finalize()
        self._lock = threading.Lock()
        self._session: Optional[Any] = None
        self._calls: Dict[Any, Callable[..., Any]] = {}

    def run(
        self,
        values: Mapping[str, Any],
        batches: Iterable[Mapping[str, Any]],
        fetches: Sequence[str],
    ) -> List[List[Any]]:
        """Return the values of `fetches` for each batch.

        Args:
          values: {name of a Const: array}.
          batches: each {tensor name: array}.
          fetches: tensor names.
        """
        constants = {name + ":0": value for name, value in values.items()}
        with self._lock:
            if self._session is None or not self._lasts:
                self._close()
                self._session = v1.Session(graph=self.graph, config=without_optimizers())
            return [self._run({**constants, **batch}, fetches) for batch in batches]

    def _run(self, fed: Mapping[str, Any], fetches: Sequence[str]) -> List[Any]:
        asked = tuple(name for name in fetches if name not in fed)
        key = tuple(fed), asked
        if key not in self._calls:
            self._calls[key] = callable_of(self._session, *key)
        found = {**fed, **dict(zip(asked, self._calls[key](*fed.values())))}
        return [found[name] for name in fetches]

    def close(self) -> None:
        """Close the session, if there is one."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._calls.clear()
        if self._session is not None:
            self._session.close()
            self._session = None


def filling_tables(graph_def: Any) -> Set[str]:
    """Return the names of the nodes that ops need which fill lookup tables."""
    nodes = {node.name: node for node in graph_def.node}
    return above(nodes, [node.name for node in graph_def.node if node.op in FILLS])


def _placeholder(name: str, dtype: int, shape: Optional[Sequence[int]]) -> Any:
    node = NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype
    node.attr["shape"].shape.unknown_rank = shape is None
    for size in shape or ():
        node.attr["shape"].shape.dim.add(size=size)
    return node
