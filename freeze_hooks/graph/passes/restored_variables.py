"""Turns slots back into variables, with ops that restore and save them, as a Saver adds them."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterable, Mapping, Tuple

from ..._protos import DT_STRING, AttrValue, to_tensor
from ..body import Body
from ..names import split
from ..tables import Column
from ..variables import Variable
from ..walks import above

TensorOf = Callable[[str], Any]
_READ = "/Read/ReadVariableOp"  # after a variable's name: there TensorFlow's converters read it


@dataclasses.dataclass(frozen=True)
class StoredVariable:
    """Names of one variable: its key in the checkpoint, its handle, and the ops that use it."""

    key: str
    handle: str
    assign: str
    read: str


@dataclasses.dataclass(frozen=True)
class Restoring:
    """Names of the ops that restore and save the variables; see saver.proto.

    Attributes:
      filename: the tensor that gets the checkpoint's prefix.
      keys, slices: the Consts that say where the checkpoint has the variables.
      restore: the op that restores all variables.
      save: the tensor that saves them.
      variables: the variables.
    """

    filename: str
    keys: str
    slices: str
    restore: str
    save: str
    variables: Tuple[StoredVariable, ...]


def restore_variables(body: Body, slots: Mapping[str, Variable]) -> Restoring:
    """Make the slots of known shapes read variables, which a restore op fills.

    Arrays of strings and the columns of tables stay constants.

    Args:
      body: the graph; it is changed.
      slots: {Const that lacks its value: the variable that gives the value}.
    """
    handles = {
        name: _variable(body, name, variable)
        for name, variable in slots.items()
        if not isinstance(variable, Column)
        and variable.shape is not None
        and variable.dtype != DT_STRING
    }
    types = [body.nodes[name].attr["dtype"].type for name in handles]
    filename = _filename(body)
    keys = _strings(body, "save/keys", handles)
    slices = _strings(body, "save/slices", [""] * len(types))
    listed = AttrValue(list=AttrValue.ListValue(type=types))
    stored = [filename, keys, slices]
    restored = body.add("RestoreV2", "save/RestoreV2", stored, dtypes=listed).name
    assigns = [
        body.add(
            "AssignVariableOp",
            "save/Assign",
            [handle, f"{restored}:{i}" if i else restored],
            dtype=AttrValue(type=types[i]),
        ).name
        for i, handle in enumerate(handles.values())
    ]
    reads = [
        body.add("ReadVariableOp", handle + _READ, [handle], dtype=AttrValue(type=dtype)).name
        for handle, dtype in zip(handles.values(), types)
    ]
    saved = body.add("SaveV2", "save/SaveV2", [*stored, *reads], dtypes=listed).name
    done = body.add(
        "Identity", "save/saved", [filename, "^" + saved], T=AttrValue(type=DT_STRING)
    ).name
    restore = body.add("NoOp", "save/restore_all", ["^" + name for name in assigns]).name
    body.keep(restore, done)
    variables = [
        StoredVariable(name, handle, assign, read)
        for (name, handle), assign, read in zip(handles.items(), assigns, reads)
    ]
    return Restoring(filename + ":0", keys, slices, restore, done + ":0", tuple(variables))


def _variable(body: Body, name: str, variable: Variable) -> str:
    """Make a slot's Const read a new variable; return the variable's name."""
    node = body.nodes[name]
    dtype = AttrValue(type=node.attr["dtype"].type)
    shape = AttrValue()
    shape.shape.SetInParent()
    for size in variable.shape or ():
        shape.shape.dim.add(size=size)
    handle = body.add("VarHandleOp", name + "/variable", dtype=dtype, shape=shape)
    handle.attr["shared_name"].s = handle.name.encode()
    node.op = "ReadVariableOp"
    node.input.insert(0, handle.name)
    return str(handle.name)


def _filename(body: Body) -> str:
    string, scalar = AttrValue(type=DT_STRING), AttrValue()
    scalar.shape.SetInParent()
    model = AttrValue(tensor=to_tensor("variables", DT_STRING))
    default = body.add("Const", "save/filename", value=model, dtype=string).name
    given = body.add("PlaceholderWithDefault", "save/Const", [default], dtype=string, shape=scalar)
    return str(given.name)


def _strings(body: Body, name: str, texts: Iterable[str]) -> str:
    value = AttrValue(tensor=to_tensor(list(texts), DT_STRING))
    return str(body.add("Const", name, value=value, dtype=AttrValue(type=DT_STRING)).name)


def constants_in_place(graph_def: Any, outputs: Iterable[str], tensor_of: TensorOf) -> Any:
    """Return the frozen graph of one that `restore_variables` made: constants for variables.

    Args:
      graph_def: the graph; it is changed.
      outputs: the tensors to keep.
      tensor_of: returns the TensorProto for the op that reads a variable, by its name.
    """
    nodes = {node.name: node for node in graph_def.node}
    handles = {name for name, node in nodes.items() if node.op == "VarHandleOp"}
    kept = set(above(nodes, [split(tensor)[0] for tensor in outputs])) - handles
    for place in reversed(range(len(graph_def.node))):
        if graph_def.node[place].name not in kept:
            del graph_def.node[place]
    for node in graph_def.node:
        if node.op == "ReadVariableOp" and node.input[0] in handles:
            del node.input[0]
            node.op = "Const"
            node.attr["value"].tensor.CopyFrom(tensor_of(node.name))
    return graph_def
