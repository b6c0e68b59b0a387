"""What the outputs need of a graph once the updates of its variables are taken out of it."""

from __future__ import annotations

import dataclasses
from typing import List, Mapping, Sequence

from ..graph.assignments import settle_assigns
from ..graph.body import Body
from ..graph.drop_effects import drop_effects
from ..graph.fold import simplify
from ..graph.follow_writes import follow_assignments
from ..graph.functions import Library
from ..graph.prune import prune
from ..graph.read_after_write import after_writes, refuse_reads_after_writes
from ..graph.ref_aliasing import late_readers, refuse_late_reads
from ..graph.state import changed_in_a_run, refuse_unreturned
from ..graph.tables import refuse_lookups_after_changes, upgrade_tables
from ..graph.variables import may_change
from ..graph.walks import above
from .spec import FreezeSpec


@dataclasses.dataclass(frozen=True)
class Reduced:
    """A body without updates.

    Attributes:
      body: what the outputs need.
      settled: names of the assignments among that, which are computations now.
      changed: {variable or table: the op} of what changes when the training graph is asked for
        the outputs.
    """

    body: Body
    settled: List[str]
    changed: Mapping[str, str]


def without_updates(
    body: Body,
    moved: Mapping[str, str],
    library: Library,
    spec: FreezeSpec,
    one_call: bool = False,
    fed: Sequence[str] = (),
) -> Reduced:
    """Take out of a graph what only updates variables, once binding has folded it.

    Args:
      body: the graph.
      moved: the tensors that are replaced, by those that take their place.
      library: its functions.
      spec: what is asked of it.
      one_call: it is that of a function, in which what is read after an assignment is that.
      fed: variables that are inputs, of which the same is true.

    Raises:
      NotFreezableError: what they need of a variable or table may be what it is changed to.
    """
    reached = above(body.nodes, [*body.outputs, *spec.runs])
    if not (spec.kept or spec.targets or may_change(body.nodes[name].op for name in reached)):
        reduced = simplify(prune(body, moved), library)
        refuse_unreturned(reduced, body, library, fed)
        return Reduced(reduced, [], {})
    original = body
    changed = {} if spec.kept else changed_in_a_run(body, moved, library, spec.runs)
    body.awaited = after_writes(body, spec.kept)
    body.late = late_readers(body)
    body = simplify(prune(body, moved, keep_order=True), library)
    if one_call or fed:
        follow_assignments(body, library, None if one_call else fed)
        body = prune(body, keep_order=True)
    refuse_unreturned(body, original, library, fed)
    upgrade_tables(body.nodes.values())
    refuse_reads_after_writes(body, library, spec.kept)
    refuse_lookups_after_changes(body)
    refuse_late_reads(body, spec.kept)
    body = prune(body, keep_order=spec.kept is not None, in_place=True)
    if spec.kept is None and drop_effects(body, library):
        body = prune(body, in_place=True)
    return Reduced(body, settle_assigns(body, spec.kept), changed)
