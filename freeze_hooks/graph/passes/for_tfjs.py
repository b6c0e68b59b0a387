"""Says a graph in ops that TensorFlow.js has, with the same answers."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Set

from ..._protos import DT_FLOAT, DT_INT32, AttrValue, to_tensor
from ..body import UNSET, Body, data_inputs
from ..lint import is_layer_norm, is_training
from ..names import split
from ..ops import BATCH_NORMS, ENTERS, MERGES, SWITCHES
from ..walks import consumers

# Their output is their first input; what else they do is for training, debugging or memory.
_PASSING = frozenset(
    ("PreventGradient", "CheckNumerics", "CheckNumericsV2", "DebugGradientIdentity")
)


def say_in_known_ops(body: Body) -> None:
    """Replace ops that TF.js lacks by ops that it has, where that changes no answer."""
    for node in list(body.nodes.values()):
        if node.op in _PASSING:
            dtype = node.attr["T"].type
            node.op = "Identity"
            node.attr.clear()
            node.attr["T"].type = dtype
        elif node.op == "Inv":
            node.op = "Reciprocal"
        elif node.op == "BatchMatMulV3" and node.attr["Ta"] == node.attr["Tb"]:
            _batch_matmul(node)
        elif node.attr.get("T", UNSET).type != DT_FLOAT:
            continue
        elif node.op in BATCH_NORMS and is_training(node) and is_layer_norm(node, body):
            _layer_norm(body, node)
        elif node.op in _WRITTEN:
            _WRITTEN[node.op](body, node)


def _batch_matmul(node: Any) -> None:
    if node.attr["Ta"] != node.attr["Tout"]:
        return
    node.op = "BatchMatMulV2"
    node.attr["T"].CopyFrom(node.attr["Ta"])
    for name in ("Ta", "Tb", "Tout", "grad_x", "grad_y"):
        node.attr.pop(name, None)


def _softsign(body: Body, node: Any) -> None:
    """x / (1 + abs(x))"""
    (x,) = data_inputs(node)
    size = _added(body, node, "Abs", x)
    one = _added(body, node, "OnesLike", x)
    _become(node, "RealDiv", x, _added(body, node, "AddV2", one, size))


def _erfc(body: Body, node: Any) -> None:
    """1 - erf(x); the Erf of TF.js has an absolute error of 1e-7 itself."""
    (x,) = data_inputs(node)
    error = _added(body, node, "Erf", x)
    _become(node, "Sub", _added(body, node, "OnesLike", x), error)


def _layer_norm(body: Body, node: Any) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset; tf_keras writes it as batch norm."""
    x, scale, offset = data_inputs(node)[:3]
    epsilon = node.attr["epsilon"].f
    channel = node.attr["data_format"].s.decode().index("C")
    axes = _const(body, node, "axes", [i for i in range(4) if i != channel], DT_INT32)
    sizes = _const(body, node, "sizes", [-1 if i == channel else 1 for i in range(4)], DT_INT32)
    more = {"Tidx": AttrValue(type=DT_INT32), "keep_dims": AttrValue(b=True)}
    mean = _added(body, node, "Mean", x, axes, **more)
    squares = _added(body, node, "SquaredDifference", x, mean)
    variance = _added(body, node, "Mean", squares, axes, **more)
    least = _const(body, node, "epsilon", epsilon, DT_FLOAT)
    root = _added(body, node, "Rsqrt", _added(body, node, "AddV2", variance, least))
    found = _added(body, node, "Mul", _added(body, node, "Sub", x, mean), root)
    tshape = {"Tshape": AttrValue(type=DT_INT32)}
    wide = [_added(body, node, "Reshape", text, sizes, **tshape) for text in (scale, offset)]
    _become(node, "AddV2", _added(body, node, "Mul", found, wide[0]), wide[1])


_WRITTEN: Dict[str, Callable[[Body, Any], None]] = {"Erfc": _erfc, "Softsign": _softsign}


