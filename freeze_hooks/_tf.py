"""Differences between TensorFlow versions, and all uses of its private names."""

from __future__ import annotations

import contextlib
import functools
import operator
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

import tensorflow as tf

from ._protos import CallableOptions, MetaGraphDef

v1 = tf.compat.v1
HOOKS = "_hooks"  # the attribute of a MonitoredSession that lists its hooks
VERSION: str = tf.__version__

# In TensorFlow 1, LookupTableImportV2 takes only keys and values of the same rank.
IMPORTS_ROWS = not VERSION.startswith("1.")


def exporter_base() -> Any:
    """Return tf.estimator.Exporter, imported only now; `object` in versions without it."""
    return tf.estimator.Exporter if hasattr(tf, "estimator") else object


_op_defs: Dict[str, Any] = {}


@functools.lru_cache(maxsize=None)
def _registry() -> Any:
    graph = tf.Graph()
    return getattr(graph, "op_def_for_type", None) or graph._get_op_def


def op_def(name: str) -> Optional[Any]:
    """Return the OpDef of a registered op type, also of a loaded library's; None if unknown."""
    if name not in _op_defs:
        try:
            _op_defs[name] = _registry()(name)
        except (tf.errors.OpError, KeyError, ValueError, RuntimeError):
            return None  # not stored: a library with the op may be loaded later
    return _op_defs[name]


def comes_with_tensorflow(op: str) -> bool:
    """Return whether an op type is TensorFlow's own, and not from another loaded library.

    tf.raw_ops has all ops that TensorFlow was built with, except internal ops and XLA's.
    """
    return op.startswith(("_", "Xla")) or hasattr(tf.raw_ops, op)


def grappled(graph_def: Any, kept: List[str]) -> Any:
    """Return a GraphDef after the Grappler passes that add no internal ops; `kept` nodes stay."""
    from tensorflow.python.grappler import tf_optimizer

    config = v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # else it skips graphs with less than four nodes
    rewriting.optimizers.extend(["pruning", "constfold", "arithmetic", "dependency", "constfold"])
    meta = MetaGraphDef(graph_def=graph_def)
    meta.collection_def["train_op"].node_list.value.extend(kept)
    return tf_optimizer.OptimizeGraph(config, meta, verbose=False)


def info(message: str) -> None:
    """Log a line as TensorFlow's own hooks do."""
    v1.logging.info("%s", message)


def warn(message: str) -> None:
    """Log a warning as TensorFlow does, under the logger name "tensorflow.freeze_hooks"."""
    tf.get_logger().getChild("freeze_hooks").warning("%s", message)


def static_shape(graph: Any, tensor: str) -> Optional[Tuple[Optional[int], ...]]:
    """Return a tensor's dimensions, None for each unknown one; None if the rank is unknown."""
    shape = graph.get_tensor_by_name(tensor).shape
    return None if shape.rank is None else tuple(shape.as_list())


def captures(func_graph: Any) -> List[Tuple[Any, Any]]:
    """Return (captured tensor, its placeholder) for all that a traced function captures."""
    return list(func_graph.captures)


def traces(function: Any) -> List[Any]:
    """Return the ConcreteFunctions traced so far of a tf.function without input_signature."""
    listed = getattr(function, "_list_all_concrete_functions_for_serialization", None)
    if listed is None or getattr(function, "input_signature", None) is not None:
        return []
    return list(listed())


def handle_type(handle: Any) -> Optional[Tuple[int, Any]]:
    """Return (DataType number, TensorShapeProto) of the variable of an eager resource handle.

    Return None for another resource, such as a lookup table.
    """
    data = handle._handle_data
    if data is None or not data.is_set or len(data.shape_and_type) != 1:
        return None  # a mutable table has two: of its keys and of its values
    return data.shape_and_type[0].dtype, data.shape_and_type[0].shape


def share_reads(handle: Any) -> None:
    """Make the next read of a variable share its memory, even if training scatters into it.

    Once rows were gathered or scattered, TensorFlow copies the variable at each dense read
    (copy_on_read_mode in resource_variable_ops.cc). This op ends that. The next gather or scatter
    copies the variable once if its memory is still held, so a value that was read does not change.
    Saver uses the op too.
    """
    disable = getattr(tf.raw_ops, "DisableCopyOnRead", None)
    if disable is not None:
        disable(resource=handle)


shared_array = operator.methodcaller("_numpy")
"""Return an eager tensor's value as an array that shares its memory; `numpy()` would copy it.

The array does not change: TensorFlow moves a variable to a new buffer if the old one is held
elsewhere."""


