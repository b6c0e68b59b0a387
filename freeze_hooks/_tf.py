"""Everything that differs between TensorFlow versions, and every private import."""

from __future__ import annotations

import functools
import operator
from typing import Any, Dict, List, Optional, Tuple

import tensorflow as tf

from ._protos import MetaGraphDef

v1 = tf.compat.v1
VERSION: str = tf.__version__

# LookupTableImportV2's shape function wants keys and values of one rank in TensorFlow 1.
IMPORTS_ROWS = not VERSION.startswith("1.")


def exporter_base() -> Any:
    """tf.estimator.Exporter, which is imported only now; object where there is none any more."""
    return tf.estimator.Exporter if hasattr(tf, "estimator") else object


_op_defs: Dict[str, Any] = {}


@functools.lru_cache(maxsize=None)
def _registry() -> Any:
    graph = tf.Graph()
    return getattr(graph, "op_def_for_type", None) or graph._get_op_def


def op_def(name: str) -> Optional[Any]:
    """The OpDef registered for an op type, also from loaded libraries; None if there is none."""
    if name not in _op_defs:
        try:
            _op_defs[name] = _registry()(name)
        except (tf.errors.OpError, KeyError, ValueError, RuntimeError):
            return None  # until a library that has it is loaded
    return _op_defs[name]


def comes_with_tensorflow(op: str) -> bool:
    """Whether an op type is TensorFlow's own, and not from a library that was loaded besides.

    tf.raw_ops has what TensorFlow was built with, but for internal ops and XLA's.
    """
    return op.startswith(("_", "Xla")) or hasattr(tf.raw_ops, op)


def grappled(graph_def: Any, kept: List[str]) -> Any:
    """A GraphDef after those of Grappler's passes that leave only public ops; `kept` nodes stay."""
    from tensorflow.python.grappler import tf_optimizer

    config = v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # else it leaves graphs of less than four nodes alone
    rewriting.optimizers.extend(["pruning", "constfold", "arithmetic", "dependency", "constfold"])
    meta = MetaGraphDef(graph_def=graph_def)
    meta.collection_def["train_op"].node_list.value.extend(kept)
    return tf_optimizer.OptimizeGraph(config, meta, verbose=False)


def info(message: str) -> None:
    """Log a line as TensorFlow's own hooks do."""
    v1.logging.info("%s", message)


def warn(message: str) -> None:
    """Log a warning where TensorFlow's own go, under a name that tells whose it is."""
    tf.get_logger().getChild("freeze_hooks").warning("%s", message)


def static_shape(graph: Any, tensor: str) -> Optional[Tuple[Optional[int], ...]]:
    """The dimensions of a graph's tensor, None for an unknown one; None for an unknown rank."""
    shape = graph.get_tensor_by_name(tensor).shape
    return None if shape.rank is None else tuple(shape.as_list())


def captures(func_graph: Any) -> List[Tuple[Any, Any]]:
    """(captured tensor, its placeholder) of each thing a traced function takes from outside."""
    return list(func_graph.captures)


def traces(function: Any) -> List[Any]:
    """The ConcreteFunctions that a tf.function without an input_signature has by now."""
    listed = getattr(function, "_list_all_concrete_functions_for_serialization", None)
    if listed is None or getattr(function, "input_signature", None) is not None:
        return []
    return list(listed())


def handle_type(handle: Any) -> Optional[Tuple[int, Any]]:
    """(DataType number, TensorShapeProto) of the variable behind an eager resource handle.

    None for another resource, such as a lookup table.
    """
    data = handle._handle_data
    if data is None or not data.is_set or len(data.shape_and_type) != 1:
        return None  # mutable tables have the types of their keys and of their values
    return data.shape_and_type[0].dtype, data.shape_and_type[0].shape


def share_reads(handle: Any) -> None:
    """Have the next read of a variable share its memory, though training scatters into it.

    The first gather or scatter of its rows makes TensorFlow copy a variable at each dense read
    (copy_on_read_mode in resource_variable_ops.cc), until this op; the next one copies it once if
    the memory is still held, and so leaves what was read as it is. Saver uses the op too.
    """
    disable = getattr(tf.raw_ops, "DisableCopyOnRead", None)
    if disable is not None:
        disable(resource=handle)


shared_array = operator.methodcaller("_numpy")
"""An eager tensor's value as an array that shares its memory; `numpy()` would copy it.

It stays as it is: TensorFlow moves a variable to a new buffer rather than change one that is held
elsewhere."""


def several_workers(strategy: Any) -> bool:
    """Whether a tf.distribute strategy trains in several processes that all run the program."""
    return bool(getattr(strategy.extended, "_in_multi_worker_mode", bool)())


def first_local_replica(strategy: Any) -> int:
    """The number of this process's first replica among all."""
    number = getattr(strategy.extended, "_get_replica_id_in_sync_group", int)(0)
    return int(number)


def variables_by_name(graph: Any) -> Dict[str, Any]:
    """The variables in a graph's collections, slices of partitioned ones one by one."""
    found: Dict[str, Any] = {}
    for collection in (v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.LOCAL_VARIABLES):
        found.update((v.op.name, v) for v in graph.get_collection(collection))
    return found


def replicas_of(variable: Any) -> List[Any]:
    """One variable a replica of what tf.distribute has in place of a variable; else itself."""
    return list(variable.values) if hasattr(type(variable), "values") else [variable]


def runs_elsewhere(session: Any) -> bool:
    """Whether a session runs in another process, where others may run steps."""
    return bool(getattr(session, "sess_str", b""))


def global_step(graph: Any) -> Any:
    """The variable that counts a graph's steps, or None: the one that TensorFlow made for it, or
    that of the name `global_step`."""
    try:
        return v1.train.get_global_step(graph)
    except TypeError:  # no integer, or a resource variable that somebody made by hand
        everything = graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        named = [v for v in everything if v.op.name == "global_step" and v.dtype.is_integer]
        return named[0] if named else None


def is_evaluation(graph: Any) -> bool:
    """Whether a graph is one that tf.estimator or tf.contrib.training evaluates."""
    return bool(graph.get_collection(v1.GraphKeys.EVAL_STEP))
