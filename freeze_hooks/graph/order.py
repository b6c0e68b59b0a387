"""Reads that come after a write: their value is not the variable's, so they cannot be frozen."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Set

from ..errors import NotFreezableError
from .body import Body, topological
from .fold import BRANCHING, WHILES, branches_of
from .functions import Library
from .names import split
from .variables import Carried, Variable, changes, handed, hands_on, variables_of


def refuse_reads_after_writes(body: Body, library: Library) -> None:
    """Make sure that no needed read is ordered after an op that changes its variable.

    The body must still have the control inputs of nodes that take variables.

    Raises:
      NotFreezableError: there is such a read; both ops and the variable are named.
    """
    _written(body, library, {(name, 0): v for name, v in variables_of(body).items()})


def _written(body: Body, library: Library, carried: Carried) -> Set[str]:
    """Names of the variables that a body changes, after a look at its reads."""
    writers: Dict[str, Set[str]] = {}
    ordered: List[Any] = []
    users: Dict[str, Dict[int, Variable]] = {}
    for node in topological(body):
        given = {
            i: carried[split(text)] for i, text in enumerate(node.input) if split(text) in carried
        }
        if not given:
            continue
        users[node.name] = given
        variable = next(iter(given.values()))
        if node.op in BRANCHING:
            writers[node.name] = _written_in_branches(node, library, given)
        elif hands_on(node, variable):
            carried.update(dict.fromkeys(handed(node), variable))
        elif changes(node, given):
            writers[node.name] = {v.node for v in given.values()}
        if any(text.startswith("^") for text in node.input):
            ordered.append(node)
    for node in ordered:
        _refuse(body, node, {v.node for v in users[node.name].values()}, writers)
    return set().union(*writers.values()) if writers else set()


def _written_in_branches(node: Any, library: Library, given: Mapping[int, Variable]) -> Set[str]:
    offset = 0 if node.op in WHILES else 1
    found: Set[str] = set()
    for func in branches_of(node):
        branch = library.body(func.name, func.attr)
        args = list(branch.args)
        inner = {
            (args[i - offset], 0): variable
            for i, variable in given.items()
            if variable.resource and i >= offset
        }
        found |= _written(branch, library, inner)
    return found


def _refuse(body: Body, reader: Any, read: Set[str], writers: Mapping[str, Set[str]]) -> None:
    stack = [text[1:] for text in reader.input if text.startswith("^")]
    seen = set(stack)
    while stack:
        name = stack.pop()
        both = read & writers.get(name, set())
        if both:
            writer = body.nodes[name]
            raise NotFreezableError(
                f"{reader.op} {reader.name!r} is needed by the outputs and reads variable "
                f"{sorted(both)[0]!r} after {writer.op} {writer.name!r} changed it, which a "
                "constant cannot follow; choose an output that does not wait for the change, "
                "or bind= the placeholder that switches training off"
            )
        for text in body.nodes[name].input:
            above = split(text)[0]
            if above not in seen:
                seen.add(above)
                stack.append(above)
