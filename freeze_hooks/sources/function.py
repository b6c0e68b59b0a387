"""Freezes traced functions: plans one once, and writes its variables' values at each save."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Set, Tuple

import tensorflow as tf

from .. import _tf
from .._protos import GraphDef, NodeDef
from .._tf import v1
from ..errors import FreezeError, NotFreezableError
from ..frozen.artifact import Artifact
from ..graph.names import node_names, split, tensor_name, unique
from ..graph.ops import REF_VARIABLES
from ..graph.passes.captures import embed, lookup_types, strip_scopes
from ..graph.tables import Column
from ..graph.variables import Variable, static
from ..plan.carried import Assets, Metadata
from ..plan.compiler import compile_plan
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.spec import FreezeSpec, Names
from ..plan.types import value_bytes
from ..proof.asked import Verify, Verifying
from ..proof.function_calls import FunctionAnswers
from ..values.eager_tables import is_table, read_column, table_of
from ..values.session_reads import as_value
from ..values.value import Value
from .function_plan import FunctionPlan
from .naming import Naming, fed_of, input_names, keys_of, variable_names
from .source import Expecting, nothing_expected

Reader = Callable[[Dict[str, Any]], Value]  # takes what was read of tables so far
_COPIED_BYTES = 1 << 20  # a smaller variable may be copied when it is read


def plan_concrete(
    concrete: Any,
    naming: Naming,
    file: FileOptions,
    *,
    replaced: Optional[Callable[[Any], Any]] = None,
    reduced: Optional[Mapping[int, Any]] = None,
    live: Optional[Callable[..., Any]] = None,
    devices: bool = False,
) -> FunctionPlan:
    """Plan a ConcreteFunction.

    Args:
      concrete: the function, traced for inference.
      naming: the names of its nodes.
      file: the options of its files.
      replaced: returns the handle of the variable to read in place of a handle's; called at each
        read.
      reduced: {id of a handle: the variable whose read_value() replaces the handle's value}.
      live: the user's function, with which `verify=` compares; None: the trace.
      devices: whether nodes keep their devices.

    Raises:
      FreezeError: as `compile_plan`.
    """
    graph = concrete.graph
    captures = {inner.op.name: outer for outer, inner in _tf.captures(graph)}
    graph_def = graph.as_graph_def()
    names = {**variable_names(graph), **naming.variables}
    embedded = _embedded(graph_def, captures, names)
    graph_def = embed(graph_def, embedded)
    moved = strip_scopes(graph_def, naming.is_scope)
    handles = {
        moved[found.node if isinstance(found, Variable) else found.name]: captures[name]
        for name, found in embedded.items()
        if isinstance(found, (Variable, NodeDef))
    }
    fed = [tensor.op.name for tensor in fed_of(concrete)]
    _check_fed(graph, fed)
    _check_names("inputs", naming.inputs, fed)
    if naming.outputs is not None:
        _check_names("outputs", naming.outputs, graph.outputs)
    before = {new: old for old, new in moved.items()}
    returned = [(moved[t.op.name], t.value_index) for t in graph.outputs]

    def shape_of(tensor: str) -> Any:
        name, port = split(tensor)
        return _tf.static_shape(graph, f"{before[name]}:{port}")

    spec = FreezeSpec.make(
        _wanted(graph_def, returned, naming.outputs),
        dict(zip(naming.inputs, (moved[name] for name in fed))),
        file=file,
        runs=tuple(moved[op.name] for op in graph.control_outputs if op.name in moved),
        devices=devices,
    )
    stranded = {moved[name]: why for name, why in embedded.items() if isinstance(why, str)}
    plan = compile_plan(graph_def, spec, shape_of, True, _filled, stranded)
    variables = [slot.variable for slot in plan.slots]
    refs = {node.name: node for node in graph.as_graph_def().node if node.op in REF_VARIABLES}
    readers = [
        _reader(handles[v.node], v, replaced or _itself, reduced or {})
        if v.resource
        else _ref_reader(refs[before[v.node]])
        for v in variables
    ]
    found = [handles.get(variable.node) for variable in variables]

    def values() -> Iterator[Value]:
        tables: Dict[str, Any] = {}
        return (read(tables) for read in readers)

    answers: Expecting = nothing_expected
    if isinstance(spec.file.verify, Verify):
        others = functools.partial(_others, captures.values(), replaced or _itself, reduced or {})
        answers = FunctionAnswers(
            spec.file.verify, plan.signature, live or concrete, concrete, naming, others
        ).expected
    return FunctionPlan(plan, values, found, answers)


def _others(
    captured: Iterable[Any], replaced: Callable[[Any], Any], reduced: Mapping[int, Any]
) -> Iterator[Tuple[Any, Any]]:
    """Yield (handle, value) of captured variables for which a file has another value."""
    for handle in captured:
        typed = _tf.handle_type(handle) if handle.dtype == tf.resource else None
        source = handle if typed is None else replaced(handle)
        if id(source) in reduced:
            yield handle, reduced[id(source)].read_value()
        elif typed is not None and source is not handle:
            dtype = tf.as_dtype(typed[0])
            yield handle, tf.raw_ops.ReadVariableOp(resource=source, dtype=dtype)


def _check_fed(graph: Any, fed: Sequence[str]) -> None:
    for name in fed:
        dtype = graph.get_tensor_by_name(f"{name}:0").dtype
        if dtype in (tf.resource, tf.variant):
            raise NotFreezableError(
                f"input {name!r} of the function is a {dtype.name}, which a file cannot be fed: a "
                "variable that is an argument (use it without passing it), or a table made under "
                "ParameterServerStrategy (make it outside)"
            )


def _check_names(what: str, names: Sequence[str], tensors: Sequence[Any]) -> None:
    if len(names) != len(tensors):
        told = ", ".join(names) or "none"
        raise FreezeError(
            f"the function has {len(tensors)} tensors as {what}, where {len(names)} are expected "
            f"({told}): give it tensors only in dicts, lists and tuples"
        )


def _embedded(
    graph_def: Any, captures: Mapping[str, Any], names: Mapping[int, str]
) -> Dict[str, Any]:
    types = lookup_types(graph_def)
    taken = {node.name for node in graph_def.node}
    found: Dict[str, Any] = {}
    for name, tensor in captures.items():
        typed = _tf.handle_type(tensor) if tensor.dtype == tf.resource else None
        if typed is not None and types and is_table(tensor):
            typed = None  # TensorFlow 2.11 describes a loaded table like a variable
        if typed is not None:
            called = unique(names.get(id(tensor)) or _stem(name), taken)
            taken.add(called)
            found[name] = Variable(called, typed[0], static(typed[1]), True)
        elif tensor.dtype == tf.resource:
            found[name] = _table_or_why(tensor, name, types)
        elif tensor.dtype == tf.variant or not hasattr(tensor, "numpy"):
            found[name] = (
                f"the function captures {tensor!r} (at {name!r}), which cannot travel in a file: "
                "pass it as an argument"
            )
        else:
            found[name] = v1.make_tensor_proto(tensor.numpy(), tensor.dtype)
    return found


def _table_or_why(handle: Any, name: str, types: Set[Tuple[int, int]]) -> Any:
    """Return a captured table's content, or as text why a file cannot hold the resource.

    It is not raised: the outputs may not need the resource, such as a summary writer.
    """
    try:
        return table_of(handle, name, types)
    except NotFreezableError as error:
        return str(error)


def _stem(placeholder: str) -> str:
    """Return a name for a captured variable without one: that of the op that reads it."""
    return re.sub(r"(/ReadVariableOp(_\d+)?)?/resource$", "", placeholder)


def _wanted(
    graph_def: Any, returned: Sequence[Tuple[str, int]], names: Optional[Sequence[str]]
) -> Names:
    """Return `outputs` for a FreezeSpec: the returned tensors, by `names` or their own."""
    if names is None:
        return list(dict.fromkeys(f"{name}:{port}" for name, port in returned))
    nodes = {node.name: node for node in graph_def.node}
    return dict(zip(names, (_source(nodes, name, port) for name, port in returned)))


def _source(nodes: Mapping[str, Any], name: str, port: int) -> str:
    """Return the tensor behind the Identity nodes that tracing adds to outputs."""
    while nodes[name].op == "Identity":
        name, port = split(nodes[name].input[0])
    return tensor_name(f"{name}:{port}")


def _reader(
    handle: Any,
    variable: Variable,
    replaced: Callable[[Any], Any],
    reduced: Mapping[int, Any],
) -> Reader:
    if isinstance(variable, Column):
        return functools.partial(read_column, handle, variable)
    dtype = tf.as_dtype(variable.dtype)
    large = (value_bytes(variable) or 0) > _COPIED_BYTES

    def read(tables: Dict[str, Any]) -> Value:
        source = replaced(handle)
        if id(source) in reduced:
            return as_value(_tf.shared_array(reduced[id(source)].read_value()))
        if large:
            _tf.share_reads(source)
        return as_value(_tf.shared_array(tf.raw_ops.ReadVariableOp(resource=source, dtype=dtype)))

    return read


def _filled(table: str) -> None:
    """Return None: `embed` has already filled static tables."""


def _itself(handle: Any) -> Any:
    return handle


def _ref_reader(node: Any) -> Reader:
    """Return a reader of a variable without a handle, from a loaded SavedModel of TensorFlow 1.

    The ops with its name in all functions are one variable.
    """

    def value() -> Any:
        v1.import_graph_def(GraphDef(node=[node]), name="")
        return tf.identity(v1.get_default_graph().get_tensor_by_name(node.name + ":0"))

    return lambda tables: as_value(_tf.shared_array(v1.wrap_function(value, [])()))


def plan_function(
    function: Any,
    *,
    input_signature: Any = None,
    outputs: Optional[Sequence[str]] = None,
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
    return _plan(function, input_signature, outputs, file)


def _plan(
    function: Any, input_signature: Any, outputs: Optional[Sequence[str]], file: FileOptions
) -> FunctionPlan:
    file = file.loaded()
    concrete = _concrete(function, input_signature)
    names = tuple(outputs) if outputs else keys_of(concrete.structured_outputs, "output")
    wanted = len(concrete.outputs)
    if outputs and len(names) != wanted:
        raise FreezeError(f"outputs= names {len(names)} tensors, but the function has {wanted}")
    inputs = input_names(concrete, fed_of(concrete))
    naming = Naming(inputs, node_names(names), variable_names(concrete.graph))
    plan = plan_concrete(concrete, naming, file, live=function)
    if concrete is function:
        return plan
    again = functools.partial(_plan, function, input_signature, outputs, file)
    # without a signature it is the tf.function's own trace, whose answers do not change either
    return plan.follow(function, again if input_signature is not None else None)


def freeze_function(
    function: Any,
    path: str,
    *,
    input_signature: Any = None,
    outputs: Optional[Sequence[str]] = None,
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
      function, input_signature, outputs, lower_control_flow, weights, check_numerics,
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
    return _plan(function, input_signature, outputs, file).freeze(path)


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
