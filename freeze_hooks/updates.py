"""What the outputs need of a graph once the updates of its variables are taken out of it."""

from __future__ import annotations

from typing import List, Mapping, Tuple

from .graph.assigns import settle_assigns
from .graph.body import Body, prune
from .graph.fold import simplify
from .graph.functions import Library
from .graph.memory import late_readers, refuse_late_reads
from .graph.order import above, after_writes, follow_assignments, refuse_reads_after_writes
from .graph.tables import refuse_lookups_after_changes, upgrade_tables
from .graph.variables import may_change
from .spec import FreezeSpec


def without_updates(
    body: Body, moved: Mapping[str, str], library: Library, spec: FreezeSpec, one_call: bool
) -> Tuple[Body, List[str]]:
    """What the outputs need once binding has folded it, and the assignments among that, by name.

    Raises:
      NotFreezableError: what they need of a variable or table may be what it is changed to.
    """
    reached = above(body, body.outputs)
    if not (spec.kept or spec.targets or may_change(body.nodes[name].op for name in reached)):
        return simplify(prune(body, moved), library), []
    body.awaited = after_writes(body, spec.kept)
    body.late = late_readers(body)
    body = simplify(prune(body, moved, keep_order=True), library)
    if one_call:
        follow_assignments(body)
        body = prune(body, keep_order=True)
    upgrade_tables(body.nodes.values())
    refuse_reads_after_writes(body, library, spec.kept)
    refuse_lookups_after_changes(body)
    refuse_late_reads(body, spec.kept)
    body = prune(body, keep_order=spec.kept is not None, in_place=True)
    return body, settle_assigns(body, spec.kept)
