"""What is frozen of a Keras model: its call for inference, under Keras's own names."""

from __future__ import annotations

import inspect
import os
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from . import _tf
from .errors import FreezeError, NotFreezableError
from .fit import averages_of
from .freezer import Artifact, Freezer, warn_of
from .function_plan import FunctionPlan
from .keras_signature import backend_of, check_call, functional_of, opened, signature_of
from .naming import Naming, apart, keys_of, spread, stems_of
from .replicas import one_replica, reduced_on_read, strategy_of
from .spec import FreezeSpec, Verifying
from .traced import plan_concrete
from .traced_from import TracedFrom

_AUTO_INPUT = re.compile(r"(input_layer|keras_tensor)(?:_(\d+))?$")  # of Keras 3
_AUTO_INPUT_2 = re.compile(r"(input)_(\d+)$")  # of Keras 2, which counts from 1
_PHASE = re.compile(r"keras_learning_phase(_\d+)?$")
_AUTO_MODEL = re.compile(r"(functional|sequential|model)(_\d+)*$")


def plan_keras_model(
    model: Any,
    *,
    input_signature: Any = None,
    ema: Optional[str] = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
) -> FunctionPlan:
    """Plan a Keras model's inference once, for files of it to be written as often as wanted.

        plan = fh.plan_keras_model(model)
        plan.write("model.pb", step=100)

    Args:
      model: a built model of Keras 3, tf_keras or TensorFlow 1.15's tf.keras. It is traced with
        training=False; on Keras's JAX and PyTorch backends, in a process of its own.
      input_signature: for a subclassed model, a tf.TensorSpec (or a nested structure of them, as
        its call takes) that says shapes, dtypes and names of its inputs.
      ema: "optimizer" freezes the averages that an optimizer with use_ema=True keeps.
      lower_control_flow: write conditionals and loops as Switch, Merge, Enter... (TensorFlow 1's)
        instead of functions.
      weights, check_numerics, optimize: as in FreezeHook.
      verify: as in FreezeHook: True, a dict of sample feeds, or fh.Verify. Compared is with the
        model's own call, with training=False.

    Returns:
      The plan. Inputs are called as the model's Input layers or the keys of its inputs, outputs
      as its output layers or the keys of its outputs; where there is neither, "inputs" and
      "output_0".

    Raises:
      FreezeError: the model is not built, or it cannot be frozen.
    """
    if ema not in (None, "optimizer"):
        raise FreezeError(f'ema= is "optimizer" or None for a Keras model, not {ema!r}')
    check_call(model)
    form: Dict[str, Any] = {
        "lower_control_flow": lower_control_flow,
        "weights": weights,
        "check_numerics": check_numerics,
        "optimize": optimize,
        "verify": verify,
    }
    if _tf.graph_mode():
        return _plan_graph_model(model, ema, form)

    def plan() -> FunctionPlan:
        return _plan(model, input_signature, ema, dict(form)).follow(TracedFrom(model), plan)

    return plan()


def _plan(
    model: Any, input_signature: Any, ema: Optional[str], form: Dict[str, Any]
) -> FunctionPlan:
    if backend_of(model) != "tensorflow":
        from .other_backends import plan_elsewhere

        if form.pop("verify"):
            raise FreezeError(
                "verify= compares on TensorFlow, and this model computes on "
                f"{backend_of(model)}: compare with fh.load_frozen(path)"
            )
        return plan_elsewhere(model, input_signature, ema, form)
    specs, concrete = _traced_open(model, input_signature)
    if input_signature is None or any(_is_open(spec) for spec in tf.nest.flatten(specs)):
        _check_times(model)
    inputs = apart(_input_names(model, specs))
    outputs = apart(_output_names(model, concrete.structured_outputs))
    naming = Naming(inputs, outputs, _variable_names(model), scopes_of(model))
    replaced = _averages(model) if ema else None
    reduced = reduced_on_read(map(_tensorflow_value, _variables(model)))
    return plan_concrete(concrete, naming, replaced, reduced, _inference(model), **form)


