"""Everything that differs between TensorFlow versions, and every private import."""

from __future__ import annotations

import functools
import sys
import threading
import warnings
import weakref
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import (
    function_pb2,
    graph_pb2,
    node_def_pb2,
    tensor_pb2,
    types_pb2,
    variable_pb2,
)
from tensorflow.core.protobuf import (
    meta_graph_pb2,
    saved_model_pb2,
    saver_pb2,
    tensor_bundle_pb2,
    trackable_object_graph_pb2,
)

v1 = tf.compat.v1

AssetFileDef = meta_graph_pb2.AssetFileDef
AttrValue = v1.AttrValue
BundleEntry = tensor_bundle_pb2.BundleEntryProto
BundleHeader = tensor_bundle_pb2.BundleHeaderProto
FunctionDef = function_pb2.FunctionDef
GraphDef = graph_pb2.GraphDef
MetaGraphDef = meta_graph_pb2.MetaGraphDef
NodeDef = node_def_pb2.NodeDef
SavedModel = saved_model_pb2.SavedModel
TensorProto = tensor_pb2.TensorProto
SaverDef = saver_pb2.SaverDef
VariableDef = variable_pb2.VariableDef
TrackableObjectGraph = trackable_object_graph_pb2.TrackableObjectGraph
VERSION: str = tf.__version__

DT_BOOL: int = types_pb2.DT_BOOL
DT_INT32: int = types_pb2.DT_INT32
DT_INT64: int = types_pb2.DT_INT64
DT_STRING: int = types_pb2.DT_STRING
DT_RESOURCE: int = types_pb2.DT_RESOURCE
DT_VARIANT: int = types_pb2.DT_VARIANT
DATA_TYPES = frozenset(types_pb2.DataType.values()) - {types_pb2.DT_INVALID}  # references too
MOST_DIMS = 254  # of TensorFlow's TensorShape
# LookupTableImportV2's shape function wants keys and values of one rank in TensorFlow 1.
IMPORTS_ROWS = not VERSION.startswith("1.")


def exporter_base() -> Any:
    """tf.estimator.Exporter, which is imported only now; object where there is none any more."""
    return tf.estimator.Exporter if hasattr(tf, "estimator") else object


def parse(message: Any, data: bytes) -> Any:
    """The message with all of its bytes merged into it; an old protobuf may stop without an error.

    Raises:
      DecodeError: they are none of such a message.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.filterwarnings("always", "Unexpected end-group tag", RuntimeWarning)
        read = message.MergeFromString(data)
    # it may have stopped at the very end, which TensorFlow's own reader does not survive
    if read < len(data) or any("end-group" in str(warning.message) for warning in said):
        raise DecodeError(f"not all of it is a {type(message).__name__}")
    return message


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


def numpy_dtype(enum: int) -> Any:
    """The numpy dtype that TensorFlow uses for a DataType number."""
    return tf.as_dtype(enum).as_numpy_dtype


def dtype_enum(name: str) -> int:
    """The DataType number of a dtype's name."""
    return int(tf.as_dtype(name).as_datatype_enum)


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


def itemsize(enum: int) -> int:
    """Bytes that one element takes in a tensor's buffer."""
    return int(np.dtype(numpy_dtype(enum)).itemsize)


def dtype_name(enum: int) -> str:
    """ "float32" for DT_FLOAT; "unknown(200)" for a number this TensorFlow does not know."""
    try:
        return tf.as_dtype(enum).base_dtype.name
    except TypeError:
        return f"unknown({enum})"


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


def shared_array(tensor: Any) -> Any:
    """An eager tensor's value as an array that shares its memory; `numpy()` would copy it.

    It stays as it is: TensorFlow moves a variable to a new buffer rather than change one that is
    held elsewhere.
    """
    return tensor._numpy()


def several_workers(strategy: Any) -> bool:
    """Whether a tf.distribute strategy trains in several processes that all run the program."""
    return bool(getattr(strategy.extended, "_in_multi_worker_mode", bool)())


def first_local_replica(strategy: Any) -> int:
    """The number of this process's first replica among all."""
    number = getattr(strategy.extended, "_get_replica_id_in_sync_group", int)(0)
    return int(number)


def graph_mode() -> bool:
    """Whether Keras works on a graph and a session, as it does by default on TensorFlow 1."""
    with tf.init_scope():
        return not tf.executing_eagerly()


def keras_backend(model: Any) -> Any:
    """The backend module of the tf.keras or tf_keras that a model is of: sessions, phases."""
    for kind in type(model).__mro__:
        package, engine, _ = kind.__module__.partition(".engine.")
        if engine:
            return sys.modules[package + ".backend"]
    raise TypeError(f"{model!r} is not a Keras model")


def called_with(model: Any) -> Any:
    """(args, kwargs), as TensorSpecs, that a subclassed model of tf.keras was first called with."""
    if hasattr(model, "save_spec"):
        return model.save_spec()
    inputs = getattr(model, "inputs", None) or []  # TensorFlow 1.15 has symbolic ones
    specs = [tf.TensorSpec(t.shape, t.dtype, t.op.name) for t in inputs if hasattr(t, "op")]
    return ((specs[0] if len(specs) == 1 else specs,), {}) if specs else None