def several_workers(strategy: Any) -> bool:
    """Return whether a tf.distribute strategy runs the program in several worker processes."""
    return bool(getattr(strategy.extended, "_in_multi_worker_mode", bool)())


def uses_coordinator(strategy: Any) -> bool:
    """Return whether a tf.distribute strategy trains with a coordinator of remote workers."""
    return bool(getattr(strategy, "_should_use_with_coordinator", False))


def spec_of_one_replica(spec: Any) -> Any:
    """Return the spec of one replica's part of an element of a distributed dataset."""
    return getattr(spec, "_value_specs", [spec])[0]


def first_local_replica(strategy: Any) -> int:
    """Return the number of this process's first replica among all replicas."""
    number = getattr(strategy.extended, "_get_replica_id_in_sync_group", int)(0)
    return int(number)


def variables_by_name(graph: Any) -> Dict[str, Any]:
    """Return {name: variable} of a graph's collections; slices of partitions one by one."""
    found: Dict[str, Any] = {}
    for collection in (v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.LOCAL_VARIABLES):
        found.update((v.op.name, v) for v in graph.get_collection(collection))
    return found


def replicas_of(variable: Any) -> List[Any]:
    """Return a tf.distribute variable's variable for each replica; of another one itself."""
    return list(variable.values) if hasattr(type(variable), "values") else [variable]


def strategy_of(model: Any) -> Any:
    """Return the tf.distribute strategy of a model's training; if none, the default strategy."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Return whether this process writes files, decided as in Keras's ModelCheckpoint."""
    return not several_workers(strategy) or bool(strategy.extended.should_checkpoint)


def one_replica(strategy: Any) -> ContextManager[Any]:
    """Return a context in which a variable has one replica's value, not a reduction over all."""
    if strategy.num_replicas_in_sync == 1 and not several_workers(strategy):
        return contextlib.ExitStack()
    replica: ContextManager[Any] = tf.distribute.ReplicaContext(
        strategy, first_local_replica(strategy)
    )
    return replica


def reduced_on_read(values: Iterable[Any]) -> Dict[int, Any]:
    """Return {id of a replica's handle: variable} for variables that are reduced when read.

    Their replicas differ until then (tf.VariableSynchronization.ON_READ). Examples are the moving
    averages of a batch normalization. If there are several workers, all must read them, in the
    same order.
    """
    reduced = _reduced(values)
    return {id(part.handle): value for value in reduced for part in replicas_of(value)}


def reduced_in(graph: Any) -> Dict[str, Any]:
    """Return {name of a replica's variable: variable} for such variables of a graph."""
    known = graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
    return {part.op.name: v for v in _reduced(known) for part in replicas_of(v)}


def _reduced(values: Iterable[Any]) -> Iterator[Any]:
    on_read = tf.VariableSynchronization.ON_READ
    for value in values:
        if hasattr(type(value), "values") and value.synchronization == on_read:
            yield value


def reduction(variable: Any) -> Any:
    """Return the tensor that a Saver saves for a variable that is reduced when read."""
    with contextlib.ExitStack() as stack:
        if not tf.distribute.has_strategy():
            stack.enter_context(variable.distribute_strategy.scope())
        return variable.read_value()


def runs_elsewhere(session: Any) -> bool:
    """Return whether a session runs in another process, where other clients may run steps."""
    return bool(getattr(session, "sess_str", b""))


def global_step(graph: Any) -> Any:
    """Return the variable that counts a graph's steps, or None.

    It is TensorFlow's global step, or a variable named `global_step`.
    """
    try:
        return v1.train.get_global_step(graph)
    except TypeError:  # not an integer, or a resource variable made by hand
        everything = graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        named = [v for v in everything if v.op.name == "global_step" and v.dtype.is_integer]
        return named[0] if named else None


def is_evaluation(graph: Any) -> bool:
    """Return whether tf.estimator or tf.contrib.training made a graph for evaluation."""
    return bool(graph.get_collection(v1.GraphKeys.EVAL_STEP))


def callable_of(session: Any, feeds: Iterable[str], fetches: Iterable[str]) -> Callable[..., Any]:
    """Return a function from the values of `feeds`, in order, to those of `fetches`.

    Session.run takes several microseconds for each feed; this has all names looked up before.
    """
    options = CallableOptions(feed=feeds, fetch=fetches)
    return session._make_callable_from_options(options)


def load_saved_model(session: Any, tags: Sequence[str], directory: str) -> Any:
    """Load a SavedModel into a session, and return its MetaGraphDef.

    This is tf.compat.v1.saved_model.load, which warns that it is deprecated.
    """
    from tensorflow.python.saved_model import loader_impl

    return loader_impl.SavedModelLoader(directory).load(session, list(tags))
