"""Writes a graph as the bytes of a file, with gaps for what is known only at each save."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Iterator, List, Mapping, Sequence, Union

from .._protos import GraphDef, NodeDef
from ..graph.body import Body
from ..graph.names import split
from ..graph.passes.forward_compat import drop_new_defaults
from ..graph.variables import Variable
from ..graph.walks import topological
from .types import Described, Located, Slot

_EXPERIMENTAL = {"experimental_debug_info", "experimental_type"} & set(
    NodeDef.DESCRIPTOR.fields_by_name
)
_CLEARED = _EXPERIMENTAL | {"device"}
_KEPT_ATTRS = frozenset(("_lower_using_switch_merge",))


def pieces(
    body: Body,
    slots: Mapping[str, Variable],
    functions: Sequence[Any],
    graph_def: Any,
    devices: bool = False,
    places: Mapping[str, bool] = MappingProxyType({}),
    narrowed: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Union[bytes, Slot, Described, Located]]:
    """Yield a graph as pieces: its nodes, each after its inputs, then the functions.

    Nodes are cleaned in place.

    Args:
      body: the graph; its first output's node carries the file's description.
      slots: {Const that lacks its value: the variable that gives the value}.
      functions: the FunctionDefs to write.
      graph_def: gives the versions.
      devices: whether nodes keep their devices.
      places: {Const that says where a checkpoint has the variables: whether it holds slices}.
      narrowed: {slot: DataType number of its value in the file}, where the node has another one.
    """
    described = split(body.outputs[0])[0]
    run: List[Any] = []
    for node in topological(body):
        name = node.name
        _clean(node, devices and name not in slots)
        if name in slots and node.op != "Const":
            run.append(node)
            yield Slot(slots[name], b"", node.attr["dtype"].type, name)
        elif name in slots or name == described or name in places:
            yield GraphDef(node=run).SerializeToString(deterministic=True)
            run = []
            data = node.SerializeToString(deterministic=True)
            if name in slots:
                dtype = narrowed.get(name, node.attr["dtype"].type)
                yield Slot(slots[name], data, dtype)
            elif name in places:
                yield Located(data, places[name])
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
        # Grappler merges equal Switches of two branches, and then loses a value if their input
        # is constant (seen on 1.15 and 2.21). A unique attribute keeps them apart.
        node.attr["_switch"].s = node.name.encode()