def _added(body: Body, node: Any, op: str, *inputs: str, **attrs: Any) -> str:
    dtype = AttrValue(type=node.attr["T"].type)
    return str(body.add(op, f"{node.name}/{op}", inputs, T=dtype, **attrs).name)


def _const(body: Body, node: Any, name: str, value: Any, dtype: int) -> str:
    """Add a constant in the branch or iteration of a node."""
    here = body.pivot(data_inputs(node)[0])
    attrs = {"value": AttrValue(tensor=to_tensor(value, dtype)), "dtype": AttrValue(type=dtype)}
    return str(body.add("Const", f"{node.name}/{name}", [here], **attrs).name)


def _become(node: Any, op: str, *inputs: str) -> None:
    dtype, controls = node.attr["T"].type, [text for text in node.input if text[:1] == "^"]
    node.op = op
    del node.input[:]
    node.input.extend([*inputs, *controls])
    node.attr.clear()
    node.attr["T"].type = dtype


def gate_constants(body: Body) -> Dict[str, str]:
    """Make constants wait for their branch where TF.js would take them at once.

    TF.js has the values of all Consts when it starts, whatever they wait for. So a branch that
    computes with constants alone would be alive even if it is not taken. Such a Const is moved
    behind an Identity, which has its name, and which waits.

    Returns:
      {name of such a Const: its new name}.
    """
    free = _free(body)
    moved: Dict[str, str] = {}
    users = consumers(body.nodes, data_only=True)
    for node in list(body.nodes.values()):
        if node.op != "Const" or not node.input:
            continue
        takers = [user for user, _ in users.get(node.name, ())]
        if not any(user.name in free or user.op in MERGES for user in takers):
            continue
        held = body.add("Const", node.name + "/value", node.input)
        for key, value in node.attr.items():
            held.attr[key].CopyFrom(value)
        moved[node.name] = held.name
        node.op = "Identity"
        node.input.insert(0, held.name)
        node.attr.clear()
        node.attr["T"].CopyFrom(held.attr["dtype"])
    return moved


def start_loops_at_once(body: Body) -> None:
    """Make each loop start only when all its inputs are there, as TF.js needs it.

    TF.js lets the counter of a loop run ahead of an input that comes later. When an invariant comes
    then, only the first iteration hears of it, and the loop never ends.
    """
    frames: Dict[bytes, List[Any]] = {}
    for node in body.nodes.values():
        if node.op in ENTERS:
            frames.setdefault(node.attr["frame_name"].s, []).append(node)
    for name, enters in frames.items():
        sources = sorted({data_inputs(node)[0] for node in enters})
        late = [text for text in sources if body.nodes[split(text)[0]].op != "Const"]
        if late and len(enters) > 1:
            waits = [_waiting_for(body, text) for text in late]
            start = body.add("NoOp", name.decode() + "/start", waits).name
            for node in enters:
                node.input.append("^" + start)


def name_branches(body: Body) -> None:
    """Make nodes that wait for a Switch wait for its predicate, which says the same.

    TF.js takes a control input for the first output of a node. That of a Switch is dead where the
    predicate is true.
    """
    for node in list(body.nodes.values()):
        for i, text in enumerate(node.input):
            source = body.nodes[split(text)[0]]
            if text[:1] == "^" and source.op in SWITCHES:
                node.input[i] = body.pivot(source.input[1])


def _waiting_for(body: Body, text: str) -> str:
    """Return a control input for a tensor."""
    name = split(text)[0]
    return body.pivot(text) if body.nodes[name].op in SWITCHES else "^" + name


def _free(body: Body) -> Set[str]:
    """Return the nodes that depend on constants alone; a Const is not among them."""
    constants = {node.name for node in body.nodes.values() if node.op == "Const"}
    free: Set[str] = set()
    users = consumers(body.nodes, data_only=True)
    stack = list(constants)
    while stack:
        for user, _ in users.get(stack.pop(), ()):
            if user.name in free or user.op == "Const":
                continue
            before = (split(text)[0] for text in data_inputs(user))
            if all(name in constants or name in free for name in before):
                free.add(user.name)
                stack.append(user.name)
    return free