def freeze_keras_model(
    model: Any,
    path: str,
    *,
    input_signature: Any = None,
    ema: Optional[str] = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
) -> Artifact:
    """Freeze a Keras model with its present weights to one `.pb` file.

        fh.freeze_keras_model(model, "model.pb")

    Args:
      path: the file to write; its directory must exist. `path + ".json"` describes it.
      model, input_signature, ema, lower_control_flow, weights, check_numerics,
        optimize, verify: as in `plan_keras_model`.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: the model is not built, or it cannot be frozen. Nothing is written then.
      OSError: the file cannot be written; what was at `path` stays.
    """
    plan = plan_keras_model(
        model,
        input_signature=input_signature,
        ema=ema,
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
    )
    warn_of(plan.findings)
    return plan.write(os.fspath(path))


def _traced_open(model: Any, given: Any) -> Tuple[Any, Any]:
    """What a model takes, of any batch size if it can, and the function traced for that."""
    specs = signature_of(model, given)
    wider = opened(model, specs) if given is None else None
    if wider is not None:
        try:
            return wider, _traced(model, wider)
        except NotFreezableError:
            pass  # the layers want the batch size that they were built for
    concrete = _traced(model, specs)
    texts = _with_strings(specs, concrete) if given is None else None
    return (specs, concrete) if texts is None else (texts, _traced(model, texts))


def _is_open(spec: Any) -> bool:
    """Whether another size than the batch's is."""
    return spec.shape.rank is None or None in spec.shape.as_list()[1:]


def _check_times(model: Any) -> None:
    """See that no layer takes the batch for the time, as Keras 3.15's TimeDistributed does in
    traces in which the time is open."""
    layers = getattr(model, "_flatten_layers", tuple)  # TensorFlow 1.15's Keras is not concerned
    for layer in layers():
        if type(layer).__name__ == "TimeDistributed" and _miscounts(layer):
            raise NotFreezableError(
                f"layer {layer.name!r} (Keras's TimeDistributed) answers wrongly where the number "
                "of time steps is open: give input_signature= with that number"
            )


def _miscounts(layer: Any) -> bool:
    try:
        taken = layer.input
    except (AttributeError, ValueError, RuntimeError):
        return False  # in a subclassed model; verify= finds it
    if not hasattr(taken, "shape") or len(taken.shape) < 3 or taken.shape[1] is not None:
        return False
    sizes = [1, 2] + [2 if size is None else size for size in taken.shape[2:]]
    function = tf.function(lambda x: layer(x, training=False))
    try:
        traced = function.get_concrete_function(tf.TensorSpec(taken.shape, taken.dtype))
        return bool(traced(tf.zeros(sizes, taken.dtype)).shape[1] != 2)
    except (ValueError, tf.errors.OpError):
        return False


def _with_strings(specs: Any, concrete: Any) -> Any:
    """Specs of strings for inputs that are cast to them, as of numbers nothing can; None if none
    is."""
    flat = tf.nest.flatten(specs)
    strings = [
        any(op.type == "Cast" and op.get_attr("DstT") == tf.string for op in fed.consumers())
        for _, fed in zip(flat, concrete.inputs)
    ]
    if not any(strings) or not all(isinstance(spec, tf.TensorSpec) for spec in flat):
        return None
    texts = [
        tf.TensorSpec(spec.shape, tf.string) if text else spec for spec, text in zip(flat, strings)
    ]
    return tf.nest.pack_sequence_as(specs, texts)


def _inference(model: Any) -> Callable[[Any], Any]:
    takes_training = "training" in inspect.signature(model.call).parameters

    def serve(inputs: Any) -> Any:
        with one_replica(strategy_of(model)):
            return model(inputs, training=False) if takes_training else model(inputs)

    return serve


def _traced(model: Any, specs: Any) -> Any:
    try:
        return tf.function(_inference(model)).get_concrete_function(specs)
    except Exception as error:
        raise NotFreezableError(
            f"{model.name!r} cannot be traced for inference: {error}"
        ) from error


def _input_names(model: Any, specs: Any) -> List[str]:
    """A name for each input tensor, in the order of tf.nest.flatten."""
    flat = tf.nest.flatten(specs, expand_composites=True)
    if isinstance(specs, Mapping):
        return keys_of(specs, "inputs")
    try:
        tensors = tf.nest.flatten(functional_of(model).input)
    except (AttributeError, ValueError, RuntimeError):
        tensors = []
    if len(tensors) == len(flat) and tensors:
        return _layer_names(tensors)
    if all(spec.name for spec in flat):
        return [spec.name for spec in flat]
    return ["inputs"] if len(flat) == 1 else keys_of(specs, "inputs")