def averaging_optimizer(model: Any) -> Any:
    """The optimizer of a model that keeps averages of its variables; None if it keeps none."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return optimizer if getattr(optimizer, "use_ema", False) else None


def optimizer_averages(model: Any) -> Optional[List[Tuple[Any, Any]]]:
    """(variable, moving average) pairs of a model's optimizer; None if it keeps none (yet)."""
    optimizer = averaging_optimizer(model)
    averages = getattr(optimizer, "_model_variables_moving_average", None)
    if not averages:
        return None
    if hasattr(optimizer, "_index_dict"):  # tf_keras
        index, key = optimizer._index_dict, optimizer._var_key
        return [(v, averages[index[key(v)]]) for v in model.trainable_variables]
    return list(zip(optimizer._trainable_variables, averages))


def variables_by_name(graph: Any) -> Dict[str, Any]:
    """The variables in a graph's collections, slices of partitioned ones one by one."""
    found: Dict[str, Any] = {}
    for collection in (v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.LOCAL_VARIABLES):
        found.update((v.op.name, v) for v in graph.get_collection(collection))
    return found


class SavedKey(NamedTuple):
    """Where a Saver puts a variable: the checkpoint's key, and the slice of it if partitioned."""

    key: str
    begin: Optional[Tuple[int, ...]] = None
    size: Optional[Tuple[int, ...]] = None


def saved_keys(saver: Any) -> Dict[str, SavedKey]:
    """{variable's op name: its place in the saver's checkpoints}."""
    listed = saver._var_list
    named = listed.items() if isinstance(listed, dict) else ((None, v) for v in listed or ())
    found = {}
    for key, entry in named:
        for variable in entry if isinstance(entry, (list, tuple)) else _slices(entry):
            info = getattr(variable, "_save_slice_info", None)
            operation = getattr(variable, "op", None)
            if operation is None:
                continue
            if info is None:
                found[operation.name] = SavedKey(key or operation.name)
            else:
                place = SavedKey(key or info.full_name, info.var_offset, info.var_shape)
                found[operation.name] = place
    return found


def _slices(entry: Any) -> Any:
    """A PartitionedVariable's slices; any other variable alone."""
    if hasattr(type(entry), "_get_partitions"):  # the entry itself might add ops to its graph
        return list(entry)
    return replicas_of(entry)[:1]


def replicas_of(variable: Any) -> List[Any]:
    """One variable a replica of what tf.distribute has in place of a variable; else itself."""
    return list(variable.values) if hasattr(type(variable), "values") else [variable]


def is_remote(session: Any) -> bool:
    """Whether a session runs in another process, where others may run steps."""
    return bool(getattr(session, "sess_str", b""))


def checkpoint_exists(prefix: str) -> bool:
    """Whether a checkpoint of either format is there (tf.train's own function is deprecated)."""
    files, shards = tf.io.gfile, prefix + "-?????-of-?????"
    if files.exists(prefix + ".index") or files.glob(shards):
        return True
    return files.exists(prefix) and not files.isdir(prefix)  # ram:// takes beginnings for those


def checkpoint_may_exist(prefix: str) -> bool:
    """Whether a checkpoint is there, or where it would be cannot be looked at."""
    try:
        return checkpoint_exists(prefix)
    except tf.errors.OpError:
        return True


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


def is_numbered(*args: Any, **kwargs: Any) -> bool:
    """Whether these arguments of Saver.save, after the session, have it number its checkpoint."""
    return kwargs.get("global_step", args[1] if len(args) > 1 else None) is not None


_lock = threading.RLock()  # a finalizer may run while this thread holds it
_listeners: Any = weakref.WeakKeyDictionary()
_intercepting: Optional[Callable[..., Any]] = None


def on_save(graph: Any, listener: Any) -> None:
    """Call `listener.after_save(saver, session, prefix, numbered)` after each Saver.save on it.

    The listener is held weakly: the interception lives as long as the listener does, and
    Saver.save is put back once nobody listens.
    """
    with _lock:
        _listeners.setdefault(graph, weakref.WeakSet()).add(listener)
        _install()
    weakref.finalize(listener, _uninstall_if_idle)


def off_save(listener: Any) -> None:
    """Stop calling `listener`."""
    with _lock:
        for listening in list(_listeners.values()):
            listening.discard(listener)
    _uninstall_if_idle()


def _install() -> None:
    global _intercepting
    if _intercepting is not None:
        return
    original = v1.train.Saver.save

    @functools.wraps(original)
    def save(self: Any, sess: Any, *args: Any, **kwargs: Any) -> Any:
        prefix = original(self, sess, *args, **kwargs)
        if prefix is not None:
            with _lock:
                listening = list(_listeners.get(getattr(sess, "graph", None), ()))
            for listener in listening:
                listener.after_save(self, sess, prefix, is_numbered(*args, **kwargs))
        return prefix

    v1.train.Saver.save = _intercepting = save


def _uninstall_if_idle() -> None:
    global _intercepting
    with _lock:
        # list() leaves out the dead, which len() may still count while finalizers run
        if _intercepting is None or any(list(listening) for listening in _listeners.values()):
            return
        if v1.train.Saver.save is _intercepting:  # else another library wrapped ours: leave it
            v1.train.Saver.save = _intercepting.__wrapped__
            _intercepting = None
