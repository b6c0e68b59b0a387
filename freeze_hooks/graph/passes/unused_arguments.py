"""Removes arguments of conditionals and loops that their functions do not use."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Set

from ..body import UNSET, Body, data_inputs
from ..names import join, split
from ..ops import ARG


def drop_unused(node: Any, branches: Sequence[Body]) -> None:
    """Remove arguments that no branch uses from an If or Case, in place.

    A variable that only such an argument needs then stays out of the file.
    """
    inputs = list(node.input)
    types = list(node.attr["Tin"].list.type)
    names = list(zip(*(b.args for b in branches)))
    used = [
        any(arg in b.nodes and b.nodes[arg].op == ARG for arg, b in zip(args, branches))
        for args in names
    ]
    if all(used):
        return
    kept_inputs = [text for text, keep in zip(inputs[1:], used) if keep]
    node.input[:] = inputs[:1] + kept_inputs + inputs[1 + len(used) :]
    node.attr["Tin"].list.type[:] = [t for t, keep in zip(types, used) if keep]
    for position, branch in enumerate(branches):
        kept = {args[position] for args, keep in zip(names, used) if keep}
        branch.args = {arg: dtype for arg, dtype in branch.args.items() if arg in kept}


def drop_unused_invariants(node: Any, functions: Sequence[Body], body: Body) -> None:
    """Remove arguments that a While does not use and its body returns unchanged, in place.

    A variable or constant that nothing else needs then stays out of the file. Users of such an
    output of the loop take the loop's input instead, and the other outputs move up.

    Args:
      node: the While.
      functions: its condition and its body.
      body: where the While is.
    """
    unused = _unused_invariants(*functions)
    count = len(functions[1].args)
    if not unused or len(unused) == count:
        return
    inputs = data_inputs(node)
    controls = list(node.input)[count:]
    left = [i for i in range(count) if i not in unused]
    moved = {join(node.name, i): inputs[i] for i in unused}
    moved.update((join(node.name, i), join(node.name, new)) for new, i in enumerate(left))
    node.input[:] = [inputs[i] for i in left] + controls
    node.attr["T"].list.type[:] = [node.attr["T"].list.type[i] for i in left]
    _keep_shapes(node, left)
    for function in functions:
        names = list(function.args)
        function.args = {names[i]: function.args[names[i]] for i in left}
        for i in unused:
            function.nodes.pop(names[i], None)
    step = functions[1]
    step.outputs = [step.outputs[i] for i in left]
    step.rets = tuple(step.rets[i] for i in left)
    _replace(body, moved)


def _unused_invariants(condition: Body, step: Body) -> List[int]:
    asked = _used(condition) | {split(text)[0] for text in condition.outputs}
    used = _used(step)
    pairs = enumerate(zip(condition.args, step.args, step.outputs))
    return [
        i
        for i, (question, given, returned) in pairs
        if question not in asked and given not in used and returned == given
    ]


def _used(function: Body) -> Set[str]:
    """Return what a function's nodes use, or what it returns at another index."""
    found = {split(text)[0] for node in function.nodes.values() for text in node.input}
    moved = (text for text, arg in zip(function.outputs, function.args) if text != arg)
    return found | {split(text)[0] for text in moved}


def _keep_shapes(node: Any, left: Sequence[int]) -> None:
    shapes = list(node.attr.get("output_shapes", UNSET).list.shape)
    if shapes:
        del node.attr["output_shapes"].list.shape[:]
        node.attr["output_shapes"].list.shape.extend(shapes[i] for i in left)


def _replace(body: Body, moved: Dict[str, str]) -> None:
    """Replace each tensor once, since an output may move to the place of another that moves."""
    for node in body.nodes.values():
        for i, text in enumerate(node.input):
            if text in moved:
                node.input[i] = moved[text]
    body.outputs = [moved.get(text, text) for text in body.outputs]
