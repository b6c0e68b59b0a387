"""A FreezePlan: the structure of a frozen graph, compiled once into bytes with gaps for values."""

from __future__ import annotations

import collections
import dataclasses
from typing import (
    Any,
    Callable,
    Container,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from .._protos import GraphDef, NodeDef, dtype_name
from ..errors import NotFreezableError, TooLargeError, UnknownNameError
from ..graph.body import Body
from ..graph.defaults import with_defaults
from ..graph.endpoints import (
    End,
    Shape,
    beside_inputs,
    bind,
    cut,
    name_ends,
    placeholders,
    refuse_unguarded,
    resolve,
)
from ..graph.forward_compat import drop_new_defaults
from ..graph.function_names import named_by_content
from ..graph.functions import Library
from ..graph.lint import Asked, lint
from ..graph.lower import lower
from ..graph.names import split, tensor_name
from ..graph.narrow_weights import shrink
from ..graph.ops import ARG, VARIABLES
from ..graph.pipelines import cuts
from ..graph.prune import prune
from ..graph.state import fed_variables, feed_variables, return_states
from ..graph.suggest_outputs import no_outputs
from ..graph.tables import Table, freeze_tables
from ..graph.variables import Variable, freeze_variables, variables_of
from ..graph.walks import topological
from ..signature import Signature, TensorInfo
from .spec import FreezeSpec
from .types import LIMIT, Described, FreezePlan, Slot
from .updates import without_updates

_DESCRIPTION = 1 << 16  # bytes kept free for the description, whose length varies
_EXPERIMENTAL = {"experimental_debug_info", "experimental_type"} & set(
    NodeDef.DESCRIPTOR.fields_by_name
)
_CLEARED = _EXPERIMENTAL | {"device"}
_KEPT_ATTRS = frozenset(("_lower_using_switch_merge",))


def compile_plan(
    graph_def: Any,
    spec: FreezeSpec,
    shape_of: Callable[[str], Shape],
    one_call: bool = False,
    content_of: Optional[Callable[[str], Optional[Table]]] = None,
    stranded: Optional[Mapping[str, str]] = None,
) -> FreezePlan:
    """Compile what `spec` asks of a training graph.

    Args:
      graph_def: the graph's GraphDef; it is left as it is.
      spec: outputs, inputs and bound values.
      shape_of: gives the static shape of a tensor of the graph by its full name.
      one_call: the graph is that of a function, in which what is read after an assignment is
        what was assigned; in a training graph, which may run in part, such reads are refused.
      content_of: gives the content of static lookup tables, see `freeze_tables`; without it
        tables stay as they are.
      stranded: {placeholder: why a file cannot have what it stands for}.

    Raises:
      UnknownNameError: spec names a tensor the graph lacks.
      NotFreezableError: the outputs need something that a frozen file cannot hold.
      TooLargeError: the file would pass 2 GiB.
    """
    graph_def = with_defaults(graph_def)
    library = Library(graph_def.library)
    body = Body({node.name: node for node in graph_def.node}, [], effects=spec.targets)
    outputs = _outputs(body, spec, shape_of)
    body.outputs = [end.tensor for end in outputs]
    originals = frozenset(body.nodes)
    inputs, moved = cut(body, spec.inputs or (), shape_of)
    fed = {end.key: tensor for end, (_, tensor) in zip(inputs, spec.inputs or ())}
    states = fed_variables(body, inputs)
    outputs = return_states(body, outputs, states, moved)
    moved.update(bind(body, spec.bind, shape_of))
    reduced = without_updates(body, moved, library, spec, one_call, states)
    body = reduced.body
    refuse_unguarded(body, inputs)
    variables = variables_of(body)
    body, slots = _with_slots(body, library, spec, content_of, originals, inputs)
    outputs = [_value_of(end, variables.get(t), body) for end, t in zip(outputs, body.outputs)]
    if spec.lower_control_flow:
        lower(body, library)
        body = _pruned(body, spec)
    left = placeholders(body, inputs)
    for end in left:
        if end.tensor in (stranded or {}):
            raise NotFreezableError((stranded or {})[end.tensor])
    unused = [end.key for end in inputs if end.tensor not in body.nodes]
    inputs = [end for end in inputs if end.tensor in body.nodes]
    unasked = [end.key for end in left] if spec.inputs is not None else []
    inputs += [] if spec.inputs is not None else left
    batches = {end.batch for end in inputs if end.batch}
    outputs = beside_inputs(outputs, inputs, body.outputs)
    functions = library.used_by(body.nodes.values())
    bodies = [body] + [library.named_body(f.signature.name) for f in functions]
    away = cuts(body, bodies[1:], originals, shape_of)
    feeds = {end.key: fed.get(end.key, tensor_name(end.tensor)) for end in inputs}
    asked = Asked(
        {end.key: feeds[end.key] for end in inputs if end.tensor in away.needed},
        unasked,
        unused,
        batches,
        one_call or bool(spec.runs),
        reduced.settled,
        away.tensors,
        {v.node: reduced.changed[v.node] for v in slots.values() if v.node in reduced.changed},
        {end.key: tensor for end, (_, tensor) in zip(outputs, spec.outputs)},
    )
    renamed = name_ends(body, inputs, outputs, slots)
    slots = {renamed.get(name, name): variable for name, variable in slots.items()}
    functions, inner = named_by_content(body.nodes.values(), functions, bodies[1:])
    plan = FreezePlan(
        tuple(_pieces(body, slots, functions, graph_def, spec.devices)),
        Signature(
            tuple(tensor_info(end) for end in inputs),
            tuple(tensor_info(end) for end in outputs),
        ),
        tuple(lint([body, *inner], asked)),
        histogram([body, *inner]),
        spec.optimize,
        spec.check_numerics,
    )
    _check_size(plan)
    return plan


def _with_slots(
    body: Body,
    library: Library,
    spec: FreezeSpec,
    content_of: Optional[Callable[[str], Optional[Table]]],
    originals: Container[str],
    inputs: Sequence[End],
) -> Tuple[Body, Dict[str, Variable]]:
    """The body with slots in place of variables and tables' contents, and what each slot takes."""
    slots = freeze_variables(body, library, spec.kept)
    feed_variables(body, slots, inputs)
    if content_of is not None:
        slots.update(freeze_tables(body, content_of))
    _originals(slots, originals)
    slots = shrink(body, slots, spec.weights)
    return _pruned(body, spec), slots


def plan_frozen(graph_def: Any, plan: FreezePlan) -> FreezePlan:
    """A plan without slots of a graph that is `plan`'s otherwise."""
    nodes = {node.name: node for node in graph_def.node}
    body = Body(nodes, [info.tensor for info in plan.signature.outputs])
    functions = sorted(graph_def.library.function, key=lambda f: str(f.signature.name))
    pieces = tuple(_pieces(body, {}, functions, graph_def))
    return dataclasses.replace(plan, pieces=pieces, optimize=False)


def _pruned(body: Body, spec: FreezeSpec) -> Body:
    """What the outputs need; what writes a kept variable goes on doing so."""
    return prune(body, keep_order=spec.kept is not None, in_place=True)


def _outputs(body: Body, spec: FreezeSpec, shape_of: Callable[[str], Shape]) -> List[End]:
    if not spec.outputs:
        raise UnknownNameError(no_outputs(body.nodes, shape_of))
    ends = []
    for key, tensor in spec.outputs:
        text, dtype = resolve(body.nodes, "outputs", tensor)
        ends.append(End(key or text, key or text, text, dtype, shape_of(tensor)))
    return ends


def _value_of(end: End, variable: Optional[Variable], body: Body) -> End:
    """An output that was a resource variable itself is the variable's value in the file."""
    if variable is None or not variable.resource or body.nodes[variable.node].op in VARIABLES:
        return end
    return dataclasses.replace(end, dtype=variable.dtype, shape=variable.shape)


def _originals(slots: Mapping[str, Variable], nodes: Container[str]) -> None:
    for variable in slots.values():
        if variable.node not in nodes:
            raise NotFreezableError(
                f"variable {variable.node!r} is created inside a function, where no value of it "
                "can be read: create it outside"
            )


def _pieces(
    body: Body,
    slots: Mapping[str, Variable],
    functions: Sequence[Any],
    graph_def: Any,
    devices: bool = False,
) -> Iterator[Union[bytes, Slot, Described]]:
    described = split(body.outputs[0])[0]
    run: List[Any] = []
    for node in topological(body):
        name = node.name
        _clean(node, devices and name not in slots)
        if name in slots or name == described:
            yield GraphDef(node=run).SerializeToString(deterministic=True)
            run = []
            data = node.SerializeToString(deterministic=True)
            if name in slots:
                yield Slot(slots[name], data, node.attr["dtype"].type)
            else:
                yield Described(data)
        else:
            run.append(node)
    tail = GraphDef(versions=graph_def.versions)
    tail.library.function.extend(functions)
    for function in tail.library.function:
        function.attr.clear()
        function.arg_attr.clear()
        for node in function.node_def:
            _clean(node, devices)
    tail.node.extend(run)
    yield tail.SerializeToString(deterministic=True)


def _clean(node: Any, devices: bool) -> None:
    for field in _EXPERIMENTAL if devices else _CLEARED:
        node.ClearField(field)
    for key in [k for k in node.attr if k[:1] == "_" and k not in _KEPT_ATTRS]:
        del node.attr[key]
    drop_new_defaults(node)
    if node.op == "Switch":
        # Grappler would merge equal Switches of two branches, and then lose a value where their
        # input is constant (seen on 1.15 and 2.21); an attribute of its own keeps each apart.
        node.attr["_switch"].s = node.name.encode()


def tensor_info(end: End) -> TensorInfo:
    """How a signature describes an end of the graph."""
    return TensorInfo(end.key, tensor_name(end.wanted), dtype_name(end.dtype), end.shape)


def histogram(bodies: Sequence[Body]) -> Dict[str, int]:
    """{op type: count} over a graph and its functions."""
    ops = collections.Counter(
        node.op for body in bodies for node in body.nodes.values() if node.op != ARG
    )
    return dict(sorted(ops.items()))


def by_layer(weights: Iterable[Tuple[str, int]]) -> Dict[str, int]:
    """{layer's name: bytes} of (name, bytes) pairs, whose names begin with the layer's and "/"."""
    layers: Dict[str, int] = {}
    for name, nbytes in weights:
        layer = name.rpartition("/")[0] or name
        if nbytes:
            layers[layer] = layers.get(layer, 0) + nbytes
    return dict(sorted(layers.items(), key=lambda item: -item[1]))


def _check_size(plan: FreezePlan) -> None:
    size = plan.graph_bytes + plan.weight_bytes + _DESCRIPTION
    if size <= LIMIT:
        return
    largest = sorted(plan.slots, key=lambda s: s.nbytes or 0, reverse=True)[:3]
    named = ", ".join(f"{s.variable.node!r} ({(s.nbytes or 0) / 1e9:.2f} GB)" for s in largest)
    raise TooLargeError(
        f"the frozen file would be {size / 1e9:.2f} GB, over the 2.15 GB (2 GiB) that a "
        f"GraphDef can hold; largest variables: {named}; choose outputs that need less, or "
        'inputs= behind them, or weights="float16" or "bfloat16"'
    )
