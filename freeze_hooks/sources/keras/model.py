"""Freezes a Keras model's call for inference, with Keras's own names."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from ... import _keras, _tf
from ...errors import FreezeError
from ...frozen.artifact import Artifact
from ...graph.names import node_names
from ...plan.carried import Assets, Metadata
from ...plan.file_options import FileOptions
from ...plan.formats import AskedFormat
from ...plan.spec import FreezeSpec, Signatures
from ...proof.asked import Verify, Verifying
from ...proof.op_effects import changes
from ...signature import SERVING
from ..function import traced_others
from ..function_plan import FunctionPlan
from ..naming import Naming
from ..session import LiveGraph
from ..traced_functions import Traced, plan_functions
from .answers import Taken, expecting
from .arguments import Arguments
from .batches import Batches, batch_of
from .end_names import input_names, output_names, renumbered_as_keras_2, scopes_of
from .further_ends import Further, further_ends, submodel, tensors_of
from .input_types import check_call
from .trace import like, serving, traced
from .training_state import averages_of

_PHASE = re.compile(r"keras_learning_phase(_\d+)?$")


def plan_keras_model(
    model: Any,
    *,
    input_signature: Any = None,
    signatures: Signatures = None,
    ema: Optional[str] = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> FunctionPlan:
    """Plan a Keras model's inference once, and write files of it any number of times.

        plan = fh.plan_keras_model(model)
        plan.write("model.pb", step=100)

    Args:
      model: a built model of Keras 3, tf_keras or TensorFlow 1.15's tf.keras. It is traced with
        training=False; on Keras's JAX and PyTorch backends, in a separate process.
      input_signature: for a subclassed model, the shapes, dtypes and names of its inputs: a
        tf.TensorSpec, or a nested structure of them like the first argument of its call; for
        several arguments, a list of these, or a dict by the arguments' names.
      signatures: {key: outputs} or {key: (inputs, outputs)} of further signatures of each file:
        names of layers, or symbolic tensors, of a functional or Sequential model, in a list or in a
        dict by their names in the file; without inputs, these are the model's. A
        tf.function, or a pair (function, input_signature), is possible too. The weights are in the
        file once. The model itself is the signature "serving_default".
      ema: "optimizer" freezes the averages that an optimizer with use_ema=True keeps.
      lower_control_flow: write conditionals and loops as Switch, Merge, Enter... (TensorFlow 1's)
        instead of functions.
      weights, check_numerics, optimize: as in FreezeHook.
      verify: as in FreezeHook: True, a dict of sample feeds, or fh.Verify; or a batch that the
        model takes. The file's answers are compared with those of the model's own call to the same
        numbers, in their own dtypes, with training=False.
      format, custom_metadata, assets: as in `plan_function`.

    Returns:
      The plan. Inputs are named after the model's Input layers or the keys of its inputs, outputs
      after its output layers or the keys of its outputs; without these, "inputs" and "output_0".

    Raises:
      FreezeError: the model is not built, or it cannot be frozen.
    """
    file = FileOptions(
        ema=ema,
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
        format=format,
        custom_metadata=custom_metadata,
        assets=assets,
    )
    return plan_seen(model, None, input_signature, file, signatures)


def plan_seen(
    model: Any,
    seen: Optional[Batches],
    input_signature: Any,
    file: FileOptions,
    signatures: Signatures = None,
) -> FunctionPlan:
    """Plan a model as `plan_keras_model` does, with what was seen of its training batches.

    Args:
      model, input_signature, signatures: as in `plan_keras_model`.
      seen: the batches. They tell the inputs of a model that does not declare them, and
        `verify=True` compares answers to them. They may change while the plan is in use.
      file: the options of its files.
    """
    if file.ema not in (None, "optimizer"):
        raise FreezeError(f'ema= is "optimizer" or None for a Keras model, not {file.ema!r}')
    file = file.loaded()
    check_call(model)
    verify: Any = file.verify
    if verify is not None and not isinstance(verify, (bool, str, Mapping, Verify)):  # a batch
        seen, file = batch_of(verify), dataclasses.replace(file, verify=True)
    if _keras.graph_mode():
        return _plan_graph_model(model, file, further_ends(model, signatures))
    others = further_ends(model, signatures)
    given = [each for each in others.values() if not isinstance(each, Further)]
    functions = [each[0] if isinstance(each, tuple) else each for each in given]

    def plan() -> FunctionPlan:
        planned = _plan(model, seen, input_signature, file, others)
        return planned.follow(plan, model, *functions)

    return plan()


def _plan(
    model: Any,
    seen: Optional[Batches],
    input_signature: Any,
    file: FileOptions,
    others: Mapping[str, Any],
) -> FunctionPlan:
    if _keras.backend_of(model) != "tensorflow":
        from .other_backends import plan_elsewhere

        return plan_elsewhere(model, seen, input_signature, file, others)
    found = traced(model, input_signature, seen)
    return plan_traced(model, found, file, others, seen)[0]


def plan_traced(
    model: Any,
    found: Tuple[Arguments, Any],
    file: FileOptions,
    others: Mapping[str, Any],
    seen: Optional[Batches] = None,
) -> Tuple[FunctionPlan, Dict[str, Taken]]:
    """Plan a model that computes eagerly on TensorFlow.

    Args:
      model: the model.
      found: what it takes, and its trace.
      file: the options of its files.
      others: {key: Further, or a function} of further signatures.
      seen: the batches that it trains on.

    Returns:
      The plan, and what its files take, by signature.
    """
    names, replaced = _variable_names(model), _averages(model) if file.ema else None
    reduced = _tf.reduced_on_read(map(_tensorflow_value, _variables(model)))
    averaged = model if file.ema else None
    functions: Dict[str, Traced] = {}
    takes: Dict[str, Taken] = {}

    def add(key: str, each: Any, found: Tuple[Arguments, Any], seen: Optional[Batches]) -> None:
        arguments, concrete = found
        taken = takes[key] = _taken(each, arguments, concrete)
        naming = Naming(taken.inputs, taken.outputs, names, scopes_of(each))
        own = functools.partial(expecting, each, taken, seen, averaged)
        # answers cannot be compared with the model's own call if replicas differ
        asks = None if reduced else own
        functions[key] = Traced(concrete, naming, serving(each, arguments), asks)

    add(SERVING, model, found, seen)
    for key, ends in others.items():
        if isinstance(ends, Further):
            inner = submodel(model, key, ends)
            same = ends.inputs is None
            trace = like(inner, found[0]) if same else traced(inner, None, None)
            add(key, inner, trace, seen if same else None)
        else:
            functions.update(traced_others({key: ends}))
    plan = plan_functions(functions, file, replaced=replaced, reduced=reduced)
    return plan, takes


def _taken(model: Any, arguments: Arguments, concrete: Any) -> Taken:
    inputs = node_names(input_names(model, arguments))
    outputs = node_names(output_names(model, concrete.structured_outputs))
    return Taken(arguments, inputs, outputs, changes(concrete.graph.as_graph_def()))


def freeze_keras_model(
    model: Any,
    path: str,
    *,
    input_signature: Any = None,
    signatures: Signatures = None,
    ema: Optional[str] = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> Artifact:
    """Freeze a Keras model with its present weights to one `.pb` file.

        fh.freeze_keras_model(model, "model.pb")

    Args:
      path: where to write; its directory must exist. `path + ".json"` describes a `.pb`.
      model, input_signature, signatures, ema, lower_control_flow, weights, check_numerics,
        optimize, verify, format, custom_metadata, assets: as in `plan_keras_model`.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: the model is not built, or it cannot be frozen. Nothing is written then.
      OSError: the file cannot be written; an old file at `path` stays.
    """
    file = FileOptions(
        ema=ema,
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
        format=format,
        custom_metadata=custom_metadata,
        assets=assets,
    )
    return plan_seen(model, None, input_signature, file, signatures).freeze(path)


def handles_of(variable: Any) -> Iterator[Any]:
    """Yield the resource handles of a variable of any Keras; one for each replica."""
    for part in _tf.replicas_of(_tensorflow_value(variable)):
        yield part.handle


def _tensorflow_value(variable: Any) -> Any:
    """Return the tf.Variable, or tf.distribute's variable, of a variable of any Keras."""
    return variable if callable(getattr(variable, "value", None)) else variable.value


def _variables(model: Any) -> List[Any]:
    """Return a model's variables, without the vocabularies that tf_keras also lists."""
    return [variable for variable in model.variables if hasattr(variable, "dtype")]


def _variable_names(model: Any) -> Dict[int, str]:
    names: Dict[int, str] = {}
    for variable in _variables(model):
        name = getattr(variable, "path", None) or variable.name.split(":")[0]
        names.update((id(handle), node_names([name])[0]) for handle in handles_of(variable))
    return names


def _averages(model: Any) -> Callable[[Any], Any]:
    """Return a function from a variable's handle to that of its average in the optimizer."""
    averages: Dict[int, Any] = {}

    def average(handle: Any) -> Any:
        if not averages:
            for variable, averaged in averages_of(model):
                averages.update(zip(map(id, handles_of(variable)), handles_of(averaged)))
        return averages.get(id(handle), handle)

    return average


def _plan_graph_model(model: Any, file: FileOptions, others: Mapping[str, Any]) -> FunctionPlan:
    backend = _keras.keras_backend(model)
    if file.ema:
        raise FreezeError("in graph mode, Keras's optimizers keep no averages: leave out ema=")
    if not getattr(model, "outputs", None):
        raise FreezeError(f"{model.name!r} is not built yet: call or train it once")
    inputs = node_names(renumbered_as_keras_2(model.input_names))
    outputs = node_names(model.output_names)
    session = backend.get_session()
    # found by name: the backend's learning phase is a number when a strategy trains
    phases = [op.name for op in session.graph.get_operations() if _PHASE.match(op.name)]
    spec = FreezeSpec.make(
        dict(zip(outputs, model.outputs)),
        dict(zip(inputs, model.inputs)),
        dict.fromkeys(phases, False),
        file,
        {key: _graph_ends(model, key, ends) for key, ends in others.items()} or None,
        runs=tuple(getattr(update, "op", update).name for update in model.state_updates),
    )
    live = LiveGraph(session.graph, spec)
    return FunctionPlan(
        live.plan,
        lambda: live.read(backend.get_session()),
        expected=lambda: live.expected(backend.get_session()),
        run=lambda tensor: backend.get_session().run(tensor),
    )


def _graph_ends(model: Any, key: str, ends: Any) -> Tuple[Any, Dict[str, Any]]:
    if not isinstance(ends, Further):
        raise FreezeError(f"signatures=: {key!r}: in graph mode, name layers or give tensors")
    inputs, outputs = tensors_of(model, ends)
    return inputs, outputs
