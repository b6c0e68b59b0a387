"""Puts what a traced function captures into its graph: variables, constants, lookup tables."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Mapping, Set, Tuple, Union

from ..._protos import GraphDef, NodeDef
from ..names import rename, unique
from ..ops import LOOKUPS
from ..tables import Table
from ..variables import Variable
from ..walks import all_nodes
from .freeze_tables import fill

# a str says why a file cannot hold it; anything else is a NodeDef or a TensorProto
Capture = Union[Variable, Table, str, Any]


def embed(graph_def: Any, captures: Mapping[str, Capture]) -> Any:
    """Return a copy of the graph in which what was captured replaces its placeholder.

    A variable becomes a VarHandleOp named `Variable.node`, a tensor a Const, and a table one that
    fills itself. To fill a filled table again only compares the number of entries
    (InitializableLookupTable::Initialize), so later runs cost nothing. A NodeDef replaces the
    placeholder as it is. What a file cannot hold stays a placeholder: an output may not need it.
    """
    copy = GraphDef()
    copy.CopyFrom(graph_def)
    taken = {node.name for node in copy.node}
    renamed: Dict[str, str] = {}
    for node in copy.node:
        captured = captures.get(node.name)
        if captured is None or isinstance(captured, str):
            continue
        if isinstance(captured, Variable):
            renamed[node.name] = captured.node
            _become_handle(node, captured)
        elif isinstance(captured, Table):
            copy.node.extend(fill(node, captured, taken))
        elif isinstance(captured, NodeDef):
            node.CopyFrom(captured)
        else:
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = captured.dtype
            node.attr["value"].tensor.CopyFrom(captured)
    rename(copy.node, renamed)
    return copy


def _become_handle(node: Any, variable: Variable) -> None:
    node.op = "VarHandleOp"
    node.attr.clear()
    node.attr["dtype"].type = variable.dtype
    if variable.shape is None:
        node.attr["shape"].shape.unknown_rank = True
        return
    node.attr["shape"].shape.SetInParent()
    for size in variable.shape:
        node.attr["shape"].shape.dim.add(size=size)


def lookup_types(graph_def: Any) -> Set[Tuple[int, int]]:
    """Return the (key, value) dtypes of all look-ups in a graph and its functions."""
    finds = (node for node in all_nodes(graph_def) if node.op in LOOKUPS)
    return {(node.attr["Tin"].type, node.attr["Tout"].type) for node in finds}


def strip_scopes(graph_def: Any, is_scope: Callable[[str], bool]) -> Dict[str, str]:
    """Remove leading name scopes for which `is_scope` holds from all nodes' names, in place.

    Keras uses the model's name as a scope. It has a number that counts the models of a process.

    Returns:
      {old name: new name} of the graph's nodes, without those of functions.
    """
    new = _stripped((node.name for node in graph_def.node), is_scope)
    rename(graph_def.node, new)
    for function in graph_def.library.function:
        _strip_function(function, is_scope)
    return new


def _stripped(
    names: Iterable[str], is_scope: Callable[[str], bool], used: Iterable[str] = ()
) -> Dict[str, str]:
    new: Dict[str, str] = {}
    taken = set(used)
    for name in names:
        parts = name.split("/")
        while len(parts) > 1 and is_scope(parts[0]):
            del parts[0]
        new[name] = unique("/".join(parts), taken)
        taken.add(new[name])
    return new


def _strip_function(function: Any, is_scope: Callable[[str], bool]) -> None:
    args = [arg.name for arg in function.signature.input_arg]
    new = {name: f"arg_{i}" for i, name in enumerate(args)}
    new.update(_stripped((node.name for node in function.node_def), is_scope, new.values()))

    def spelled(text: str) -> str:
        control, text = ("^", text[1:]) if text.startswith("^") else ("", text)
        name, colon, rest = text.partition(":")
        return control + new.get(name, name) + colon + rest

    for arg in function.signature.input_arg:
        arg.name = new[arg.name]
    for node in function.node_def:
        node.name = new[node.name]
        node.input[:] = [spelled(text) for text in node.input]
    for returned in (function.ret, function.control_ret):
        for key in list(returned):
            returned[key] = spelled(returned[key])
