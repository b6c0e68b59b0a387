"""Lowers If, Case and While to the dataflow control flow of TensorFlow 1."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..._protos import DT_BOOL, DT_INT32, DT_STRING, AttrValue, to_tensor
from ..body import UNSET, Body, data_inputs, output_type
from ..frames import gate_invariants
from ..functions import Library, branches_of
from ..names import join, split
from ..ops import BRANCHING, CASES, IFS
from ..prune import prune
from .inline import paste

_PARALLEL = 10  # the op's default, which may be missing in a While


def lower(body: Body, library: Library) -> None:
    """Replace each If and Case by Switch and Merge, and each While by Enter and Exit.

    The nodes of their functions go into the graph, and are lowered too. Nodes that nothing needs
    stay: prune afterwards.
    """
    while True:
        found = [node for node in body.nodes.values() if node.op in BRANCHING]
        if not found:
            return
        gate_invariants(body, found)
        moved: Dict[str, str] = {}
        for node in found:
            branches = [prune(library.body(func.name, func.attr)) for func in branches_of(node)]
            results = _lowered(body, node, branches)
            moved.update((join(node.name, port), text) for port, text in enumerate(results))
        body.rewire(moved)
        for node in found:  # only now, so that no new node gets the name of a replaced one
            del body.nodes[node.name]


def _lowered(body: Body, node: Any, branches: Sequence[Body]) -> List[str]:
    """Lower a node; return the tensors that replace its outputs."""
    if node.op in IFS:
        return _if(body, node, branches)
    if node.op in CASES:
        return _case(body, node, branches)
    return _while(body, node, branches)


def _if(body: Body, node: Any, branches: Sequence[Body]) -> List[str]:
    predicate = _to_bool(body, node, node.input[0], node.attr["Tcond"].type)
    switches = _switches(body, node, predicate)
    results = [_branch(body, node, b, switches, port) for b, port in zip(branches, (1, 0))]
    return _merges(body, node, results)


def _case(body: Body, node: Any, branches: Sequence[Body]) -> List[str]:
    results = []
    for branch, chosen in zip(branches, _choices(body, node, len(branches))):
        results.append(_branch(body, node, branch, _switches(body, node, chosen), 1))
    return _merges(body, node, results)


def _choices(body: Body, node: Any, count: int) -> List[str]:
    """Return a bool tensor for each branch of a Case: whether the branch is taken."""
    index = _add(body, node, "Identity", [node.input[0]], DT_INT32)

    def compare(op: str, number: int) -> str:
        inputs = [index, _const_where(body, node, index, number, DT_INT32)]
        return _add(body, node, op, inputs, DT_INT32)

    choices = [compare("Equal", number) for number in range(count - 1)]
    outside = [compare("Less", 0), compare("GreaterEqual", count - 1)]  # take the last branch
    return choices + [body.add("LogicalOr", node.name + "/LogicalOr", outside).name]


def _switches(body: Body, node: Any, predicate: str) -> List[str]:
    """Add Switches for the predicate and for all arguments of the branches; return their names."""
    inputs = [predicate] + data_inputs(node)[1:]
    types = [DT_BOOL] + list(node.attr["Tin"].list.type)
    return [_switch(body, node, text, predicate, dtype) for text, dtype in zip(inputs, types)]


def _branch(body: Body, node: Any, branch: Body, switches: Sequence[str], port: int) -> List[str]:
    pivot, *inputs = (join(switch, port) for switch in switches)
    return _paste(body, node, branch, inputs, pivot)


def _merges(body: Body, node: Any, results: Sequence[Sequence[str]]) -> List[str]:
    count = AttrValue(i=len(results))
    types = node.attr["Tout"].list.type
    return [
        _add(body, node, "Merge", texts, dtype, N=count) for dtype, *texts in zip(types, *results)
    ]


def _while(body: Body, node: Any, branches: Sequence[Body]) -> List[str]:
    condition, step = branches
    inputs, types = data_inputs(node), list(node.attr["T"].list.type)
    fixed = [text == arg for text, arg in zip(step.outputs, step.args)]
    if all(fixed):
        return inputs
    loop = body.add("LoopCond", node.name + "/LoopCond").name
    heads = _heads(body, node, loop, fixed)
    # the constants of both functions wait for a variable that the loop needs anyway
    used = [arg in condition.nodes for arg in condition.args]
    pivot = max((i for i, same in enumerate(fixed) if not same), key=lambda i: used[i])
    (going,) = _paste(body, node, condition, heads, heads[pivot])
    body.nodes[loop].input.append(_to_bool(body, node, going, _type_of(body, going)))
    switches = [_switch(body, node, head, loop, dtype) for head, dtype in zip(heads, types)]
    alive = [join(switch, 1) for switch in switches]
    given = [
        head if same else _add(body, node, "Identity", [text], dtype)
        for head, text, dtype, same in zip(heads, alive, types, fixed)
    ]
    gates = {head: text for head, text, same in zip(heads, alive, fixed) if same}
    results = _paste(body, node, step, given, given[pivot], gates)
    for head, text, dtype, same in zip(heads, results, types, fixed):
        if not same:
            body.nodes[head].input.append(_add(body, node, "NextIteration", [text], dtype))
    return [
        text if same else _add(body, node, "Exit", [switch], dtype)
        for text, switch, dtype, same in zip(inputs, switches, types, fixed)
    ]


def _heads(body: Body, node: Any, frame: str, fixed: Sequence[bool]) -> List[str]:
    """Add what a loop's condition takes: a Merge for each variable, an Enter for an invariant."""
    parallel = AttrValue(i=node.attr.get("parallel_iterations", UNSET).i or _PARALLEL)
    heads = []
    for text, dtype, same in zip(data_inputs(node), node.attr["T"].list.type, fixed):
        head = _add(
            body,
            node,
            "Enter",
            [text],
            dtype,
            frame_name=AttrValue(s=frame.encode()),
            is_constant=AttrValue(b=same),
            parallel_iterations=parallel,
        )
        heads.append(head if same else _add(body, node, "Merge", [head], dtype, N=AttrValue(i=2)))
    return heads


