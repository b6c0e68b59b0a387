"""A FreezePlan: the structure of a frozen graph, compiled once into bytes with gaps for values.

`PASSES` lists what happens to the graph of each signature, in order; `PASSES_OF_FILE` what happens
to the graph of the whole file.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from ..errors import TooLargeError
from ..graph.body import Body
from ..graph.endpoints import Shape
from ..graph.tables import Table
from ..signature import Signature, output_tensors
from .draft import Draft, Part
from .file_graph import (
    find_functions,
    find_problems,
    lower_control_flow,
    name_functions,
    note_request,
    write_pieces,
)
from .file_options import FileOptions
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
from .one_graph import one_graph
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

# The passes of each signature run in this order; a comment says why a pass stands where it does.
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
    complete_inputs,  # after the last pruning, so that only needed placeholders count
    fit_outputs_to_inputs,  # after complete_inputs, since it looks at all inputs
    find_functions,
    note_request,
    name_functions,  # after all changes of functions, since names depend on their content
)
# Then the signatures' graphs become one, and these run on it. The others looked up names of the
# training graph, which name_ends changes.
PASSES_OF_FILE: Tuple[Callable[[Draft], None], ...] = (
    name_ends,
    keep_variables,  # after all pruning, since no output needs the ops that restore
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

    A spec with several signatures gives one plan, whose graph has each variable once.

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
    parts = {
        key: Part(graph_def, one, shape_of, stranded or {}) for key, one in spec.by_signature()
    }
    return compile_parts(parts, one_call, content_of)


def compile_parts(
    parts: Mapping[str, Part],
    one_call: bool,
    content_of: Optional[Callable[[str], Optional[Table]]] = None,
) -> FreezePlan:
    """Compile the signatures of a file, which may be of different graphs; see `compile_plan`.

    Variables of different graphs are one if they have one name.

    Args:
      parts: what each signature is compiled from, by its key; the first is the main one.
      one_call, content_of: as in `compile_plan`.
    """
    file = next(iter(parts.values())).spec.file.loaded()  # one for all
    plan = _compiled(_with_file(parts, file), one_call, content_of)
    if plan.format == SavedModel(None) and _size(plan) > LIMIT and not plan.optimize:
        form = dataclasses.replace(plan.format, variables=True)
        parts = _with_file(parts, dataclasses.replace(file, format=form))
        size, plan = _size(plan), _compiled(parts, one_call, content_of)
        _say_variables(size)
    _check_size(plan)
    return plan


def _compiled(
    parts: Mapping[str, Part],
    one_call: bool,
    content_of: Optional[Callable[[str], Optional[Table]]],
) -> FreezePlan:
    drafts: Dict[str, Draft] = {}
    for key, part in parts.items():
        drafts[key] = Draft.of(part, one_call, content_of)
        for apply in PASSES:
            apply(drafts[key])
    whole = one_graph(drafts)
    for apply in PASSES_OF_FILE:
        apply(whole)
    return _plan_of(whole)


def _with_file(parts: Mapping[str, Part], file: FileOptions) -> Dict[str, Part]:
    return {
        key: dataclasses.replace(part, spec=dataclasses.replace(part.spec, file=file))
        for key, part in parts.items()
    }


def _say_variables(size: int) -> None:
    from .. import _tf  # who writes a file has TensorFlow; who looks at a graph need not

    _tf.info(f"SavedModels keep variables: with constants, the graph would have {size:,} bytes")


def _plan_of(draft: Draft) -> FreezePlan:
    spec = draft.spec
    signatures = {
        key: Signature(tuple(map(tensor_info, inputs)), tuple(map(tensor_info, outputs)))
        for key, (inputs, outputs) in draft.signatures.items()
    }
    return FreezePlan(
        draft.pieces,
        signatures,
        draft.findings,
        histogram([draft.body, *draft.inner]),
        spec.file.optimize,
        spec.file.check_numerics,
        _warmed(format_of(spec.file.format), next(iter(signatures.values()))),
        draft.restoring,
        carried=spec.file.carried,
    )


def _warmed(form: Format, signature: Signature) -> Format:
    """Fit the feeds of a warm-up request to the inputs."""
    if not isinstance(form, SavedModel) or form.warmup is None:
        return form
    return dataclasses.replace(form, warmup=fitted(form.warmup, signature))


def plan_frozen(graph_def: Any, plan: FreezePlan) -> FreezePlan:
    """Return a plan without slots for a graph with the same ends as `plan`."""
    nodes = {node.name: node for node in graph_def.node}
    body = Body(nodes, output_tensors(plan.signatures.values()))
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
    smaller = ', weights="float16" or "bfloat16"'
    if not isinstance(plan.format, SavedModel):
        return f'{smaller}, or format="saved_model"'
    return f"{smaller}, or variables=True" if plan.format.variables is False else smaller


def _size(plan: FreezePlan) -> int:
    return plan.graph_bytes + plan.inner_bytes + _DESCRIPTION
