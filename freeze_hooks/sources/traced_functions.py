"""Plans traced functions: what they capture becomes the variables and tables of a file."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import tensorflow as tf

from .. import _tf
from .._protos import GraphDef, NodeDef
from .._tf import v1
from ..errors import FreezeError, NotFreezableError
from ..graph.names import split, tensor_name, unique
from ..graph.ops import REF_VARIABLES
from ..graph.passes.captures import embed, lookup_types, strip_scopes
from ..graph.tables import Column
from ..graph.variables import Variable, static
from ..plan.compiler import compile_parts
from ..plan.draft import Part
from ..plan.file_options import FileOptions
from ..plan.spec import FreezeSpec, Names
from ..plan.types import value_bytes
from ..proof.asked import Verify
from ..proof.asking import Asking, all_expected, askings_of
from ..proof.expected import Expected
from ..proof.function_calls import FunctionAnswers
from ..values.eager_tables import is_table, read_column, table_of
from ..values.session_reads import as_value
from ..values.value import Value
from .function_plan import FunctionPlan
from .naming import Naming, fed_of, variable_names
from .source import Expecting, nothing_expected

Reader = Callable[[Dict[str, Any]], Value]  # takes what was read of tables so far
_COPIED_BYTES = 1 << 20  # a smaller variable may be copied when it is read


@dataclasses.dataclass(frozen=True)
class Traced:
    """A traced function, to be a signature of a file.

    Attributes:
      concrete: the ConcreteFunction, traced for inference.
      naming: the names of its nodes.
      live: the user's function, with which `verify=` compares; None: the trace.
      expecting: returns what gives the answers that `verify=` expects; None: `live` is called.
    """

    concrete: Any
    naming: Naming
    live: Optional[Callable[..., Any]] = None
    expecting: Optional[Callable[[Asking], Callable[[], Expected]]] = None


def plan_functions(
    functions: Mapping[str, Traced],
    file: FileOptions,
    *,
    replaced: Optional[Callable[[Any], Any]] = None,
    reduced: Optional[Mapping[int, Any]] = None,
    devices: bool = False,
) -> FunctionPlan:
    """Plan traced functions as the signatures of one file, which has their variables once.

    Args:
      functions: {signature's key: function}; the first is the main one.
      file: the options of its files.
      replaced: returns the handle of the variable to read in place of a handle's; called at each
        read.
      reduced: {id of a handle: the variable whose read_value() replaces the handle's value}.
      devices: whether nodes keep their devices.

    Raises:
      FreezeError: as `compile_plan`.
    """
    found = _Captured(functions, file, devices)
    plan = compile_parts(found.parts, True, _filled)
    handles = found.handles
    variables = [slot.variable for slot in plan.slots]
    readers = [
        _reader(handles[v.node], v, replaced or _itself, reduced or {})
        if v.resource
        else _ref_reader(found.refs[v.node])
        for v in variables
    ]

    def values() -> Iterator[Value]:
        tables: Dict[str, Any] = {}
        return (read(tables) for read in readers)

    answers: Expecting = nothing_expected
    verify = next(iter(found.parts.values())).spec.file.verify
    if isinstance(verify, Verify):
        others = functools.partial(_others, found.captured, replaced or _itself, reduced or {})
        askings = askings_of(verify, plan.signatures)
        each = [_expecting(one, askings[key], others) for key, one in functions.items()]
        answers = functools.partial(all_expected, each)
    return FunctionPlan(plan, values, [handles.get(v.node) for v in variables], answers)


def _expecting(one: Traced, asking: Asking, others: Any) -> Callable[[], Expected]:
    if one.expecting is not None:
        return one.expecting(asking)
    live = one.live or one.concrete
    return FunctionAnswers(asking, live, one.concrete, one.naming, others).expected


class _Captured:
    """What traced functions capture, and the parts of a file that they become.

    Attributes:
      parts: {signature's key: Part}.
      handles: {variable's or table's node: what the functions capture for it}.
      refs: {variable's node: its op}, of variables without handles.
      captured: all that the functions capture.
    """

    def __init__(self, functions: Mapping[str, Traced], file: FileOptions, devices: bool) -> None:
        self.parts: Dict[str, Part] = {}
        self.handles: Dict[str, Any] = {}
        self.refs: Dict[str, Any] = {}
        self.captured: List[Any] = []
        self._file, self._devices = file, devices
        self._names: Dict[int, str] = {}  # {id of a handle: its name in all functions}
        self._taken = {
            op.name for one in functions.values() for op in one.concrete.graph.get_operations()
        }
        self._scopes = [one.naming.is_scope for one in functions.values()]
        for key, one in functions.items():
            self._add(key, one)

    def _add(self, key: str, one: Traced) -> None:
        graph, naming = one.concrete.graph, one.naming
        captures = {inner.op.name: outer for outer, inner in _tf.captures(graph)}
        self.captured += captures.values()
        graph_def = graph.as_graph_def()
        embedded = self._embedded(
            graph_def, captures, {**variable_names(graph), **naming.variables}
        )
        graph_def = embed(graph_def, embedded)
        moved = strip_scopes(graph_def, self._is_scope)
        for name, found in embedded.items():
            if isinstance(found, (Variable, NodeDef)):
                node = moved[found.node if isinstance(found, Variable) else found.name]
                self._hold(node, captures[name])
        for node in graph.as_graph_def().node:
            if node.op in REF_VARIABLES:
                self.refs[moved[node.name]] = node
        self.parts[key] = self._part(one, graph_def, embedded, moved)

    def _is_scope(self, scope: str) -> bool:
        return any(is_scope(scope) for is_scope in self._scopes)

    def _hold(self, node: str, handle: Any) -> None:
        if self.handles.setdefault(node, handle) is not handle:
            raise FreezeError(
                f"two variables or tables of the signatures' functions are both called {node!r}: "
                "give one of them another name"
            )

    def _part(
        self, one: Traced, graph_def: Any, embedded: Mapping[str, Any], moved: Mapping[str, str]
    ) -> Part:
        graph, naming = one.concrete.graph, one.naming
        fed = [tensor.op.name for tensor in fed_of(one.concrete)]
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
            file=self._file,
            runs=tuple(moved[op.name] for op in graph.control_outputs if op.name in moved),
            devices=self._devices,
        )
        stranded = {moved[name]: why for name, why in embedded.items() if isinstance(why, str)}
        return Part(graph_def, spec, shape_of, stranded)

    def _embedded(
        self, graph_def: Any, captures: Mapping[str, Any], names: Mapping[int, str]
    ) -> Dict[str, Any]:
        types = lookup_types(graph_def)
        found: Dict[str, Any] = {}
        for name, tensor in captures.items():
            typed = _tf.handle_type(tensor) if tensor.dtype == tf.resource else None
            if typed is not None and types and is_table(tensor):
                typed = None  # TensorFlow 2.11 describes a loaded table like a variable
            if typed is not None:
                called = self._called(tensor, names.get(id(tensor)) or _stem(name))
                found[name] = Variable(called, typed[0], static(typed[1]), True)
            elif tensor.dtype == tf.resource:
                found[name] = _table_or_why(tensor, name, types)
            elif tensor.dtype == tf.variant or not hasattr(tensor, "numpy"):
                found[name] = (
                    f"the function captures {tensor!r} (at {name!r}), which cannot travel in a "
                    "file: pass it as an argument"
                )
            else:
                found[name] = v1.make_tensor_proto(tensor.numpy(), tensor.dtype)
        return found

    def _called(self, handle: Any, name: str) -> str:
        """Return the name of a captured variable, the same in all functions."""
        if id(handle) not in self._names:
            called = self._names[id(handle)] = unique(name, self._taken)
            self._taken.add(called)
        return self._names[id(handle)]


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