def _paste(
    body: Body,
    node: Any,
    inner: Body,
    inputs: Sequence[str],
    pivot: str,
    gates: Optional[Mapping[str, str]] = None,
) -> List[str]:
    """Copy a function of a node into the graph, alive exactly when the tensor `pivot` is.

    A loop's invariants are alive even after its last iteration. So two kinds of nodes must take
    them through `gates`: nodes that take nothing else, since they would run ahead, and control
    flow, since a part of it may take nothing else.
    """
    gates = gates or {}
    control = body.pivot(pivot)
    copies, results = paste(body, node.name, inner, inputs)
    for copy in copies.values():
        if not copy.input:
            copy.input.append(control)
        elif copy.op in BRANCHING or all(text in gates for text in data_inputs(copy)):
            for i, text in enumerate(copy.input):
                copy.input[i] = gates.get(text, text)
    return [gates.get(text, text) for text in results]


def _to_bool(body: Body, node: Any, text: str, dtype: int) -> str:
    """Return a predicate as the bool that Switch and LoopCond take: all but 0 and "" is true."""
    if dtype == DT_BOOL:
        return text
    if dtype == DT_STRING:
        text = _add(body, node, "Identity", [text], dtype)
        inputs = [text, _const_where(body, node, text, "", dtype)]
        return _add(body, node, "NotEqual", inputs, dtype)
    types = {"SrcT": AttrValue(type=dtype), "DstT": AttrValue(type=DT_BOOL)}
    return str(body.add("Cast", node.name + "/Cast", [text], **types).name)


def _const_where(body: Body, node: Any, identity: str, value: Any, dtype: int) -> str:
    """Add a scalar constant in the branch or frame of an Identity, which prune() keeps."""
    tensor = AttrValue(tensor=to_tensor(value, dtype))
    types = {"value": tensor, "dtype": AttrValue(type=dtype)}
    return str(body.add("Const", node.name + "/Const", ["^" + identity], **types).name)


def _type_of(body: Body, text: str) -> int:
    name, port = split(text)
    found = output_type(body.nodes[name], port)
    return DT_BOOL if found is None else found


def _switch(body: Body, node: Any, text: str, predicate: str, dtype: int) -> str:
    return _add(body, node, "Switch", [text, predicate], dtype)


def _add(body: Body, node: Any, op: str, inputs: Sequence[str], dtype: int, **attrs: Any) -> str:
    """Add a node in the scope of the node to lower; return its name."""
    name = f"{node.name}/{op}"
    return str(body.add(op, name, inputs, T=AttrValue(type=dtype), **attrs).name)
