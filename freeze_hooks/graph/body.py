"""Body: the working form of a graph, both for a whole graph and for a function's body."""

from __future__ import annotations

import dataclasses
from typing import (
    AbstractSet,
    Any,
    Container,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from .._protos import AttrValue, NodeDef
from ..errors import NotFreezableError
from .names import split, unique
from .op_registry import op_def
from .ops import ARG, PIVOTS

UNSET = AttrValue()  # for attr.get(): in a protobuf map, [] adds a missing entry
_WIDEST = 1 << 20  # tensors of an argument; a broken attribute must not fill memory


@dataclasses.dataclass
class Body:
    """Nodes by name, with inputs spelled as in a GraphDef, and the output tensors.

    A function's arguments are nodes of op `_Arg` with `index` and `T`, so that each pass works on
    graphs and on functions.
    """

    nodes: Dict[str, Any]
    outputs: List[str]
    name: str = ""
    args: Dict[str, int] = dataclasses.field(default_factory=dict)  # of a function: {name: dtype}
    rets: Tuple[str, ...] = ()
    effects: Tuple[str, ...] = ()  # nodes that run though no output needs them
    awaited: Container[str] = ()  # nodes for which other nodes still wait
    waiting: AbstractSet[str] = frozenset()  # nodes that keep all their control inputs

    def in_order(self, awaited: Container[str], waiting: AbstractSet[str]) -> Body:
        """Return a copy with marks that tell `prune` which control inputs to keep."""
        return dataclasses.replace(self, awaited=awaited, waiting=waiting)

    def add(self, op: str, name: str, inputs: Iterable[str] = (), **attrs: Any) -> Any:
        """Add a node named `name`, or `name_1`... if taken; attrs are AttrValues."""
        node = NodeDef(name=unique(name, self.nodes), op=op, input=inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(value)
        self.nodes[node.name] = node
        return node

    def keep(self, *names: str) -> None:
        """Mark nodes that run though no output needs them."""
        self.effects = (*self.effects, *names)

    def rewire(self, moved: Mapping[str, str]) -> None:
        """Replace each use of a tensor in `moved`; keys are "node" or "node:1"."""
        if not moved:
            return
        for node in self.nodes.values():
            for i, text in enumerate(node.input):
                if text in moved:
                    node.input[i] = follow(text, moved)
        self.outputs = [follow(text, moved) for text in self.outputs]

    def rewire_controls(self, effects: Mapping[str, Sequence[str]]) -> None:
        """Replace each control input in `effects` ("^node") by its list, which may be empty."""
        left = (new[1:] for name in self.effects for new in effects.get("^" + name, ["^" + name]))
        self.effects = tuple(left)
        for node in self.nodes.values() if effects else ():
            if any(text in effects for text in node.input):
                inputs = [new for text in node.input for new in effects.get(text, [text])]
                del node.input[:]
                node.input.extend(inputs)

    def take_place(self, call: str, copies: Iterable[str]) -> None:
        """Give the copies of a function's nodes the marks of the call that they replace."""
        if call in self.waiting:
            self.waiting = self.waiting | set(copies)

    def pivot(self, text: str) -> str:
        """Return a control input that is alive exactly when the tensor `text` is."""
        name, port = split(text)
        if name in self.nodes and self.nodes[name].op not in PIVOTS:  # prune() would drop it
            dtype = output_type(self.nodes[name], port)
            if dtype is not None:
                attr = AttrValue(type=dtype)
                name = self.add("Identity", name + "/pivot", [text], T=attr).name
        return "^" + name


def follow(text: str, moved: Mapping[str, str]) -> str:
    """Return the tensor at the end of a chain of replacements."""
    while text in moved and moved[text] != text:
        text = moved[text]
    return text


def data_inputs(node: Any) -> List[str]:
    """Return a node's inputs without its control inputs."""
    return [text for text in node.input if text[:1] != "^"]


def output_type(node: Any, port: int) -> Optional[int]:
    """Return the DataType number of an output; None if the op is unknown or lacks the output."""
    if node.op == ARG:
        return int(node.attr["T"].type)
    for _, dtypes in output_groups(node, op_def(node.op)):
        if port < len(dtypes):
            return dtypes[port]
        port -= len(dtypes)
    return None


def output_groups(node: Any, definition: Any) -> List[Tuple[str, List[int]]]:
    """Return (name, dtypes) of each output argument of a node, by its OpDef and attributes."""
    if definition is None:
        return []
    return [(arg.name, widths(arg, node.attr)) for arg in definition.output_arg]


def widths(arg: Any, attrs: Mapping[str, Any]) -> List[int]:
    """Return the dtypes of the tensors that one argument of an OpDef stands for."""
    if arg.type_list_attr:
        return list(attrs.get(arg.type_list_attr, UNSET).list.type)
    dtype = arg.type or attrs.get(arg.type_attr, UNSET).type
    count = attrs.get(arg.number_attr, UNSET).i if arg.number_attr else 1
    if count > _WIDEST:
        raise NotFreezableError(
            f"a node claims {count:,} tensors in its {arg.number_attr!r}: the graph is broken"
        )
    return [dtype] * count
