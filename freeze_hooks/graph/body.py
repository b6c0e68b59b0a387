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
    Tuple,
)

from .._protos import DT_RESOURCE, AttrValue, NodeDef
from ..errors import NotFreezableError
from .names import CONTROL, split, unique
from .op_registry import op_def

ARG = "_Arg"
UNSET = AttrValue()  # for attr.get(): a protobuf map makes an entry of whatever [] asks for
SWITCHES = ("Switch", "RefSwitch")
MERGES = ("Merge", "RefMerge")
ENTERS = ("Enter", "RefEnter")
EXITS = ("Exit", "RefExit")
NEXT_ITERATIONS = ("NextIteration", "RefNextIteration")
REF_VARIABLES = frozenset(("Variable", "VariableV2"))
HANDLES = frozenset(("VarHandleOp",))
VARIABLES = REF_VARIABLES | HANDLES
MUTABLE_TABLES = frozenset(
    ("MutableHashTableV2", "MutableHashTableOfTensorsV2", "MutableDenseHashTableV2")
)
TABLE_INITS = frozenset(("InitializeTable", "InitializeTableV2", "LookupTableImportV2"))
_STACK_POPS = frozenset(("StackPop", "StackPopV2"))
_STACK_ORDER = _STACK_POPS | {"StackPush", "StackPushV2", "ControlTrigger"}
_CONTEXT_MAKERS = frozenset(SWITCHES + ENTERS)
PIVOTS = frozenset(
    ("Identity", "RefIdentity", "Const", "LoopCond") + MERGES + ENTERS + EXITS + NEXT_ITERATIONS
)
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
    awaited: Container[str] = ()  # nodes for which others go on waiting
    late: AbstractSet[str] = frozenset()  # nodes that may see a change, see late_readers

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
        name, port = split(text)
        if name in self.nodes and self.nodes[name].op not in PIVOTS:  # which prune() would lose
            dtype = output_type(self.nodes[name], port)
            if dtype is not None:
                attr = AttrValue(type=dtype)
                name = self.add("Identity", name + "/pivot", [text], T=attr).name
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


def data_inputs(node: Any) -> List[str]:
    """A node's inputs without its control inputs."""
    return [text for text in node.input if text[:1] != "^"]


def has_frames(nodes: Mapping[str, Any]) -> bool:
    """Whether there is any dataflow control (Switch or Enter), whose liveness edges matter."""
    return any(node.op in _CONTEXT_MAKERS for node in nodes.values())


def takes_variable(node: Any, nodes: Mapping[str, Any]) -> bool:
    """Whether a node is given a variable itself: a reference or a handle, not its value."""
    for text in data_inputs(node):
        source = nodes.get(split(text)[0])
        if source is not None and (
            source.op in VARIABLES
            or source.op in MUTABLE_TABLES
            or source.op.startswith("Ref")
            or source.attr.get("T", UNSET).type == DT_RESOURCE
        ):
            return True
    return False


def _is_invariant(text: str, nodes: Mapping[str, Any]) -> bool:
    """Whether a tensor is a v1 loop's invariant, which is there in iterations past the last too."""
    node = nodes.get(split(text)[0])
    return bool(node and node.op in ENTERS and node.attr.get("is_constant", UNSET).b)


def _is_free(node: Any, nodes: Mapping[str, Any]) -> bool:
    """Whether a node takes nothing but loop invariants."""
    return all(_is_invariant(text, nodes) for text in data_inputs(node))


def gate_invariants(body: Body, users: Iterable[Any]) -> None:
    """Give nodes the loop invariants they take only in iterations that run.

    So it must be before the function of a node takes its place: what is in there may take nothing
    but invariants, and then ran on for ever (WhileContext._MaybeAddControlDependency sees to that
    for the node itself). Handles need no gate: they are gone before the graph runs.
    """
    for node in users if has_frames(body.nodes) else ():
        texts = data_inputs(node)
        free = [text for text in texts if _is_invariant(text, body.nodes)]
        before = [text for text in node.input if text.startswith("^")]
        before += [body.pivot(text) for text in texts if text not in free][:1]
        for text in free if before else ():
            dtype = output_type(body.nodes[split(text)[0]], 0)
            if dtype != DT_RESOURCE:
                gate = body.add(
                    "Identity", node.name + "/gate", [text] + before, T=AttrValue(type=dtype)
                )
                node.input[list(node.input).index(text)] = gate.name


