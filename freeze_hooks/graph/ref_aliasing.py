"""Finds nodes that share a reference variable's memory, and so see later changes of it.

An Identity of a reference does not copy it (identity_op.h). So a user of the Identity sees each
assignment that runs before the user, even if the Identity ran earlier.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, FrozenSet, List, Mapping, Set, Tuple

from .body import Body, data_inputs
from .names import inputs_among, split
from .ops import ALIASING, MERGES, NEXT_ITERATIONS, SWITCHES, plain_op
from .prune import prune
from .read_after_write import refuse
from .variables import Kept, Variable, changes, handed, variables_of
from .walks import above, topological

Sides = FrozenSet[Tuple[str, int]]  # branches that a node is in: (predicate, port)
Held = Set[Tuple[str, Sides]]  # variables, and the branches that their memory came through
_NOWHERE: Sides = frozenset()


@dataclasses.dataclass
class _Uses:
    """Which nodes use the memory of reference variables, and which change it."""

    readers: Dict[str, Held]
    writers: Dict[str, Set[str]]
    sides: Dict[str, Sides]


def memory_readers(body: Body) -> Set[str]:
    """Return nodes that use a reference variable's memory, if outputs may wait for its change."""
    nodes = {name: body.nodes[name] for name in above(body.nodes, body.outputs)}
    uses = _uses(Body(nodes, body.outputs), None)
    changed: Set[str] = set().union(*uses.writers.values())
    return {n for n, held in uses.readers.items() if changed & {variable for variable, _ in held}}


def refuse_reads_of_changed_memory(body: Body, kept: Kept = None) -> None:
    """Check that no needed node uses a reference variable's memory after it changed.

    Nodes of `memory_readers` must still have their control inputs. `compute_assigns` handles
    changes whose results the outputs use. Variables that are `kept` may change.

    Raises:
      NotFreezableError: there is such a use; names the use, the changes and the variable.
    """
    uses = _uses(body, kept)
    needed: Mapping[str, Any] = prune(body).nodes if uses.writers else {}
    writers = {name: changed for name, changed in uses.writers.items() if name not in needed}
    for name in sorted(needed.keys() & uses.readers.keys()):
        for variable, way in sorted(uses.readers[name], key=lambda held: held[0]):
            may = [
                writer
                for writer, changed in writers.items()
                if variable in changed and not _exclude(uses.sides[writer], way)
            ]
            before = above(body.nodes, body.nodes[name].input) if may else {}
            found = [
                writer
                for writer in may
                if writer in before and not _puts_back(body, name, writer, variable)
            ]
            if found:
                refuse(body, body.nodes[name], variable, found)


def _puts_back(body: Body, reader: str, writer: str, variable: str) -> bool:
    """Return whether an Assign changes nothing in the runs in which a node sees the variable.

    This is so if the node sees the variable only through the tensor that is assigned. An example
    is a loop that starts with the variable and runs no iteration.
    """
    if body.nodes[writer].op != "Assign":
        return False
    assigned = split(body.nodes[writer].input[1])
    stack = [split(text) for text in data_inputs(body.nodes[reader])]
    seen = {assigned}
    while stack:
        tensor = stack.pop()
        if tensor[0] == variable:
            return False
        node = body.nodes[tensor[0]]
        if tensor not in seen and plain_op(node.op) in ALIASING:
            stack += [split(text) for text in data_inputs(node)]
        seen.add(tensor)
    return True


def _exclude(one: Sides, other: Sides) -> bool:
    """Return whether the two never run together."""
    return any((predicate, 1 - port) in other for predicate, port in one)


def _uses(body: Body, kept: Kept) -> _Uses:
    variables = {
        name: variable
        for name, variable in variables_of(body).items()
        if not variable.resource and not (kept and kept(name))
    }
    uses = _Uses({}, {}, {})
    memory: Dict[Tuple[str, int], Held] = {(n, 0): {(n, _NOWHERE)} for n in variables}
    for node in topological(body) if variables else ():
        uses.sides[node.name] = _sides(node, body, uses.sides)
        given = inputs_among(node, memory)
        if given:
            _use(node, body, given, variables, uses, memory)
    for name, port in map(split, body.outputs):
        if name not in variables and (name, port) in memory:
            uses.readers[name] = memory[name, port]
    return uses


def _use(
    node: Any,
    body: Body,
    given: Mapping[int, Held],
    variables: Mapping[str, Variable],
    uses: _Uses,
    memory: Dict[Tuple[str, int], Held],
) -> None:
    if plain_op(node.op) in ALIASING:
        for name, port in handed(node):
            side = _side(node, port, body)
            held = memory.setdefault((name, port), set())
            held.update((v, way | side) for several in given.values() for v, way in several)
        return
    for i, held in given.items():
        written = {v for v, _ in held if changes(node, {i: variables[v]})}
        if written:
            uses.writers.setdefault(node.name, set()).update(written)
            memory[node.name, 0] = {(v, way) for v, way in held if v in written}
        else:
            uses.readers.setdefault(node.name, set()).update(held)


def _side(node: Any, port: int, body: Body) -> Sides:
    """Return the branch that an output of a Switch starts; none for a loop's Switch."""
    if node.op not in SWITCHES:
        return _NOWHERE
    predicate = body.nodes[split(node.input[1])[0]]
    while predicate.op == "Identity":
        predicate = body.nodes[split(predicate.input[0])[0]]
    return _NOWHERE if predicate.op == "LoopCond" else frozenset([(predicate.name, port)])


def _sides(node: Any, body: Body, known: Mapping[str, Sides]) -> Sides:
    """Return the branches that a node is in; a Merge is in those of all its inputs."""
    merges = node.op in MERGES
    several: List[Sides] = []
    for text in data_inputs(node) if merges else node.input:
        name, port = split(text)
        source = body.nodes[name]
        if merges and source.op in NEXT_ITERATIONS:
            continue
        several.append(known.get(name, _NOWHERE) | _side(source, port, body))
    if not several:
        return _NOWHERE
    return frozenset.intersection(*several) if merges else frozenset().union(*several)
