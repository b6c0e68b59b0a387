"""Finds reads of variables after a write: they do not give the frozen value."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Set, Tuple

from ..errors import NotFreezableError
from .body import Body
from .functions import Library, branches_of
from .names import inputs_among, split
from .ops import BRANCHING, CALLS, WHILES
from .prune import prune
from .variables import Carried, Kept, Variable, changes, handed, hands_on, variables_of
from .walks import above, topological


def after_writes(body: Body, kept: Kept) -> Set[str]:
    """Return the names of nodes that run after a kept variable may have changed."""
    carried = {(n, 0): v for n, v in variables_of(body).items() if kept and kept(n)}
    found: Set[str] = set()
    for node in topological(body) if carried else ():
        given = inputs_among(node, carried)
        if any(split(text)[0] in found for text in node.input):
            found.add(node.name)
        if not given:
            continue
        if node.op in BRANCHING or node.op in CALLS or changes(node, given):
            found.add(node.name)
        elif hands_on(node, next(iter(given.values()))):
            carried.update(dict.fromkeys(handed(node), next(iter(given.values()))))
    return found


def refuse_reads_after_writes(body: Body, library: Library, kept: Kept = None) -> None:
    """Check that no needed read comes after an op that changes its variable.

    Variables that are `kept`, by name, may change before: the file reads them when it runs. Nodes
    that take variables must still have their control inputs.

    Raises:
      NotFreezableError: there is such a read; names both ops and the variable.
    """
    frozen = {n: v for n, v in variables_of(body).items() if not (kept and kept(n))}
    _check_reads(body, library, {(name, 0): variable for name, variable in frozen.items()})


def writers_of(body: Body, library: Library, carried: Carried) -> Dict[str, Set[str]]:
    """Return {variable: the nodes that change it}; add tensors that pass them on to `carried`."""
    found: Dict[str, Set[str]] = {}
    writers, _ = _writers(body, library, carried, False)
    for node, names in writers.items():
        for name in names:
            found.setdefault(name, set()).add(node)
    return found


def _check_reads(body: Body, library: Library, carried: Carried) -> Set[str]:
    """Check a body's reads; return the names of the variables that it changes."""
    writers, users = _writers(body, library, carried, True)
    changed: Set[str] = set().union(*writers.values())
    needed = prune(body).nodes if changed else {}
    for name, given in users.items():
        read = changed & {v.node for v in given.values()}
        if read and name in needed:
            _refuse(body, body.nodes[name], read, writers)
    return changed


def _writers(
    body: Body, library: Library, carried: Carried, refusing: bool
) -> Tuple[Dict[str, Set[str]], Dict[str, Dict[int, Variable]]]:
    """Return {node: names of variables that it changes}, {node: variables among its inputs}."""
    writers: Dict[str, Set[str]] = {}
    users: Dict[str, Dict[int, Variable]] = {}
    for node in topological(body):
        given = inputs_among(node, carried)
        if not given:
            continue
        variable = next(iter(given.values()))
        if node.op not in BRANCHING and hands_on(node, variable):
            carried.update(dict.fromkeys(handed(node), variable))
            continue
        users[node.name] = given
        if node.op in BRANCHING:
            writers[node.name] = _written_in_branches(node, library, given, refusing)
        elif changes(node, given):
            writers[node.name] = {v.node for v in given.values()}
    return writers, users


def _written_in_branches(
    node: Any, library: Library, given: Mapping[int, Variable], refusing: bool
) -> Set[str]:
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
        if refusing:
            found |= _check_reads(branch, library, inner)
        else:
            found |= writers_of(branch, library, inner).keys()
    return found


def _refuse(body: Body, reader: Any, read: Set[str], writers: Mapping[str, Set[str]]) -> None:
    before = above(body.nodes, reader.input)
    found = sorted(name for name in before if read & writers.get(name, set()))
    if found:
        variable = sorted(read & writers[found[0]])[0]
        refuse(body, reader, variable, [name for name in found if variable in writers[name]])


def refuse(body: Body, reader: Any, variable: str, writers: Iterable[str]) -> None:
    """Raise NotFreezableError for a read of a variable after it changed."""
    named = " and ".join(f"{body.nodes[name].op} {name!r}" for name in writers)
    raise NotFreezableError(
        f"{reader.op} {reader.name!r} is needed by the outputs and reads variable "
        f"{variable!r} after {named} changed it, which a "
        "constant cannot follow; choose an output that does not wait for the change, "
        "or bind= the placeholder that switches training off"
    )
