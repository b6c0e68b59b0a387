"""The working form of a graph: one shape for a whole graph and for a function's body."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from .._tf import NodeDef, op_def
from ..errors import NotFreezableError
from .names import split, unique

ARG = "_Arg"
SWITCHES = ("Switch", "RefSwitch")
MERGES = ("Merge", "RefMerge")
ENTERS = ("Enter", "RefEnter")
EXITS = ("Exit", "RefExit")
NEXT_ITERATIONS = ("NextIteration", "RefNextIteration")
_CONTEXT_MAKERS = frozenset(SWITCHES + ENTERS)


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

    def pivot(self, text: str) -> str:
        """A control input that is alive just when the tensor `text` is."""
        name, _ = split(text)
        if name in self.nodes and self.nodes[name].op in SWITCHES:
            name = self.add("Identity", name + "/pivot", [text], T=self.nodes[name].attr["T"]).name
        return "^" + name

    def consumers(self) -> Dict[str, List[Tuple[Any, int]]]:
        """Which (node, input index) pairs use each node, by the node's name."""
        users: Dict[str, List[Tuple[Any, int]]] = {}
        for node in self.nodes.values():
            for i, text in enumerate(node.input):
                users.setdefault(split(text)[0], []).append((node, i))
        return users


def follow(text: str, moved: Mapping[str, str]) -> str:
    """The tensor that stands at the end of a chain of replacements."""
    while text in moved and moved[text] != text:
        text = moved[text]
    return text


def data_inputs(node: Any) -> Iterator[str]:
    """A node's inputs without its control inputs."""
    return (text for text in node.input if not text.startswith("^"))


def has_frames(nodes: Mapping[str, Any]) -> bool:
    """Whether there is any dataflow control (Switch or Enter), whose liveness edges matter."""
    return any(node.op in _CONTEXT_MAKERS for node in nodes.values())


def prune(body: Body, moved: Optional[Mapping[str, str]] = None) -> Body:
    """A copy that holds only what the outputs need, with tensors in `moved` replaced.

    Control inputs are dropped: in a file for inference they would only run updates, summaries,
    savers and asserts. They stay on a node without data inputs inside a v1 conditional or loop,
    where they say to which branch or frame the node belongs (ControlFlowContext pivots).
    """
    pivots = _Pivots(body) if has_frames(body.nodes) else None
    kept: Dict[str, Any] = {}
    moved = moved or {}
    outputs = [follow(text, moved) for text in body.outputs]
    stack = [split(text)[0] for text in reversed(outputs)]
    while stack:
        name = stack.pop()
        if name in kept:
            continue
        source = body.nodes.get(name)
        if source is None:
            raise NotFreezableError("the graph is broken: a node needs {!r}, which it lacks".format(name))
        node = NodeDef()
        node.CopyFrom(source)
        kept[name] = node
        wanted = list(data_inputs(source))
        if not wanted and pivots is not None:
            wanted = pivots.of(source)
        if moved:
            wanted = [follow(text, moved) for text in wanted]
        if moved or len(wanted) != len(node.input):
            del node.input[:]
            node.input.extend(wanted)
        stack.extend(split(text)[0] for text in wanted)
    ordered = {name: kept[name] for name in body.nodes if name in kept}
    return dataclasses.replace(body, nodes=ordered, outputs=outputs)


class _Pivots:
    """Which control inputs of source nodes carry a branch or a frame."""

    PURE = frozenset(("Identity", "Const", "LoopCond") + MERGES + ENTERS + EXITS + NEXT_ITERATIONS)

    def __init__(self, body: Body) -> None:
        self._nodes = body.nodes
        self._depth: Dict[str, int] = {}  # how many conditionals and loops are open around a node
        for node in topological(body):
            above = (self._depth.get(split(text)[0], 0) for text in node.input)
            self._depth[node.name] = max(above, default=0) + self._step(node)

    def of(self, node: Any) -> List[str]:
        """The control inputs to keep, with side effects replaced by their own pivots."""
        found: Dict[str, None] = {}
        stack = [text[1:] for text in node.input if text.startswith("^")]
        seen = set(stack)
        while stack:
            name = stack.pop()
            if self._depth[name] <= 0:
                continue
            source = self._nodes[name]
            if source.op in self.PURE or source.op in SWITCHES:
                found["^" + name] = None
                continue
            for text in source.input:
                above = split(text)[0]
                if above not in seen and self._nodes[above].op not in SWITCHES:
                    seen.add(above)
                    stack.append(above)
        return list(found)

    def _step(self, node: Any) -> int:
        if node.op in ENTERS:
            return 1
        if node.op in EXITS:
            return -1
        if node.op in SWITCHES:
            predicate = self._nodes[split(node.input[1])[0]]
            return 0 if predicate.op == "LoopCond" else 1
        if node.op in MERGES:
            above = (self._nodes[split(text)[0]].op for text in node.input)
            return 0 if any(op in NEXT_ITERATIONS for op in above) else -1
        return 0


def topological(body: Body) -> List[Any]:
    """The nodes, each after all its inputs; a v1 loop's back edge alone points forward."""
    done: Dict[str, None] = {}
    opened = set()
    for root in [split(text)[0] for text in body.outputs] + list(body.nodes):
        stack = [root]
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            node = body.nodes[name]
            opened.add(name)
            waiting = [
                above
                for above in (split(text)[0] for text in reversed(node.input))
                if above not in done
                and above not in opened
                and not (node.op in MERGES and body.nodes[above].op in NEXT_ITERATIONS)
            ]
            if waiting:
                stack.extend(waiting)
                continue
            done[name] = None
            stack.pop()
    return [body.nodes[name] for name in done]


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
        return list(attrs[arg.type_list_attr].list.type)
    dtype = arg.type or attrs[arg.type_attr].type
    count = attrs[arg.number_attr].i if arg.number_attr else 1
    return [dtype] * count
