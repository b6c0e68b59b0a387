"""A FreezePlan: the structure of a frozen graph, compiled once into bytes with gaps for values.

What happens to a graph, and in which order, stands in `PASSES`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Mapping, Optional, Tuple

from ..errors import TooLargeError
from ..graph.body import Body
from ..graph.endpoints import Shape
from ..graph.tables import Table
from ..signature import Signature
from .draft import Draft
from .file_graph import (
    find_functions,
    find_problems,
    lower_control_flow,
    name_functions,
    note_request,
    write_pieces,
)
from .inputs_outputs import (
    bind_values,
    complete_inputs,
    cut_inputs,
    find_outputs,
    fit_outputs_to_inputs,
    name_ends,
    refuse_unguarded_inputs,
    return_fed_variables,
    type_outputs,
)
from .pieces import pieces
from .slots import (
    drop_unneeded,
    feed_slots,
    fill_tables,
    make_slots,
    narrow_slots,
    refuse_inner_variables,
)
from .spec import FreezeSpec
from .summary import histogram, tensor_info
from .types import LIMIT, FreezePlan
from .updates import take_out_updates

_DESCRIPTION = 1 << 16  # bytes kept free for the description, whose length varies

# What happens to a graph, in this order; a comment says why a pass must stand where it stands.
PASSES: Tuple[Callable[[Draft], None], ...] = (
    find_outputs,  # before nodes are added, which nobody can have meant
    cut_inputs,
    return_fed_variables,  # after cut_inputs, which knows the fed variables
    bind_values,
    take_out_updates,  # after all cuts, which leave less to look at; a list too, see updates.py
    refuse_unguarded_inputs,  # after bound conditionals are folded, in which an input may stand
    make_slots,  # after take_out_updates, since no op that changes a variable may be left
    type_outputs,  # before feed_slots, which takes slots away
    feed_slots,
    fill_tables,
    refuse_inner_variables,
    narrow_slots,  # after all slots are there
    drop_unneeded,
    lower_control_flow,  # after make_slots: no function takes a variable any more
    complete_inputs,  # after the last pruning: only placeholders that are needed count
    fit_outputs_to_inputs,  # after complete_inputs, since it goes by all inputs
    find_functions,
    note_request,  # before name_ends, since it looks up names of the training graph
    name_ends,
    name_functions,  # after all changes of functions, by whose content it names them
    write_pieces,
    find_problems,  # last: it speaks of the file's own names
)


def compile_plan(
    graph_def: Any,
    spec: FreezeSpec,
    shape_of: Callable[[str], Shape],
    one_call: bool = False,
    content_of: Optional[Callable[[str], Optional[Table]]] = None,
    stranded: Optional[Mapping[str, str]] = None,
) -> FreezePlan:
    """Compile what `spec` asks of a training graph.

    Args:
      graph_def: the graph's GraphDef; it is left as it is.
      spec: outputs, inputs and bound values.
      shape_of: gives the static shape of a tensor of the graph by its full name.
      one_call: the graph is that of a function, in which what is read after an assignment is
        what was assigned; in a training graph, which may run in part, such reads are refused.
      content_of: gives the content of static lookup tables, see `freeze_tables`; without it
        tables stay as they are.
      stranded: {placeholder: why a file cannot have what it stands for}.

    Raises:
      UnknownNameError: spec names a tensor the graph lacks.
      NotFreezableError: the outputs need something that a frozen file cannot hold.
      TooLargeError: the file would pass 2 GiB.
    """
    draft = Draft.of(graph_def, spec, shape_of, one_call, content_of, stranded)
    for apply in PASSES:
        apply(draft)
    plan = FreezePlan(
        draft.pieces,
        Signature(tuple(map(tensor_info, draft.inputs)), tuple(map(tensor_info, draft.outputs))),
        draft.findings,
        histogram([draft.body, *draft.inner]),
        spec.optimize,
        spec.check_numerics,
    )
    _check_size(plan)
    return plan


def plan_frozen(graph_def: Any, plan: FreezePlan) -> FreezePlan:
    """A plan without slots of a graph that is `plan`'s otherwise."""
    nodes = {node.name: node for node in graph_def.node}
    body = Body(nodes, [info.tensor for info in plan.signature.outputs])
    functions = sorted(graph_def.library.function, key=lambda f: str(f.signature.name))
    written = tuple(pieces(body, {}, functions, graph_def))
    return dataclasses.replace(plan, pieces=written, optimize=False)


def _check_size(plan: FreezePlan) -> None:
    size = plan.graph_bytes + plan.weight_bytes + _DESCRIPTION
    if size <= LIMIT:
        return
    largest = sorted(plan.slots, key=lambda s: s.nbytes or 0, reverse=True)[:3]
    named = ", ".join(f"{s.variable.node!r} ({(s.nbytes or 0) / 1e9:.2f} GB)" for s in largest)
    raise TooLargeError(
        f"the frozen file would be {size / 1e9:.2f} GB, over the 2.15 GB (2 GiB) that a "
        f"GraphDef can hold; largest variables: {named}; choose outputs that need less, or "
        'inputs= behind them, or weights="float16" or "bfloat16"'
    )
