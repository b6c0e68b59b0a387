"""Values of a checkpoint, read with the graph's own Saver or with TensorFlow's reader."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from .._protos import TrackableObjectGraph
from .._tf import v1
from .copied import readable
from .op_effects import VARIABLES
from .parts import node_of, part_of

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SLICE = re.compile(r"(.+)/part_(\d+)(/.+)?\Z")
_ASSIGNS = ("Assign", "AssignVariableOp")


class Restored:
    """Runs a Saver's restore ops in a separate session.

    Attributes:
      names: the names of the variables that it restores.
    """

    def __init__(
        self, graph_def: Any, saver_def: Any, look: Callable[[Any], None] = lambda part: None
    ) -> None:
        names = [saver_def.restore_op_name, saver_def.filename_tensor_name]
        part = part_of(graph_def, map(node_of, names))
        look(part)
        self._filename = saver_def.filename_tensor_name
        with tf.Graph().as_default() as self._graph:
            tf.import_graph_def(part, name="")
            self._assigns = {
                op.inputs[0].op.name: op
                for op in self._graph.get_operations()
                if op.type in _ASSIGNS and op.inputs[0].op.type in VARIABLES
            }
            self._values = {n: readable(self._graph, n + ":0") for n in self._assigns}
            self._graph.finalize()
        self.names = frozenset(self._assigns)

    def read(self, prefix: str, names: Iterable[str]) -> Iterator[Tuple[str, Any]]:
        """Yield (name, value) of some of the variables, from the checkpoint at `prefix`."""
        wanted = list(names)
        with v1.Session(graph=self._graph) as session:
            session.run([self._assigns[name] for name in wanted], {self._filename: prefix})
            for name in wanted:
                yield name, session.run(self._values[name])


def restored_by(graph_def: Any, saver_def: Optional[Any], look: Any = None) -> Optional[Restored]:
    """Return the `Restored` of a graph; None if it lacks the Saver's restore ops."""
    there = {node.name for node in graph_def.node}
    if saver_def is None or node_of(saver_def.restore_op_name) not in there:
        return None
    return Restored(graph_def, saver_def, look or (lambda part: None))


class Reader:
    """TensorFlow's own reader of a checkpoint, by variables' names.

    Args:
      prefix: the checkpoint's prefix.
      shapes: {variable's name: its dimensions}, which locate the slices of partitioned variables.
    """

    def __init__(self, prefix: str, shapes: Mapping[str, Sequence[int]]) -> None:
        self._reader = tf.train.load_checkpoint(prefix)
        self._keys = dict.fromkeys(self._reader.get_variable_to_shape_map())
        self._objects = self._by_full_names()
        self._shapes = shapes

    def names(self) -> List[str]:
        """Return all names that the checkpoint lists: keys, and full names of its objects."""
        return [*self._keys, *self._objects]

    def value(self, name: str) -> Any:
        """Return the value of a variable; None if the checkpoint has none."""
        own = (name, name + "/.ATTRIBUTES/VARIABLE_VALUE", self._objects.get(name, name))
        for key in own:
            if key in self._keys:
                return self._reader.get_tensor(key)
        return self._slice(name) if self._whole(name) in self._keys else None

    def has(self, name: str) -> bool:
        """Return whether the checkpoint has a variable of this name, or the whole of a slice."""
        return name in self.names() or self._whole(name) in self._keys

    def _whole(self, name: str) -> Optional[str]:
        """Return the partitioned variable's name (or average's) for the name of a slice."""
        found = _SLICE.match(name)
        return found.group(1) + (found.group(3) or "") if found else None

    def _slice(self, name: str) -> Any:
        """Return a slice of a partitioned variable; it follows the slices of lower numbers."""
        base, number = _SLICE.match(name).group(1, 2)  # type: ignore[union-attr]
        array = self._reader.get_tensor(self._whole(name))
        shapes = [self._shapes[f"{base}/part_{i}"] for i in range(int(number) + 1)]
        axes = [i for i, size in enumerate(shapes[-1]) if size != array.shape[i]]
        if not axes:
            return array
        end = sum(shape[axes[0]] for shape in shapes)
        return array.take(range(end - shapes[-1][axes[0]], end), axes[0])

    def _by_full_names(self) -> Dict[str, str]:
        """Return {variable's full name: key} of a checkpoint by tf.train.Checkpoint."""
        if _OBJECTS not in self._keys:
            return {}
        graph = TrackableObjectGraph()
        graph.ParseFromString(self._reader.get_tensor(_OBJECTS))
        held = (attribute for node in graph.nodes for attribute in node.attributes)
        return {a.full_name: a.checkpoint_key for a in held if a.full_name}
