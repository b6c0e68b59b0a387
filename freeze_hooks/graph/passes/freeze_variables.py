"""Turns variables into constants, and ops that use variables into ops on plain tensors."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from ..._protos import DT_BOOL, DT_INT32, DT_RESOURCE, AttrValue, to_tensor
from ...errors import NotFreezableError
from ..body import UNSET, Body, data_inputs
from ..frames import has_frames
from ..functions import Library, branches_of
from ..names import inputs_among, split
from ..ops import (
    BRANCHING,
    ENTERS,
    HANDING_ON,
    MERGES,
    PIVOTS,
    READS,
    VARIABLES,
    WHILES,
    plain_op,
)
from ..prune import prune
from ..variables import Carried, Kept, Variable, changes, handed, hands_on, variables_of
from ..walks import topological


def freeze_variables(body: Body, library: Library, kept: Kept = None) -> Dict[str, Variable]:
    """Turn the variables in `body` into slots, and their users into plain tensor ops.

    A slot is a Const that lacks its value. Variables that are `kept`, by name, stay as they are,
    and so do their users.

    Returns:
      {slot: its variable}.

    Raises:
      NotFreezableError: an op that the outputs need changes a variable, or uses it in a way that
        a constant does not allow, or may also take a kept variable; names the op and the variable.
    """
    slots = {
        name: variable
        for name, variable in variables_of(body).items()
        if kept is None or not kept(name)
    }
    for name, variable in slots.items():
        node = body.nodes[name]
        node.op = "Const"
        node.attr.clear()
        node.attr["dtype"].type = variable.dtype
    _make_plain(body, library, {(name, 0): variable for name, variable in slots.items()}, kept)
    return slots


def _make_plain(body: Body, library: Library, carried: Carried, kept: Kept) -> None:
    """Rewrite the users of carried variables, in order; add the tensors that carry them."""
    for node in topological(body) if _hand_on(body) else list(body.nodes.values()):
        given = inputs_among(node, carried)
        if not given:
            continue
        variable = next(iter(given.values()))
        if node.op in BRANCHING:
            _branch(node, library, given, carried, kept)
        elif hands_on(node, variable):
            node.op = plain_op(node.op)
            node.attr["T"].type = variable.dtype
            carried.update(dict.fromkeys(handed(node), variable))
        elif node.op in READS:
            _PLAIN[node.op](body, node, variable)
        elif changes(node, given):
            raise NotFreezableError(_refusal(node, variable))
    for node in body.nodes.values():
        merged = carried.get((node.name, 0)) if node.op in MERGES else None
        if merged and any(split(text) not in carried for text in data_inputs(node)):
            raise NotFreezableError(_mixed(node, merged))


def _hand_on(body: Body) -> bool:
    """Return whether any node may pass on variables; its users must then come after it."""
    return any(
        node.op in BRANCHING or node.op[:3] == "Ref" or _takes_handles(node)
        for node in body.nodes.values()
    )


def _takes_handles(node: Any) -> bool:
    return node.op in HANDING_ON and node.attr.get("T", UNSET).type == DT_RESOURCE


def _refusal(node: Any, variable: Variable) -> str:
    return (
        f"{node.op} {node.name!r} is needed by the outputs, but changes variable "
        f"{variable.node!r} or needs more of it than its value, so it cannot be frozen; "
        "choose an output before it, cut it off with inputs=, or "
        "bind= the placeholder that switches training off"
    )


def _mixed(node: Any, variable: Variable) -> str:
    return (
        f"{node.op} {node.name!r} may pass on variable {variable.node!r}, which is to be frozen, "
        "or a kept variable: freeze or keep both"
    )


def _branch(
    node: Any, library: Library, given: Mapping[int, Variable], carried: Carried, kept: Kept
) -> None:
    """Make an If, Case or While take its variables as plain tensors; its functions are copied."""
    loop = node.op in WHILES
    offset = 0 if loop else 1
    types = node.attr["T" if loop else "Tin"].list.type
    resources = {i - offset: v for i, v in given.items() if v.resource and i >= offset}
    results: Dict[int, Variable] = dict(resources) if loop else {}
    for i, variable in resources.items():
        types[i] = variable.dtype
    returned: List[List[Optional[Variable]]] = []
    for func in branches_of(node):
        branch = prune(library.body(func.name, func.attr))
        _refuse_own_variables(branch, kept)
        inner: Carried = {}
        for i, arg in enumerate(branch.args):
            if i in resources:
                branch.args[arg] = resources[i].dtype
                inner[arg, 0] = resources[i]
                if arg in branch.nodes:
                    branch.nodes[arg].attr["T"].type = resources[i].dtype
        _make_plain(branch, library, inner, kept)
        returned.append([inner.get(split(text)) for text in branch.outputs])
        func.name = library.add(branch.name, branch)
    for i, several in enumerate(zip(*returned)) if not loop else ():
        found = [variable for variable in several if variable is not None]
        if found and len(found) < len(several):
            raise NotFreezableError(_mixed(node, found[0]))
        results.update((i, variable) for variable in found)
    for i, variable in results.items():
        if not loop:
            node.attr["Tout"].list.type[i] = variable.dtype
        shapes = node.attr.get("output_shapes", UNSET).list.shape
        if i < len(shapes):
            shapes[i].Clear()
            shapes[i].unknown_rank = True
        carried[node.name, i] = variable


def _refuse_own_variables(branch: Body, kept: Kept) -> None:
    for node in branch.nodes.values():
        if node.op in VARIABLES and not (kept and kept(node.name)):
            raise NotFreezableError(
                f"variable {node.name!r} is created inside function {branch.name!r}, where its "
                "value cannot be read: create it outside the conditional or loop"
            )


def _identity(body: Body, node: Any, variable: Variable) -> None:
    _become(node, "Identity", T=variable.dtype)


def _gather(body: Body, node: Any, variable: Variable) -> None:
    batch_dims, indices = node.attr.get("batch_dims", UNSET).i, node.attr["Tindices"].type
    # ResourceGather has no axis: it gathers along the first dimension after the batch dimensions
    axis = _const(body, node.name + "/axis", batch_dims, DT_INT32, _frame(body, node))
    node.input.insert(2, axis)
    _become(node, "GatherV2", Tparams=variable.dtype, Tindices=indices, Taxis=DT_INT32)
    node.attr["batch_dims"].i = batch_dims


def _gather_nd(body: Body, node: Any, variable: Variable) -> None:
    _become(node, "GatherNd", Tparams=variable.dtype, Tindices=node.attr["Tindices"].type)


def _shape(body: Body, node: Any, variable: Variable) -> None:
    _become(
        node, "Shape", T=variable.dtype, out_type=node.attr.get("out_type", UNSET).type or DT_INT32
    )


def _initialized(body: Body, node: Any, variable: Variable) -> None:
    pivot = [body.pivot(data_inputs(node)[0])] if has_frames(body.nodes) else []
    true = _const(body, node.name + "/true", True, DT_BOOL, pivot)
    node.input[0] = true
    _become(node, "Identity", T=DT_BOOL)


_PLAIN: Dict[str, Callable[[Body, Any, Variable], None]] = {
    "ReadVariableOp": _identity,
    "ResourceGather": _gather,
    "ResourceGatherNd": _gather_nd,
    "VariableShape": _shape,
    "VarIsInitializedOp": _initialized,
    "IsVariableInitialized": _initialized,
}


def _become(node: Any, op: str, **types: int) -> None:
    node.op = op
    node.attr.clear()
    for key, dtype in types.items():
        node.attr[key].type = dtype


def _frame(body: Body, node: Any) -> List[str]:
    """Return the control inputs that put a constant into a node's loop.

    A branch needs none: if it is not taken, the node's other inputs are dead.
    """
    if not any(other.op in ENTERS for other in body.nodes.values()):
        return []
    inputs = data_inputs(node)
    pivots = ["^" + split(text)[0] for text in inputs if body.nodes[split(text)[0]].op in PIVOTS]
    return pivots[:1] or [body.pivot(inputs[0])]


def _const(body: Body, name: str, value: Any, dtype: int, controls: List[str]) -> str:
    """Add a scalar constant with control inputs; return its name."""
    tensor = AttrValue(tensor=to_tensor(value, dtype))
    const = body.add("Const", name, controls, value=tensor, dtype=AttrValue(type=dtype))
    return str(const.name)
