"""A FreezePlan: the structure of a frozen graph, compiled once into bytes with gaps for values.

`PASSES` lists what happens to a graph, in order.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Mapping, Optional, Tuple

from ..errors import TooLargeError
from ..graph.body import Body
from ..graph.endpoints import Shape
from ..graph.tables import Table
from ..signature import Signature
from .browser import fit_browser, fitted_to_browser
from .draft import Draft
from .file_graph import (
    find_functions,
    find_problems,
    lower_control_flow,
    name_functions,
    note_request,
    write_pieces,
)
from .formats import Format, SavedModel, format_of
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
    keep_variables,
    make_slots,
    narrow_slots,
    refuse_inner_variables,
)
from .spec import FreezeSpec
from .summary import histogram, tensor_info
from .types import LIMIT, FreezePlan
from .updates import take_out_updates
from .warmup import fitted

_DESCRIPTION = 1 << 16  # bytes kept free for the description, whose length varies

# The passes run in this order; a comment says why a pass stands where it does.
PASSES: Tuple[Callable[[Draft], None], ...] = (
    find_outputs,  # before passes add nodes, which users cannot mean
    cut_inputs,
    return_fed_variables,  # after cut_inputs, which finds the fed variables
    bind_values,
    take_out_updates,  # after all cuts, so that less is left; also a list, see updates.py
    refuse_unguarded_inputs,  # after folding, which removes conditionals around inputs
    make_slots,  # after take_out_updates, since no op may change a variable here
    type_outputs,  # before feed_slots, which removes slots
    feed_slots,
    fill_tables,
    refuse_inner_variables,
    narrow_slots,  # after all slots are made
    drop_unneeded,
    lower_control_flow,  # after make_slots, so that no function takes a variable
    fit_browser,  # after lower_control_flow, which adds nodes; with the names that users know
    complete_inputs,  # after the last pruning, so that only needed placeholders count
    fit_outputs_to_inputs,  # after complete_inputs, since it looks at all inputs
    keep_variables,  # after all pruning, since no output needs the ops that restore
    find_functions,
    note_request,  # before name_ends, since it looks up names of the training graph
    name_ends,
    name_functions,  # after all changes of functions, since names depend on their content
    write_pieces,
    find_problems,  # last, since it reports the names in the file
)


def compile_plan(
    graph_def: Any,
    spec: FreezeSpec,
    shape_of: Callable[[str], Shape],
    one_call: bool = False,
    content_of: Optional[Callable[[str], Optional[Table]]] = None,
    stranded: Optional[Mapping[str, str]] = None,
) -> FreezePlan:
    """Compile a training graph into the plan of the frozen file that `spec` asks for.

    Args:
      graph_def: the graph's GraphDef; it is not changed.
      spec: outputs, inputs and bound values.
      shape_of: returns the static shape of a tensor of the graph, given its full name.
      one_call: whether the graph is a function's. In a function, a read after an assignment gives
        the assigned value. A training graph may run in part, so there these reads are refused.
      content_of: returns the content of a static lookup table, see `freeze_tables`; without it
        tables stay as they are.
      stranded: {placeholder: why a file cannot hold what it stands for}.

    Raises:
      UnknownNameError: spec names a tensor the graph lacks.
      NotFreezableError: the outputs need something that a frozen file cannot hold.
      TooLargeError: the file would pass 2 GiB.
    """

    def compiled(asked: FreezeSpec) -> FreezePlan:
        draft = Draft.of(graph_def, asked, shape_of, one_call, content_of, stranded)
        for apply in PASSES:
            apply(draft)
        return _plan_of(draft)

    plan = compiled(spec)
    if plan.format == SavedModel(None) and _size(plan) > LIMIT and not plan.optimize:
        form = dataclasses.replace(plan.format, variables=True)
        file = dataclasses.replace(spec.file, format=form)
        size, plan = _size(plan), compiled(dataclasses.replace(spec, file=file))
        _say_variables(size)
    _check_size(plan)
    return plan


def _say_variables(size: int) -> None:
    from .. import _tf  # who writes a file has TensorFlow; who looks at a graph need not

    _tf.info(f"SavedModels keep variables: with constants, the graph would have {size:,} bytes")


def _plan_of(draft: Draft) -> FreezePlan:
    spec = draft.spec
    inputs, outputs = (tuple(map(tensor_info, ends)) for ends in (draft.inputs, draft.outputs))
    signature = Signature(inputs, outputs)
    return FreezePlan(
        draft.pieces,
        signature,
        draft.findings,
        histogram([draft.body, *draft.inner]),
        spec.file.optimize,
        spec.file.check_numerics,
        _warmed(format_of(spec.file.format), signature),
        draft.restoring,
    )


def _warmed(form: Format, signature: Signature) -> Format:
    """Fit the feeds of a warm-up request to the inputs."""
    if not isinstance(form, SavedModel) or form.warmup is None:
        return form
    return dataclasses.replace(form, warmup=fitted(form.warmup, signature))


def plan_frozen(graph_def: Any, plan: FreezePlan) -> FreezePlan:
    """Return a plan without slots for a graph with the same ends as `plan`."""
    nodes = {node.name: node for node in graph_def.node}
    body = Body(nodes, [info.tensor for info in plan.signature.outputs])
    fitted_to_browser(body, plan.format)
    functions = sorted(graph_def.library.function, key=lambda f: str(f.signature.name))
    written = tuple(pieces(body, {}, functions, graph_def))
    return dataclasses.replace(plan, pieces=written, optimize=False)


def _check_size(plan: FreezePlan) -> None:
    size = _size(plan)
    if size <= LIMIT:
        return
    raise TooLargeError(
        f"the frozen file would be {size / 1e9:.2f} GB, over the 2.15 GB (2 GiB) that a "
        f"GraphDef can hold; {_largest(plan)}; choose outputs that need less, or inputs= behind "
        f"them{_ways_out(plan)}"
    )


def _largest(plan: FreezePlan) -> str:
    if plan.graph_bytes > plan.inner_bytes:
        return f"its own constants have {plan.graph_bytes / 1e9:.2f} GB (variables can be larger)"
    inner = [slot for slot in plan.slots if slot.key is None]
    largest = sorted(inner, key=lambda s: s.nbytes or 0, reverse=True)[:3]
    named = ", ".join(f"{s.variable.node!r} ({(s.nbytes or 0) / 1e9:.2f} GB)" for s in largest)
    return f"largest variables: {named}"


def _ways_out(plan: FreezePlan) -> str:
    if plan.graph_bytes > plan.inner_bytes:
        return ""
    smaller = ", weights=" + " or ".join(f'"{dtype}"' for dtype in plan.format.narrows)
    if not isinstance(plan.format, SavedModel):
        return f'{smaller}, or format="saved_model"'
    return f"{smaller}, or variables=True" if plan.format.variables is False else smaller


def _size(plan: FreezePlan) -> int:
    return plan.graph_bytes + plan.inner_bytes + _DESCRIPTION
