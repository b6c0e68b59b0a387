"""Turns assignments to reference variables into computations, if outputs need the results."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Set, Tuple

from ...errors import NotFreezableError
from ..body import Body
from ..names import split
from ..ops import ADDS, ALIASING, ENTERS, REF_ASSIGNS
from ..variables import Kept, handed, hands_on, variables_of
from ..walks import above, topological


def compute_assigns(body: Body, kept: Kept = None) -> List[str]:
    """Replace each Assign, AssignAdd and AssignSub by the value that it assigns, in place.

    The file assigns nothing: each run computes from the frozen value, as the session's next run
    would. Resource variables have no such ops. Assignments to `kept` variables stay.

    Returns:
      The names of the replaced ops.

    Raises:
      NotFreezableError: a variable has two of them, or is also read by what may run before or
        after; the ops and the variable are named.
    """
    references = (name for name, variable in variables_of(body).items() if not variable.resource)
    variables = {name for name in references if not (kept and kept(name))}
    assigns, readers = _users(body, variables)
    for variable, nodes in assigns.items():
        if len(nodes) > 1:
            raise NotFreezableError(_refusal(nodes[0], nodes[1], variable, "both change"))
        before = above(body.nodes, nodes[0].input)
        for reader in readers[variable]:
            if reader.name not in before:
                raise NotFreezableError(
                    _refusal(nodes[0], reader, variable, "change and read, in no order,")
                )
    for nodes in assigns.values():
        _compute(nodes[0])
    return [nodes[0].name for nodes in assigns.values()]


Users = Mapping[str, List[Any]]


def _users(body: Body, variables: Set[str]) -> Tuple[Users, Users]:
    """Return, by variable, the nodes that assign to it and the other nodes that use its value."""
    known = variables_of(body)
    refs: Dict[Tuple[str, int], str] = {(name, 0): name for name in variables}
    aliases = dict(refs)
    assigned: Dict[Tuple[str, int], str] = {}
    assigns: Dict[str, List[Any]] = {}
    readers: Dict[str, List[Any]] = {name: [] for name in variables}
    for node in topological(body):
        for i, text in enumerate(node.input):
            tensor = split(text)
            changed = refs.get(tensor) or assigned.get(tensor)
            if node.op in REF_ASSIGNS and i == 0 and changed is not None:
                assigned[node.name, 0] = changed
                assigns.setdefault(changed, []).append(node)
                continue
            variable = aliases.get(tensor)
            if variable is None:
                continue
            if tensor in refs and hands_on(node, known[variable]):
                if node.op not in ENTERS:  # a loop's assignments happen more than once
                    refs.update(dict.fromkeys(handed(node), variable))
                aliases.update(dict.fromkeys(handed(node), variable))
            elif node.op in ALIASING:
                aliases.update(dict.fromkeys(handed(node), variable))
            else:
                readers[variable].append(node)
    outputs = {split(text) for text in body.outputs}
    for tensor in outputs & set(aliases):
        readers[aliases[tensor]].append(body.nodes[tensor[0]])
    return assigns, readers


def _compute(node: Any) -> None:
    dtype = node.attr["T"].type
    if node.op == "Assign":
        del node.input[0]
    node.op = ADDS.get(node.op, "Identity")
    node.attr.clear()
    node.attr["T"].type = dtype


def _refusal(first: Any, second: Any, variable: str, how: str) -> str:
    return (
        f"{first.op} {first.name!r} and {second.op} {second.name!r} {how} variable "
        f"{variable!r} on the way to the outputs, so that its value there is not clear; choose "
        "outputs before them, or bind= the placeholder that switches training off"
    )
