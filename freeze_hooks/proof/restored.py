"""The values in a checkpoint, as a graph's own Saver or TensorFlow's reader gives them."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import tensorflow as tf

from .._tf import TrackableObjectGraph, VariableDef, v1
from ..errors import FreezeError
from .copied import readable
from .ops import VARIABLES
from .parts import node_of, part_of

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ASSIGNS = ("Assign", "AssignVariableOp")


class Restored:
    """Runs the ops with which a Saver restores a graph, in a session of their own.

    Attributes:
      names: of the variables that it restores.
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
        """(name, value) of some of the variables."""
        wanted = list(names)
        with v1.Session(graph=self._graph) as session:
            session.run([self._assigns[name] for name in wanted], {self._filename: prefix})
            for name in wanted:
                yield name, session.run(self._values[name])


def restored_by(graph_def: Any, saver_def: Optional[Any], look: Any = None) -> Optional[Restored]:
    """What restores a graph; None where it has no ops for that."""
    there = {node.name for node in graph_def.node}
    if saver_def is None or node_of(saver_def.restore_op_name) not in there:
        return None
    return Restored(graph_def, saver_def, look or (lambda part: None))


class Reader:
    """TensorFlow's own reader of a checkpoint, asked by variables' names.

    Args:
      prefix: the checkpoint's.
      meta: the MetaGraphDef that says which variables are slices of one.
    """

    def __init__(self, prefix: str, meta: Optional[Any] = None) -> None:
        self._prefix = prefix
        self._reader = tf.train.load_checkpoint(prefix)
        self.keys = dict.fromkeys(self._reader.get_variable_to_shape_map())
        self._objects = self._by_full_names()
        self._slices = _slices(meta)

    def names(self) -> List[str]:
        """All names that it may be asked by."""
        return [*self.keys, *self._objects, *self._slices]

    def value(self, name: str) -> Any:
        """The value of a variable.

        Raises:
          FreezeError: there is none.
        """
        if name in self._slices:
            key, begin, size = self._slices[name]
            where = tuple(slice(b, b + s) for b, s in zip(begin, size))
            return self._reader.get_tensor(key)[where]
        own = (name, name + "/.ATTRIBUTES/VARIABLE_VALUE", self._objects.get(name, name))
        for key in own:
            if key in self.keys:
                return self._reader.get_tensor(key)
        raise FreezeError(
            f"verify= finds no value of variable {name!r} in checkpoint {self._prefix}"
        )

    def _by_full_names(self) -> Dict[str, str]:
        """{name of a variable: key} in a checkpoint of tf.train.Checkpoint."""
        if _OBJECTS not in self.keys:
            return {}
        graph = TrackableObjectGraph()
        graph.ParseFromString(self._reader.get_tensor(_OBJECTS))
        held = (attribute for node in graph.nodes for attribute in node.attributes)
        return {a.full_name: a.checkpoint_key for a in held if a.full_name}


def _slices(meta: Optional[Any]) -> Dict[str, Tuple[str, Any, Any]]:
    found = {}
    collections: Mapping[str, Any] = {} if meta is None else meta.collection_def
    for name in ("variables", "trainable_variables", "local_variables"):
        for data in collections[name].bytes_list.value if name in collections else ():
            variable = VariableDef.FromString(data)
            info = variable.save_slice_info_def
            if info.full_name:
                key = node_of(variable.variable_name)
                found[key] = (info.full_name, tuple(info.var_offset), tuple(info.var_shape))
    return found
