"""Passes that take out of a graph what only updates variables and tables.

A file holds variables as they are. What training changes in them is left out, where the outputs do
not need it; becomes a computation, where its result is clear; and is refused else.
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
    """Leave only what the outputs need, with calls inlined and known conditionals folded.

    Raises:
      NotFreezableError: what they need of a variable or table may be what it is changed to.
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
    """Inline, fold and prune; no control input matters, since nothing changes."""
    draft.body = simplify(prune(draft.body, draft.moved), draft.library)


def note_changes(draft: Draft) -> None:
    """Note which variables and tables a run of the outputs changes; so far, they all are there."""
    if not draft.spec.kept:
        draft.changed = changed_in_a_run(draft.body, draft.moved, draft.library, draft.spec.runs)


def mark_order(draft: Draft) -> None:
    """Mark the nodes whose control inputs tell whether they run before or after a change."""
    body = draft.body
    draft.body = body.in_order(after_writes(body, draft.spec.kept), memory_readers(body))


def simplify_in_order(draft: Draft) -> None:
    """Inline, fold and prune; control inputs of what takes a variable stay."""
    draft.body = simplify(prune(draft.body, draft.moved, keep_order=True), draft.library)


def follow_updates(draft: Draft) -> None:
    """Let reads after an assignment take the assigned value: in a function, and of fed variables.

    In a training graph, which may run in part, such reads are refused.
    """
    if draft.one_call or draft.fed_variables:
        among = None if draft.one_call else draft.fed_variables
        follow_assignments(draft.body, draft.library, among)
        draft.body = prune(draft.body, keep_order=True)


def refuse_unchanged_returns(draft: Draft) -> None:
    """Refuse an output that is a fed variable, unless the run gives it a clear new value."""
    refuse_unreturned(draft.body, draft.graph_def.node, draft.library, draft.fed_variables)


def make_tables_resources(draft: Draft) -> None:
    """Turn tables by reference into tables by handle."""
    upgrade_tables(draft.body.nodes.values())


def refuse_changed_reads(draft: Draft) -> None:
    """Refuse a read of a variable that comes after a change of it."""
    refuse_reads_after_writes(draft.body, draft.library, draft.spec.kept)


def refuse_changed_lookups(draft: Draft) -> None:
    """Refuse a look-up in a table that comes after a change of it."""
    refuse_lookups_after_changes(draft.body)


def refuse_changed_memory(draft: Draft) -> None:
    """Refuse a use of a reference variable's memory that comes after a change of it."""
    refuse_reads_of_changed_memory(draft.body, draft.spec.kept)


def drop_order(draft: Draft) -> None:
    """Prune again, without the control inputs that only told the order."""
    draft.keep_needed()


def drop_reports(draft: Draft) -> None:
    """Take prints, asserts and summaries out of conditionals and loops."""
    if draft.spec.kept is None and drop_effects(draft.body, draft.library):
        draft.keep_needed()


def compute_updates(draft: Draft) -> None:
    """Make computations of the assignments that the outputs need."""
    draft.updates = compute_assigns(draft.body, draft.spec.kept)


Pass = Callable[[Draft], None]
# Where nothing that the outputs can reach may change anything:
WITHOUT_UPDATES: Tuple[Pass, ...] = (simplify_unordered, refuse_unchanged_returns)
WITH_UPDATES: Tuple[Pass, ...] = (
    note_changes,  # before any pruning, which takes away what only training needs
    mark_order,  # before the first pruning too, which goes by the marks
    simplify_in_order,  # before all that follows: only now does each read stand in the graph itself
    follow_updates,  # before reads after changes are refused: those that it follows are none now
    refuse_unchanged_returns,  # after reads of fed variables have followed what is assigned
    make_tables_resources,  # before tables are looked at, so that there is one kind of each op
    refuse_changed_reads,  # these three need the control inputs that drop_order takes away
    refuse_changed_lookups,
    refuse_changed_memory,
    drop_order,
    drop_reports,
    compute_updates,  # last: what is not needed now need not be clear
)
