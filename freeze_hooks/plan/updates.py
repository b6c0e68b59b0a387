"""Passes that remove updates of variables and tables from a graph.

A file holds fixed values. An update that the outputs do not need is left out. An update whose
result is clear becomes a computation. Any other update is refused.
"""

from __future__ import annotations

from typing import Callable, Tuple

from ..graph.passes.assignments import compute_assigns
from ..graph.passes.drop_effects import drop_effects
from ..graph.passes.fed_state import changed_in_a_run, refuse_unreturned
from ..graph.passes.fold import simplify
from ..graph.passes.follow_writes import follow_assignments
from ..graph.passes.freeze_tables import upgrade_tables
from ..graph.prune import prune
from ..graph.read_after_write import after_writes, refuse_reads_after_writes
from ..graph.ref_aliasing import memory_readers, refuse_reads_of_changed_memory
from ..graph.tables import refuse_lookups_after_changes
from ..graph.variables import may_change
from ..graph.walks import above
from .draft import Draft


def take_out_updates(draft: Draft) -> None:
    """Keep only what the outputs need, with calls inlined and known conditionals folded.

    Raises:
      NotFreezableError: the outputs may read a variable or table after it changed.
    """
    for apply in WITH_UPDATES if _may_update(draft) else WITHOUT_UPDATES:
        apply(draft)


def _may_update(draft: Draft) -> bool:
    spec, body = draft.spec, draft.body
    if spec.kept or spec.targets:
        return True
    reached = above(body.nodes, [*body.outputs, *spec.runs])
    return may_change(body.nodes[name].op for name in reached)


def simplify_unordered(draft: Draft) -> None:
    """Inline, fold and prune; control inputs do not matter, since nothing changes."""
    draft.body = simplify(prune(draft.body, draft.moved), draft.library)


def note_changes(draft: Draft) -> None:
    """Note which variables and tables change when the outputs are computed."""
    if not draft.spec.kept:
        draft.changed = changed_in_a_run(draft.body, draft.moved, draft.library, draft.spec.runs)


def mark_order(draft: Draft) -> None:
    """Mark the nodes whose control inputs tell if they run before or after a change."""
    body = draft.body
    draft.body = body.in_order(after_writes(body, draft.spec.kept), memory_readers(body))


def simplify_in_order(draft: Draft) -> None:
    """Inline, fold and prune; nodes that take a variable keep their control inputs."""
    draft.body = simplify(prune(draft.body, draft.moved, keep_order=True), draft.library)


def follow_updates(draft: Draft) -> None:
    """Make reads after an assignment use the assigned value.

    This is done in a function, and for fed variables. A training graph may run in part, so there
    these reads are refused.
    """
    if draft.one_call or draft.fed_variables:
        among = None if draft.one_call else draft.fed_variables
        follow_assignments(draft.body, draft.library, among)
        draft.body = prune(draft.body, keep_order=True)


def refuse_unchanged_returns(draft: Draft) -> None:
    """Refuse an output that is a fed variable, unless the run gives it a clear new value."""
    refuse_unreturned(draft.body, draft.graph_def.node, draft.library, draft.fed_variables)


def make_tables_resources(draft: Draft) -> None:
    """Turn lookup tables that are references into resources."""
    upgrade_tables(draft.body.nodes.values())


def refuse_changed_reads(draft: Draft) -> None:
    """Refuse a read of a variable after a change of the variable."""
    refuse_reads_after_writes(draft.body, draft.library, draft.spec.kept)


def refuse_changed_lookups(draft: Draft) -> None:
    """Refuse a look-up in a table after a change of the table."""
    refuse_lookups_after_changes(draft.body)


def refuse_changed_memory(draft: Draft) -> None:
    """Refuse a use of a reference variable's memory after a change of the variable."""
    refuse_reads_of_changed_memory(draft.body, draft.spec.kept)


def drop_order(draft: Draft) -> None:
    """Prune, and drop the control inputs that only told the order."""
    draft.keep_needed()


def drop_reports(draft: Draft) -> None:
    """Remove prints, asserts and summaries from conditionals and loops."""
    if draft.spec.kept is None and drop_effects(draft.body, draft.library):
        draft.keep_needed()


def compute_updates(draft: Draft) -> None:
    """Turn the assignments that the outputs need into computations."""
    draft.updates = compute_assigns(draft.body, draft.spec.kept)


Pass = Callable[[Draft], None]
# For graphs in which nothing that the outputs need may change a variable or table:
WITHOUT_UPDATES: Tuple[Pass, ...] = (simplify_unordered, refuse_unchanged_returns)
WITH_UPDATES: Tuple[Pass, ...] = (
    note_changes,  # before any pruning, which removes updates
    mark_order,  # before the first pruning, which looks at the marks
    simplify_in_order,  # before the rest, so that no read is hidden in a called function
    follow_updates,  # before refuse_changed_reads: a read that it resolves is not refused
    refuse_unchanged_returns,  # after follow_updates, which resolves reads of fed variables
    make_tables_resources,  # before refuse_changed_lookups, which knows only resources
    refuse_changed_reads,  # these three need the control inputs that drop_order removes
    refuse_changed_lookups,
    refuse_changed_memory,
    drop_order,
    drop_reports,
    compute_updates,  # last: only assignments that are still needed must be clear
)
