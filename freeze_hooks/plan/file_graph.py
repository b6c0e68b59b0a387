"""Passes that turn the finished graph into the bytes of a file, and report problems."""

from __future__ import annotations

from ..graph.lint import Asked, lint
from ..graph.names import tensor_name
from ..graph.passes.function_names import named_by_content
from ..graph.passes.lower import lower
from ..graph.pipelines import cuts
from .draft import Draft
from .formats import SavedModel, format_of
from .pieces import pieces


def lower_control_flow(draft: Draft) -> None:
    """Replace If, Case and While by TensorFlow 1's control flow, if requested or needed."""
    if draft.spec.file.lower_control_flow or format_of(draft.spec.file.format).lowers:
        lower(draft.body, draft.library)
        draft.keep_needed()


def find_functions(draft: Draft) -> None:
    """Find the functions that the graph needs."""
    draft.functions = draft.library.used_by(draft.body.nodes.values())
    draft.inner = [draft.library.named_body(f.signature.name) for f in draft.functions]


def note_request(draft: Draft) -> None:
    """Note how the graph is to be frozen; the findings' remedies depend on it."""
    spec, inputs, outputs = draft.spec, draft.inputs, draft.outputs
    away = cuts(draft.body, draft.inner, draft.originals, draft.shape_of)
    changed = draft.changed
    draft.asked = Asked(
        {
            end.key: draft.named_inputs.get(end.key, tensor_name(end.tensor))
            for end in inputs
            if end.tensor in away.needed
        },
        draft.unasked,
        draft.unused,
        {end.batch for end in inputs if end.batch},
        draft.one_call or bool(spec.runs),
        draft.updates,
        away.tensors,
        {v.node: changed[v.node] for v in draft.slots.values() if v.node in changed},
        {end.key: tensor for end, (_, tensor) in zip(outputs, spec.outputs)},
    )


def name_functions(draft: Draft) -> None:
    """Name functions after their content, so that equal graphs make equal files."""
    draft.functions, draft.inner = named_by_content(
        draft.body.nodes.values(), draft.functions, draft.inner
    )


def write_pieces(draft: Draft) -> None:
    """Write the graph as bytes, with gaps for the slots."""
    form, restoring, places = draft.spec.file.format, draft.restoring, {}
    if restoring is not None and isinstance(form, SavedModel) and form.links:
        places = {restoring.keys: False, restoring.slices: True}
    written = pieces(
        draft.body,
        draft.slots,
        draft.functions,
        draft.graph_def,
        draft.spec.devices,
        places,
        draft.narrowed,
    )
    draft.pieces = tuple(written)


def find_problems(draft: Draft) -> None:
    """Find what makes the file give wrong answers, or run only where the graph was trained."""
    draft.findings = tuple(lint([draft.body, *draft.inner], draft.asked))
