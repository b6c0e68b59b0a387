"""The graph of a SavedModel with variables, in a session that stays from file to file."""

from __future__ import annotations

import os
import threading
from typing import Any, Iterable, List, Mapping, Sequence

import tensorflow as tf

from .._tf import load_saved_model, v1
from .fed_graph import without_optimizers


class RestoredGraph:
    """Loads a SavedModel by TensorFlow's loader; `restore` takes the values of a later one.

    Args:
      directory: the SavedModel.
      restored: whether its restore op gives it all values that may differ in a later one.

    Raises:
      ValueError, tf.errors.OpError: TensorFlow cannot load it.
    """

    def __init__(self, directory: str, restored: bool) -> None:
        self._lock = threading.Lock()
        self._restored = restored
        self._load(directory)

    def _load(self, directory: str) -> None:
        with tf.Graph().as_default() as graph:
            self._session = v1.Session(graph=graph, config=without_optimizers())
            self.loaded = load_saved_model(self._session, ["serve"], directory)

    def restore(self, directory: str) -> None:
        """Take the values of another SavedModel with the same graph."""
        with self._lock:
            if not self._restored:
                self._session.close()
                self._load(directory)
                return
            saver = self.loaded.saver_def
            prefix = os.path.join(directory, "variables", "variables")
            self._session.run(saver.restore_op_name, {saver.filename_tensor_name: prefix})

    def run(
        self,
        values: Mapping[str, Any],
        batches: Iterable[Mapping[str, Any]],
        fetches: Sequence[str],
    ) -> List[List[Any]]:
        """Return the values of `fetches` for each batch; `values` are in the session already."""
        with self._lock:
            return [self._session.run(list(fetches), dict(batch)) for batch in batches]

    def close(self) -> None:
        """Close the session."""
        self._session.close()