def _layer_names(tensors: Sequence[Any]) -> List[str]:
    """The Input layers that symbolic tensors of any Keras come from."""
    histories = [tensor._keras_history for tensor in tensors]
    if all(hasattr(history, "operation") for history in histories):
        return _renumbered([str(h.operation.name) for h in histories], _AUTO_INPUT, 0)
    return _renumbered([str(history[0].name) for history in histories], _AUTO_INPUT_2, 1)


def _renumbered(names: Sequence[str], automatic: Any, first: int) -> List[str]:
    """Names that Keras counted up over a process, counted as in a fresh one; their order stays,
    whatever that of the inputs is, so that names which were given do not change places."""
    numbered: Dict[str, List[Tuple[int, int]]] = {}
    for i, match in enumerate(map(automatic.match, names)):
        if match:
            numbered.setdefault(match.group(1), []).append((int(match.group(2) or 0), i))
    found = list(names)
    for base, numbers in numbered.items():
        for count, (_, i) in enumerate(sorted(numbers), first):
            found[i] = f"{base}_{count}" if count else base
    return found


def _output_names(model: Any, structure: Any) -> List[str]:
    """A name for each output tensor, in the order of tf.nest.flatten."""
    stems = stems_of(structure, "output")
    names = getattr(functional_of(model), "output_names", None)
    if not isinstance(structure, Mapping) and names and len(names) == len(stems):
        stems = [stem if _AUTO_MODEL.match(name) else name for stem, name in zip(stems, names)]
    return spread(structure, stems)


def scopes_of(model: Any) -> Callable[[str], bool]:
    """Which leading name scopes are only a model's name, which Keras counts up."""
    own = {model.name, functional_of(model).name}

    def is_scope(scope: str) -> bool:
        return (
            re.sub(r"(_\d+)+$", "", scope) in own or scope in own or bool(_AUTO_MODEL.match(scope))
        )

    return is_scope


def handles_of(variable: Any) -> Iterator[Any]:
    """The resource handles of a variable of any Keras; one a replica where it is mirrored."""
    for part in _tf.replicas_of(_tensorflow_value(variable)):
        yield part.handle


def _tensorflow_value(variable: Any) -> Any:
    """The tf.Variable of a variable of any Keras, or what tf.distribute has in its place."""
    return variable if callable(getattr(variable, "value", None)) else variable.value


def _variables(model: Any) -> List[Any]:
    """A model's variables, without the look-up layers' vocabularies that tf_keras lists too."""
    return [variable for variable in model.variables if hasattr(variable, "dtype")]


def _variable_names(model: Any) -> Dict[int, str]:
    names: Dict[int, str] = {}
    for variable in _variables(model):
        name = getattr(variable, "path", None) or variable.name.split(":")[0]
        names.update((id(handle), apart([name])[0]) for handle in handles_of(variable))
    return names


def _averages(model: Any) -> Callable[[Any], Any]:
    """From a variable's handle to that of its average, as the optimizer keeps it."""
    averages: Dict[int, Any] = {}

    def average(handle: Any) -> Any:
        if not averages:
            for variable, averaged in averages_of(model):
                averages.update(zip(map(id, handles_of(variable)), handles_of(averaged)))
        return averages.get(id(handle), handle)

    return average


def _plan_graph_model(model: Any, ema: Optional[str], form: Mapping[str, Any]) -> FunctionPlan:
    backend = _tf.keras_backend(model)
    if ema:
        raise FreezeError("in graph mode, Keras's optimizers keep no averages: leave out ema=")
    if not getattr(model, "outputs", None):
        raise FreezeError(f"{model.name!r} is not built yet: call or train it once")
    inputs = apart(_renumbered(model.input_names, _AUTO_INPUT_2, 1))
    outputs = apart(model.output_names)
    session = backend.get_session()
    # what the backend calls its learning phase is a number where a strategy trains
    phases = [op.name for op in session.graph.get_operations() if _PHASE.match(op.name)]
    spec = FreezeSpec.make(
        dict(zip(outputs, model.outputs)),
        dict(zip(inputs, model.inputs)),
        dict.fromkeys(phases, False),
        **form,
    )
    freezer = Freezer(session.graph, spec)
    return FunctionPlan(
        freezer.plan,
        lambda: freezer.read(backend.get_session()),
        expected=lambda: freezer.expected(backend.get_session()),
        run=lambda tensor: backend.get_session().run(tensor),
    )
