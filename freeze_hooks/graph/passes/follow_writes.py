"""Makes reads after assignments use the assigned value, where that value is clear."""

from __future__ import annotations

from typing import Any, Container, Dict, List, Mapping, Optional, Set, Tuple

from ..._protos import AttrValue
from ..body import Body, data_inputs
from ..frames import depths, has_frames
from ..functions import Library
from ..names import inputs_among
from ..ops import ADDS, ASSIGNS, REF_ASSIGNS
from ..read_after_write import writers_of
from ..variables import Variable, changes, variables_of
from ..walks import above, topological


def follow_assignments(
    body: Body, library: Library, among: Optional[Container[str]] = None
) -> None:
    """Make reads after assignments to a variable use the assigned value, in place.

    This also freezes draws from a random seed, which each draw counts up: the file draws as one
    call of the function does, starting at the seed's present value.

    Args:
      body: the graph; nodes that take variables must still have their control inputs.
      library: its functions.
      among: names of the variables to look at; None: all resource variables.
    """
    variables = {
        name: variable
        for name, variable in variables_of(body).items()
        if (variable.resource if among is None else name in among)
    }
    if not variables or (among is None and has_frames(body.nodes)):
        return
    inner = depths(body) if has_frames(body.nodes) else {}
    writers, reads = _users(body, library, variables)
    followed = []
    for read, name in reads:
        before = writers[name] & above(body.nodes, read.input).keys() if writers[name] else set()
        if not before or any(inner.get(node) for node in before | {read.name}):
            continue
        order = _in_order(body, before)
        if order is not None:
            followed.append((read, name, order))
    for read, name, order in followed:
        value = _value_after(body, variables[name], order)
        read.op = "Identity"
        read.attr.clear()
        read.attr["T"].type = variables[name].dtype
        del read.input[:]
        read.input.append(value)


Reads = List[Tuple[Any, str]]


def _users(
    body: Body, library: Library, variables: Mapping[str, Variable]
) -> Tuple[Dict[str, Set[str]], Reads]:
    """Return {variable: the nodes that change it}, and the reads that have control inputs."""
    carried = {(name, 0): variable for name, variable in variables.items()}
    changed = writers_of(body, library, dict(carried))
    writers = {name: changed.get(name, set()) for name in variables}
    reads = []
    for node in topological(body):
        given = inputs_among(node, carried)
        if not given:
            continue
        variable = next(iter(given.values()))
        if node.op == ("ReadVariableOp" if variable.resource else "Identity"):
            if len(node.input) > 1:
                reads.append((node, variable.node))
        elif node.op in REF_ASSIGNS:
            carried[node.name, 0] = variable  # it returns the reference
            writers[variable.node].add(node.name)
        elif not variable.resource and changes(node, given):
            writers[variable.node].add(node.name)
    return writers, reads


def _in_order(body: Body, names: Set[str]) -> Optional[List[str]]:
    """Return assignments in order; None if there are other writes, or the order is not fixed."""
    if any(
        body.nodes[name].op not in ASSIGNS and body.nodes[name].op not in ADDS for name in names
    ):
        return None
    before = {name: names & above(body.nodes, body.nodes[name].input).keys() for name in names}
    ordered = sorted(names, key=lambda name: len(before[name]))
    if any(len(before[name]) != i for i, name in enumerate(ordered)):
        return None
    return ordered


def _value_after(body: Body, variable: Variable, order: List[str]) -> str:
    """Return the tensor of a variable's value after these assignments."""
    dtype = AttrValue(type=variable.dtype)
    if not order:
        kind, attr = ("ReadVariableOp", "dtype") if variable.resource else ("Identity", "T")
        name = variable.node + "/before"
        return str(body.add(kind, name, [variable.node], **{attr: dtype}).name)
    node = body.nodes[order[-1]]
    given = data_inputs(node)[1]
    if node.op in ASSIGNS:
        return given
    earlier = _value_after(body, variable, order[:-1])
    return str(body.add(ADDS[node.op], node.name + "/left", [earlier, given], T=dtype).name)