def prune(
    body: Body,
    moved: Optional[Mapping[str, str]] = None,
    keep_order: bool = False,
    in_place: bool = False,
) -> Body:
    """A copy that holds only what the outputs need, with tensors in `moved` replaced.

    With `in_place` it has the body's own nodes, changed, and the body must not be used any more.

    Control inputs are dropped: in a file for inference they would only run updates, summaries,
    savers and asserts. They stay on a node inside a v1 conditional or loop whose data inputs, if
    any, do not say to which branch or iteration it belongs (ControlFlowContext pivots), and with
    `keep_order` on nodes that take a variable, whose value may depend on what ran before, and on
    all above them: TensorFlow leaves a control input out where a data input brings the same order
    (Graph._control_dependencies_for_inputs). What waits for the initialization of a lookup table,
    or for what is `awaited`, goes on waiting. Where the gradients of a v1 loop are needed, so do
    its stacks, which control inputs alone keep in order, and all above them.
    """
    moved = moved or {}
    outputs = [follow(text, moved) for text in body.outputs]
    effects = body.effects if keep_order else ()
    pivots = _Pivots(body) if has_frames(body.nodes) else None
    stacks = pivots is not None and _needs_stacks(body, outputs, effects)
    ordered_ops = _STACK_ORDER if stacks else frozenset()
    awaited_ops = TABLE_INITS | ordered_ops
    wanted: Dict[str, Optional[List[str]]] = {}  # a node's inputs, None where they stay
    stack = [(split(text)[0], False) for text in reversed(outputs)]
    stack += [(name, True) for name in effects]
    whole = set()  # nodes that keep all their inputs, since a read may wait for them
    while stack:
        name, waited_for = stack.pop()
        if name in whole or (name in wanted and not waited_for):
            continue
        node = body.nodes.get(name)
        if node is None:
            raise NotFreezableError(f"the graph is broken: a node needs {name!r}, which it lacks")
        inputs = list(node.input)
        controls = [text for text in inputs if text[:1] == "^"]
        reads = (stacks and node.op in ordered_ops) or (
            keep_order and (name in body.late or takes_variable(node, body.nodes))
        )
        if waited_for:
            whole.add(name)
        elif controls and not reads:
            inputs = [text for text in inputs if text[:1] != "^"]
            inputs += [text for text in controls if _is_awaited(text[1:], body, awaited_ops)]
            if pivots is not None and _is_free(node, body.nodes):
                inputs += pivots.of(node)
        if moved:
            inputs = [follow(text, moved) for text in inputs]
        wanted[name] = inputs if moved or controls else None
        for text in inputs:
            above, port = split(text)
            ordered = keep_order and port == CONTROL
            stack.append((above, waited_for or reads or ordered))
    nodes = {name: node for name, node in body.nodes.items() if name in wanted}
    if not in_place:
        nodes = {name: _copy(node) for name, node in nodes.items()}
    for name, kept in wanted.items():
        if kept is not None:
            del nodes[name].input[:]
            nodes[name].input.extend(kept)
    return dataclasses.replace(body, nodes=nodes, outputs=outputs, effects=effects)


def _is_awaited(name: str, body: Body, ops: AbstractSet[str]) -> bool:
    return name in body.awaited or (name in body.nodes and body.nodes[name].op in ops)


def _needs_stacks(body: Body, outputs: Iterable[str], effects: Iterable[str]) -> bool:
    """Whether the outputs take what a v1 loop left on a stack, as its gradients do.

    A loop that was trained goes on pushing, whether or not anything pops.
    """
    if not any(node.op in _STACK_POPS for node in body.nodes.values()):
        return False
    stack = [split(text)[0] for text in outputs] + list(effects)
    seen = set(stack)
    while stack:
        node = body.nodes.get(stack.pop())
        if node is None:
            continue
        if node.op in _STACK_POPS:
            return True
        above = {split(text)[0] for text in data_inputs(node)} - seen
        seen |= above
        stack.extend(above)
    return False


def _copy(node: Any) -> Any:
    copy = NodeDef()
    copy.CopyFrom(node)
    return copy


class _Pivots:
    """Which control inputs of source nodes carry a branch or a frame."""

    def __init__(self, body: Body) -> None:
        self._nodes = body.nodes
        self._depth = depths(body)

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
            if source.op in PIVOTS or source.op in SWITCHES:
                found["^" + name] = None
                continue
            for text in source.input:
                above = split(text)[0]
                if above not in seen and self._nodes[above].op not in SWITCHES:
                    seen.add(above)
                    stack.append(above)
        return list(found)


def depths(body: Body, conditionals: bool = True) -> Dict[str, int]:
    """How many v1 loops (and conditionals) are open around each node; 0 where it runs once."""
    found: Dict[str, int] = {}
    for node in topological(body):
        above = (found.get(split(text)[0], 0) for text in node.input)
        counts = conditionals or node.op in ENTERS + EXITS
        found[node.name] = max(above, default=0) + (_step(node, body.nodes) if counts else 0)
    return found


def _step(node: Any, nodes: Mapping[str, Any]) -> int:
    if node.op in ENTERS:
        return 1
    if node.op in EXITS:
        return -1
    if node.op in SWITCHES:
        predicate = nodes[split(node.input[1])[0]]
        return 0 if predicate.op == "LoopCond" else 1
    if node.op in MERGES:
        above = (nodes[split(text)[0]].op for text in node.input)
        return 0 if any(op in NEXT_ITERATIONS for op in above) else -1
    return 0


def topological(body: Body) -> List[Any]:
    """The nodes, each after all its inputs; a v1 loop's back edge alone points forward."""
    done: Dict[str, Any] = {}
    opened = set()
    for root in [split(text)[0] for text in body.outputs] + list(body.nodes):
        stack = [] if root in done else [root]
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            node = body.nodes[name]
            opened.add(name)
            above = [split(text)[0] for text in node.input]
            waiting = [other for other in reversed(above) if other not in opened]
            if waiting and node.op in MERGES:
                waiting = [o for o in waiting if body.nodes[o].op not in NEXT_ITERATIONS]
            if waiting:
                stack.extend(waiting)
                continue
            done[name] = node
            stack.pop()
    return list(done.values())


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
