"""Differences between tf.keras, tf_keras and Keras 3, and all uses of their private names.

Keras 2 is tf.keras up to TensorFlow 2.15, and tf_keras. TensorFlow is imported only where needed.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Callable, Iterator, List, Optional, Tuple

# Attributes of callbacks that name the files and directories they write to.
WRITTEN_FILES = ("filepath", "filename")  # of ModelCheckpoint, of CSVLogger
WRITTEN_DIRECTORIES = ("backup_dir", "_backup_dir", "log_dir", "_log_dir")
CALLBACKS = "callbacks"  # the attribute of CallbackList that lists them

# Attributes of layers: those that hold the layers that Keras calls, and the dtypes of computation
STRUCTURE = frozenset(("_dtype_policy", "_functional", "_operations"))
LAYERS = ("_layers", "_self_tracked_trackables")  # in Keras 2, the second also holds other objects
TRAINABLE = "_trainable"
_PASSING = frozenset(("_dropout_mask", "_recurrent_dropout_mask"))


def is_passing(attribute: str) -> bool:
    """Return whether Keras sets a layer's attribute at each call, or only for its own use."""
    return attribute in _PASSING or attribute.startswith("_self_")


def graph_mode() -> bool:
    """Return whether Keras uses a graph and a session, as by default on TensorFlow 1."""
    import tensorflow as tf

    with tf.init_scope():
        return not tf.executing_eagerly()


def keras_backend(model: Any) -> Any:
    """Return the backend module of a tf.keras or tf_keras model: sessions, learning phase."""
    for kind in type(model).__mro__:
        package, engine, _ = kind.__module__.partition(".engine.")
        if engine:
            return sys.modules[package + ".backend"]
    raise TypeError(f"{model!r} is not a Keras model")


def backend_of(model: Any) -> str:
    """Return the Keras backend that a model computes on: "tensorflow", "jax", "torch"..."""
    if not any(kind.__module__.startswith("keras.src.") for kind in type(model).__mro__):
        return "tensorflow"
    return str(__import__("keras").backend.backend())


def all_layers(model: Any) -> List[Any]:
    """Return a model and all layers below it; nothing for TensorFlow 1.15, which lists none."""
    return list(getattr(model, "_flatten_layers", tuple)())


def functional_of(model: Any) -> Any:
    """Return the functional model inside a Sequential of Keras 3; else the model."""
    return getattr(model, "_functional", None) or model


def input_layer_of(tensor: Any) -> Tuple[str, bool]:
    """Return (name of the Input layer of a symbolic tensor, whether Keras 3 made the tensor)."""
    history = tensor._keras_history
    if hasattr(history, "operation"):
        return str(history.operation.name), True
    return str(history[0].name), False


def model_class(model: Any) -> Any:
    """Return the class Model of a model's Keras, which makes functional models."""
    for kind in type(model).__mro__:
        if kind.__name__ == "Model" and not kind.__module__.startswith("__main__"):
            return kind
    raise TypeError(f"{model!r} is not a Keras model")


def calls_in(model: Any, layer: Any) -> List[List[Any]]:
    """Return the symbolic tensors that each call of a layer in a functional model returns.

    It is empty if the model is not functional.
    """
    import tensorflow as tf

    by_depth = getattr(model, "_nodes_by_depth", {})
    inside = {id(node) for nodes in by_depth.values() for node in nodes}
    calls = [node for node in getattr(layer, "_inbound_nodes", ()) if id(node) in inside]
    outputs = [node.outputs if hasattr(node, "outputs") else node.output_tensors for node in calls]
    return [tf.nest.flatten(each) for each in outputs]


def layer_of(tensor: Any) -> Any:
    """Return the layer or operation that made a symbolic tensor; None if it is not symbolic."""
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else getattr(history, "operation", None) or history[0]


def has_inferred_input(model: Any) -> bool:
    """Return whether a Sequential took its input's shape from a call."""
    if hasattr(model, "_has_explicit_input_shape"):  # Keras 2
        return not model._has_explicit_input_shape
    layers = getattr(model, "_layers", None) or []
    if not hasattr(model, "_functional") or len(layers) < 2:
        return False
    config = getattr(getattr(layers[0], "_auto_config", None), "config", {})
    given = {key for key, value in config.items() if value is not None and value is not False}
    if given != {"batch_shape", "dtype"}:  # these, Sequential.build gives its own InputLayer
        return False
    return not hasattr(layers[1], "input_shape") or has_inferred_input(layers[1])


