"""The working form of a graph: one shape for a whole graph and for a function's body."""

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

UNSET = AttrValue()  # for attr.get(): a protobuf map makes an entry of whatever [] asks for
_WIDEST = 1 << 20  # tensors of one argument: a broken attribute must not fill the memory


@dataclasses.dataclass
class Body:
    """Nodes by name, with GraphDef-style inputs, and the tensors that are asked of them.

    A function's arguments are nodes of op `_Arg` with `index` and `T`, so that every rewriting
    works on graphs and on functions alike.
    """

    nodes: Dict[str, Any]
    outputs: List[str]
    name: str = ""
    args: Dict[str, int] = dataclasses.field(default_factory=dict)  # a function's: name to dtype
    rets: Tuple[str, ...] = ()
    effects: Tuple[str, ...] = ()  # nodes that run though no output needs them
    awaited: Container[str] = ()  # nodes that others go on waiting for
    waiting: AbstractSet[str] = frozenset()  # nodes that go on waiting for all they wait for

    def in_order(self, awaited: Container[str], waiting: AbstractSet[str]) -> Body:
        """Return the body with marks that tell `prune` which control inputs to keep."""
        return dataclasses.replace(self, awaited=awaited, waiting=waiting)

    def add(self, op: str, name: str, inputs: Iterable[str] = (), **attrs: Any) -> Any:
        """Append a node under `name`, or a near name if taken; attrs are AttrValues."""
        node = NodeDef(name=unique(name, self.nodes), op=op, input=inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(value)
        self.nodes[node.name] = node
        return node

    def rewire(self, moved: Mapping[str, str]) -> None:
        """Make every user of a tensor in `moved` ("node", "node:1") use its replacement."""
        if not moved:
            return
        for node in self.nodes.values():
            for i, text in enumerate(node.input):
                if text in moved:
                    node.input[i] = follow(text, moved)
        self.outputs = [follow(text, moved) for text in self.outputs]

    def rewire_controls(self, effects: Mapping[str, Sequence[str]]) -> None:
        """Make what waited for a node in `effects` ("^node") wait for others instead, or none."""
        left = (new[1:] for name in self.effects for new in effects.get("^" + name, ["^" + name]))
        self.effects = tuple(left)
        for node in self.nodes.values() if effects else ():
            if any(text in effects for text in node.input):
                inputs = [new for text in node.input for new in effects.get(text, [text])]
                del node.input[:]
                node.input.extend(inputs)

    def take_place(self, call: str, copies: Iterable[str]) -> None:
        """Mark the copies of a function's nodes as the call is marked that they replace."""
        if call in self.waiting:
            self.waiting = self.waiting | set(copies)

    def pivot(self, text: str) -> str:
        """A control input that is alive just when the tensor `text` is."""
        name, port = split(text)
        if name in self.nodes and self.nodes[name].op not in PIVOTS:  # which prune() would lose
            dtype = output_type(self.nodes[name], port)
            if dtype is not None:
                attr = AttrValue(type=dtype)
                name = self.add("Identity", name + "/pivot", [text], T=attr).name
        return "^" + name


def follow(text: str, moved: Mapping[str, str]) -> str:
    """The tensor that stands at the end of a chain of replacements."""
    while text in moved and moved[text] != text:
        text = moved[text]
    return text


def data_inputs(node: Any) -> List[str]:
    """A node's inputs without its control inputs."""
    return [text for text in node.input if text[:1] != "^"]


def output_type(node: Any, port: int) -> Optional[int]:
    """The DataType number of an output; None where the op is unknown or has no such output."""
    if node.op == ARG:
        return int(node.attr["T"].type)
    for _, dtypes in output_groups(node, op_def(node.op)):
        if port < len(dtypes):
            return dtypes[port]
        port -= len(dtypes)
    return None


def output_groups(node: Any, definition: Any) -> List[Tuple[str, List[int]]]:
    """(name, dtypes) of each output argument of a node, as its OpDef and attributes say."""
    if definition is None:
        return []
    return [(arg.name, widths(arg, node.attr)) for arg in definition.output_arg]


def widths(arg: Any, attrs: Mapping[str, Any]) -> List[int]:
    """The dtypes of one argument of an OpDef, one for each tensor it stands for."""
    if arg.type_list_attr:
        return list(attrs.get(arg.type_list_attr, UNSET).list.type)
    dtype = arg.type or attrs.get(arg.type_attr, UNSET).type
    count = attrs.get(arg.number_attr, UNSET).i if arg.number_attr else 1
    if count > _WIDEST:
        raise NotFreezableError(
            f"a node claims {count:,} tensors in its {arg.number_attr!r}: the graph is broken"
        )
    return [dtype] * count
