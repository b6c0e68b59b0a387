"""Freezes functions: plans one or several once, and writes their variables' values at each save."""

from __future__ import annotations

import functools
from typing import Any, Dict, Mapping, Optional, Sequence

import tensorflow as tf

from .. import _tf
from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..graph.names import node_names
from ..plan.carried import Assets, Metadata
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.spec import Signatures, further
from ..proof.asked import Verifying
from ..signature import SERVING
from .function_plan import FunctionPlan
from .naming import Naming, fed_of, input_names, keys_of, variable_names
from .traced_functions import Traced, plan_functions


def plan_function(
    function: Any,
    *,
    input_signature: Any = None,
    outputs: Optional[Sequence[str]] = None,
    signatures: Signatures = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> FunctionPlan:
    """Plan a function once, and write files of it any number of times.

        plan = fh.plan_function(predict)
        for step in range(1000):
            train()
            if step % 100 == 0:
                plan.write(f"step-{step}.pb", step=step)

    Args:
      function: a tf.function that has an input_signature or was called in one way only, a
        ConcreteFunction, or any function of tensors together with `input_signature`.
      input_signature: a list of tf.TensorSpec, one for each argument.
      outputs: names for the outputs in the order of tf.nest.flatten. None takes the keys of the
        dict that the function returns, or "output_0", "output_1"... A ragged tensor "a" is two
        outputs, "a/values" and "a/row_splits"; a sparse one is three, "a/indices", "a/values" and
        "a/dense_shape".
      signatures: {key: function} of further signatures of each file, such as {"embed": embed}: each
        a function as the first one, or a pair (function, input_signature). Variables that the
        functions share are in the file once. `function` is the signature "serving_default".
      lower_control_flow: write conditionals and loops as Switch, Merge, Enter... (TensorFlow 1's)
        instead of functions.
      weights, check_numerics, optimize, verify, format: as in FreezeHook; a SavedModel is the
        directory that `write` is given.
      custom_metadata, assets: as in FreezeHook; paths are read now.

    Returns:
      The plan. Inputs have the names of the function's arguments (or TensorSpecs), followed by the
      keys inside an argument: "features_age". Each part of a ragged or sparse input is an input of
      the file, as for outputs; `load_frozen` takes a RaggedTensor or SparseTensor for them.

    Raises:
      FreezeError: the function has several traces or none, or it cannot be frozen.
    """
    file = FileOptions(
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
        format=format,
        custom_metadata=custom_metadata,
        assets=assets,
    )
    return _plan(function, input_signature, outputs, signatures, file)


def _plan(
    function: Any,
    input_signature: Any,
    outputs: Optional[Sequence[str]],
    signatures: Signatures,
    file: FileOptions,
) -> FunctionPlan:
    file, others = file.loaded(), further(signatures)
    traced = {SERVING: trace(function, input_signature, outputs), **traced_others(others)}
    plan = plan_functions(traced, file)
    if all(one.concrete is one.live for one in traced.values()):
        return plan
    again: Any = functools.partial(_plan, function, input_signature, outputs, signatures, file)
    # without a signature it is the tf.function's own trace, whose answers do not change either
    again = again if input_signature is not None else None
    return plan.follow(again, *(one.live for one in traced.values()))


def traced_others(signatures: Mapping[str, Any]) -> Dict[str, Traced]:
    """Return {key: Traced} of functions, or of pairs (function, input_signature)."""
    found = {}
    for key, given in signatures.items():
        function, signature = given if isinstance(given, tuple) else (given, None)
        try:
            found[key] = trace(function, signature, None)
        except FreezeError as error:
            raise type(error)(f"signatures=: {key!r}: {error}") from error
    return found


def trace(function: Any, input_signature: Any, outputs: Optional[Sequence[str]]) -> Traced:
    """Trace a function, and name its inputs and outputs."""
    concrete = _concrete(function, input_signature)
    names = tuple(outputs) if outputs else keys_of(concrete.structured_outputs, "output")
    wanted = len(concrete.outputs)
    if outputs and len(names) != wanted:
        raise FreezeError(f"outputs= names {len(names)} tensors, but the function has {wanted}")
    inputs = input_names(concrete, fed_of(concrete))
    naming = Naming(inputs, node_names(names), variable_names(concrete.graph))
    return Traced(concrete, naming, function)


def freeze_function(
    function: Any,
    path: str,
    *,
    input_signature: Any = None,
    outputs: Optional[Sequence[str]] = None,
    signatures: Signatures = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> Artifact:
    """Freeze a tf.function with its variables' present values to one `.pb` file.

        fh.freeze_function(predict, "model.pb")

    Args:
      path: where to write; its directory must exist. `path + ".json"` describes a `.pb`.
      function, input_signature, outputs, signatures, lower_control_flow, weights, check_numerics,
        optimize, verify, format, custom_metadata, assets: as in `plan_function`.

    Returns:
      The Artifact that was written.

    Raises:
      FreezeError: the function cannot be frozen. Nothing is written then.
      OSError: the file cannot be written; an old file at `path` stays.
    """
    file = FileOptions(
        lower_control_flow=lower_control_flow,
        weights=weights,
        check_numerics=check_numerics,
        optimize=optimize,
        verify=verify,
        format=format,
        custom_metadata=custom_metadata,
        assets=assets,
    )
    return _plan(function, input_signature, outputs, signatures, file).freeze(path)


def _concrete(function: Any, input_signature: Any) -> Any:
    if hasattr(function, "structured_outputs") and hasattr(function, "graph"):
        return function
    if input_signature is not None:
        return tf.function(getattr(function, "python_function", function)).get_concrete_function(
            *input_signature
        )
    if not hasattr(function, "get_concrete_function"):
        raise FreezeError(
            f"{function!r} is not a tf.function: give input_signature=, one tf.TensorSpec for each "
            "argument"
        )
    try:
        return function.get_concrete_function()
    except (ValueError, TypeError, AssertionError) as error:  # the last from TensorFlow 1.15
        traces = _tf.traces(function)
        if len(traces) == 1:
            return traces[0]
        raise FreezeError(
            "which trace of the function to freeze is not clear, for it has "
            f"{len(traces) or 'none'}: give input_signature=, or "
            f"function.get_concrete_function(...) ({error})"
        ) from error
