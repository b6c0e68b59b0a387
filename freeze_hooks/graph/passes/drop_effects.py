"""Removes prints, asserts and summaries from conditionals and loops."""

from __future__ import annotations

from ..body import Body
from ..functions import Library, branches_of
from ..ops import BRANCHING
from ..prune import prune
from .fold import put_branches


def drop_effects(body: Body, library: Library) -> bool:
    """Remove what no output needs from the functions of conditionals and loops, in place.

    A function runs all its stateful ops, even if no output needs them. Arguments that only
    these ops take are removed too.

    Returns:
      Whether anything was removed.
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
