"""Folds conditionals with a known predicate, such as a bound `is_training`: dead nodes go."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

import numpy as np

from ..._protos import DT_INT32, AttrValue, to_tensor
from ...errors import NotFreezableError
from ..body import Body, data_inputs
from ..constant_values import truth, value_of
from ..functions import Library, branches_of
from ..names import CONTROL, join, split
from ..ops import BRANCHING, CASES, ENTERS, IFS, MERGES, NEXT_ITERATIONS, SWITCHES, WHILES
from ..prune import prune
from ..walks import consumers
from .inline import Trail, inline_calls
from .unused_arguments import drop_unused, drop_unused_invariants


def simplify(body: Body, library: Library, path: Tuple[str, ...] = ()) -> Body:
    """Inline calls, fold conditionals with known predicates and prune, until nothing changes.

    Branches and loop bodies that stay are simplified too, as new functions of the library.

    Args:
      body: the graph, pruned; it is changed.
      library: its functions.
      path: names of the functions through which this body is called.

    Raises:
      NotFreezableError: an output can never be computed, or a function is recursive.
    """
    trail = Trail(path)
    while True:
        inlined = inline_calls(body, library, trail)
        folded = _fold_switches(body)
        chosen = _fold_branching(body)
        if not (inlined or folded or chosen):
            break
        body = prune(body, keep_order=True)
    branching = [node for node in body.nodes.values() if node.op in BRANCHING]
    for node in branching:
        _simplify_branches(node, body, library, trail)
    if branching:
        body = prune(body, keep_order=True)
    return body


def _fold_switches(body: Body) -> bool:
    """Fold v1 conditionals: Switch and Merge with a known predicate."""
    switches = {}
    for node in body.nodes.values():
        if node.op in SWITCHES:
            known = truth(value_of(body, node.input[1]))
            if known is not None:
                switches[node.name] = int(known)
    if not switches:
        return False
    dead = _dead_tensors(body, switches)
    for text in body.outputs:
        if split(text) in dead:
            raise NotFreezableError(
                f"output {text!r} is in a branch that the bound values never take"
            )
    moved: Dict[str, str] = {}
    gone: Dict[str, List[str]] = {}
    for node in list(body.nodes.values()):
        if (node.name, CONTROL) in dead:
            del body.nodes[node.name]
            gone["^" + node.name] = []
        elif node.name in switches:
            moved[join(node.name, 1)] = node.name
            _become_identity(node, [node.input[0]])
        elif node.op in MERGES:
            _shrink_merge(body, node, dead, moved)
    body.rewire(moved)
    # a Merge, or another effect of a function, also runs if a node that it waits for is dead
    body.rewire_controls(gone)
    return True


def _dead_tensors(body: Body, switches: Mapping[str, int]) -> Set[Tuple[str, int]]:
    """Return (node, port) of each tensor that is never computed; CONTROL: the node never runs."""
    users = consumers(body.nodes)
    dead: Set[Tuple[str, int]] = {(name, 1 - port) for name, port in switches.items()}
    stack = list(dead)
    while stack:
        name, port = stack.pop()
        for user, index in users.get(name, ()):
            if (user.name, CONTROL) in dead or split(user.input[index])[1] != port:
                continue
            if user.op in MERGES and not _merge_dies(body, user, dead):
                continue
            ports = {
                split(text)[1] for node, i in users.get(user.name, ()) for text in [node.input[i]]
            }
            wanted = {p for n, p in map(split, body.outputs) if n == user.name}
            fresh = {(user.name, p) for p in ports | wanted | {0, CONTROL}} - dead
            dead |= fresh
            stack.extend(fresh)
    return dead


def _merge_dies(body: Body, merge: Any, dead: Set[Tuple[str, int]]) -> bool:
    inputs = data_inputs(merge)
    loop = [text for text in inputs if body.nodes[split(text)[0]].op in ENTERS]
    looping = any(body.nodes[split(text)[0]].op in NEXT_ITERATIONS for text in inputs)
    return all(split(text) in dead for text in (loop if looping and loop else inputs))


def _shrink_merge(
    body: Body, merge: Any, dead: Set[Tuple[str, int]], moved: Dict[str, str]
) -> None:
    inputs = data_inputs(merge)
    alive = [i for i, text in enumerate(inputs) if split(text) not in dead]
    if len(alive) == len(inputs):
        return
    index = join(merge.name, 1)
    if len(alive) == 1:
        value = AttrValue(tensor=to_tensor(alive[0], DT_INT32))
        which = body.add(
            "Const", merge.name + "/value_index", value=value, dtype=AttrValue(type=DT_INT32)
        )
        moved[index] = which.name
        _become_identity(merge, [inputs[alive[0]]])
        return
    if index in body.outputs or any(index in node.input for node in body.nodes.values()):
        raise NotFreezableError(
            f"{merge.name!r} loses some of its inputs, but its value_index is needed"
        )
    del merge.input[:]
    merge.input.extend(inputs[i] for i in alive)
    merge.attr["N"].i = len(alive)


def _become_identity(node: Any, inputs: List[str]) -> None:
    controls = [text for text in node.input if text.startswith("^")]
    node.op = "RefIdentity" if node.op.startswith("Ref") else "Identity"
    del node.input[:]
    node.input.extend(inputs + controls)
    if "N" in node.attr:
        del node.attr["N"]


def _fold_branching(body: Body) -> bool:
    """Turn If and Case with a known selector into a call of the chosen branch."""
    changed = False
    for node in body.nodes.values():
        if node.op in IFS or node.op in CASES:
            branch = _chosen(node, value_of(body, node.input[0]))
            if branch is not None:
                node.op = "PartitionedCall"
                del node.input[0]
                node.attr["f"].func.CopyFrom(branch)
                changed = True
    return changed


def _chosen(node: Any, selector: Any) -> Optional[Any]:
    if node.op in IFS:
        known = truth(selector)
        return None if known is None else node.attr["then_branch" if known else "else_branch"].func
    if selector is None or np.size(selector) != 1:
        return None
    branches = node.attr["branches"].list.func
    index = int(np.reshape(selector, ()))
    return branches[index if 0 <= index < len(branches) else len(branches) - 1]


def _roles(node: Any) -> List[str]:
    if node.op in CASES:
        return [f"branch_{i}" for i in range(len(node.attr["branches"].list.func))]
    return ["then", "else"] if node.op in IFS else ["cond", "body"]


def _simplify_branches(node: Any, body: Body, library: Library, trail: Trail) -> None:
    funcs = branches_of(node)
    paths = [trail.through(node.name, func.name) for func in funcs]
    branches = [library.body(func.name, func.attr) for func in funcs]
    offset = 0 if node.op in WHILES else 1
    inputs = data_inputs(node)[offset:]
    fixed = _fixed_args(node, branches, len(inputs))
    known = {
        i: body.nodes[split(inputs[i])[0]] for i in fixed if value_of(body, inputs[i]) is not None
    }
    known = {i: const for i, const in known.items() if const.op == "Const"}
    branches = [
        simplify(prune(_with_known(branch, known), keep_order=True), library, path)
        for branch, path in zip(branches, paths)
    ]
    put_branches(node, branches, body, library)


def put_branches(node: Any, branches: List[Body], body: Body, library: Library) -> None:
    """Give an If, Case or While new functions, and drop arguments that these do not use."""
    if node.op in WHILES:
        drop_unused_invariants(node, branches, body)
    else:
        drop_unused(node, branches)
    for role, func, branch in zip(_roles(node), branches_of(node), branches):
        # named after the node, since traces number their functions
        func.name = library.add(f"{node.name.rsplit('/', 1)[-1]}_{role}", branch)
        func.attr.clear()


def _fixed_args(node: Any, branches: List[Body], count: int) -> List[int]:
    """Return arguments that are the same in each run: of a loop, those that it returns as given."""
    if node.op not in WHILES:
        return list(range(count))
    args, outputs = list(branches[1].args), branches[1].outputs
    return [i for i in range(count) if outputs[i] == args[i]]


def _with_known(branch: Body, known: Mapping[int, Any]) -> Body:
    outputs = list(branch.outputs)  # a loop must still return its arguments
    moved = {}
    for i, arg in enumerate(branch.args):
        if i in known:
            const = known[i]
            moved[arg] = branch.add("Const", arg + "/known", **dict(const.attr)).name
    branch.rewire(moved)
    return dataclasses.replace(branch, outputs=outputs)
