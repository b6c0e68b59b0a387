"""Conditionals and loops without what only their side effects need: prints, asserts, summaries."""

from __future__ import annotations

from ..body import Body
from ..functions import Library, branches_of
from ..ops import BRANCHING
from ..prune import prune
from .fold import put_branches


def drop_effects(body: Body, library: Library) -> bool:
    """Take what no output needs from the functions of conditionals and loops, in place.

    A function runs all its ops that have state, whether or not an output needs them. With them go
    the arguments that they alone take.

    Returns:
      Whether there was anything to take.
    """
    changed = False
    for node in [node for node in body.nodes.values() if node.op in BRANCHING]:
        whole = [library.body(func.name, func.attr) for func in branches_of(node)]
        branches = [prune(branch) for branch in whole]
        inner = [drop_effects(branch, library) for branch in branches]
        if any(branch.effects for branch in whole) or any(inner):
            put_branches(node, [prune(branch) for branch in branches], body, library)
            changed = True
    return changed