def built_shapes(model: Any) -> Any:
    """Return {argument's name + "_shape": shape} for which Keras 3 built a model; else None."""
    return getattr(model, "_build_shapes_dict", None)


def casts_inputs(model: Any) -> bool:
    """Return whether a model casts its inputs to the dtype in which it computes."""
    return bool(getattr(model, "autocast", getattr(model, "_autocast", False)))


def is_compiled(model: Any) -> bool:
    """Return whether `compile` has been called."""
    return bool(getattr(model, "compiled", False) or getattr(model, "_is_compiled", False))


def steps_per_execution(model: Any) -> int:
    """Return how many batches one call of the train function takes."""
    steps = getattr(model, "steps_per_execution", None)
    if not isinstance(steps, int):
        steps = getattr(model, "_steps_per_execution", None)  # a variable in Keras 2
    return 1 if steps is None else int(steps)


def train_function_of(model: Any) -> Any:
    """Return the train function, made if missing; None if Keras trains without one."""
    function = getattr(model, "train_function", None)
    if function is None and is_compiled(model):  # in a loop of train_on_batch
        if not hasattr(model, "make_train_function"):  # TensorFlow 1.15's, when it is eager
            return None
        model.make_train_function()
        function = model.train_function
    return function


def train_with(model: Any, function: Any) -> None:
    """Make a model use another train function."""
    model.train_function = function


@contextlib.contextmanager
def calling(model: Any, call: Any) -> Iterator[None]:
    """Replace a model's `call` by another function in the block."""
    attributes = vars(model)  # Keras tracks what setattr sets
    own, original = "call" in attributes, model.call
    attributes["call"] = call
    try:
        yield
    finally:
        if own:
            attributes["call"] = original
        else:
            attributes.pop("call", None)


def better_direction(metric: Any) -> Optional[str]:
    """Return "max" or "min" if a metric of Keras 3 tells which is better; else None."""
    return {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None) or "")


def called_with(model: Any) -> Any:
    """Return the (args, kwargs) of a subclassed tf.keras model's first call, as TensorSpecs."""
    import tensorflow as tf

    if hasattr(model, "save_spec"):
        return model.save_spec()
    inputs = getattr(model, "inputs", None) or []  # symbolic tensors in TensorFlow 1.15
    specs = [tf.TensorSpec(t.shape, t.dtype, t.op.name) for t in inputs if hasattr(t, "op")]
    return ((specs[0] if len(specs) == 1 else specs,), {}) if specs else None


def averaging_optimizer(model: Any) -> Any:
    """Return a model's optimizer if it keeps averages of the variables, else None."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return optimizer if getattr(optimizer, "use_ema", False) else None


def optimizer_averages(model: Any) -> Optional[List[Tuple[Any, Any]]]:
    """Return (variable, moving average) pairs of a model's optimizer; None if it has none (yet)."""
    optimizer = averaging_optimizer(model)
    averages = getattr(optimizer, "_model_variables_moving_average", None)
    if not averages:
        return None
    if hasattr(optimizer, "_index_dict"):  # tf_keras
        index, key = optimizer._index_dict, optimizer._var_key
        return [(v, averages[index[key(v)]]) for v in model.trainable_variables]
    return list(zip(optimizer._trainable_variables, averages))


def needs_no_wait(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a callback's method as one for which Keras 3 need not wait."""
    method._is_default = True  # type: ignore[attr-defined]
    return method


@needs_no_wait
def _nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    """Do nothing."""


class CallbackProtocol:
    """Derive a callback from it, and define only the methods that do something.

    It works with Keras 3, tf_keras and TensorFlow 1.15's tf.keras, whose own classes differ.
    """

    _supports_tf_logs = False
    _chief_worker_only = None

    on_batch_begin = on_batch_end = _nothing
    on_test_begin = on_test_end = on_test_batch_begin = on_test_batch_end = _nothing
    on_predict_begin = on_predict_end = on_predict_batch_begin = on_predict_batch_end = _nothing

    def _implements_test_batch_hooks(self) -> bool:
        return False

    _implements_predict_batch_hooks = _implements_test_batch_hooks
