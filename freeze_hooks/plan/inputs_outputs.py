"""Passes that find the inputs and outputs of the frozen graph, and name them."""

from __future__ import annotations

import dataclasses

from ..errors import NotFreezableError, UnknownNameError
from ..graph import endpoints
from ..graph.endpoints import End
from ..graph.passes import cut, fed_state
from ..graph.suggest_outputs import no_outputs
from .draft import Draft


def find_outputs(draft: Draft) -> None:
    """Look up the tensors that outputs= names."""
    spec, body = draft.spec, draft.body
    if not spec.outputs:
        raise UnknownNameError(no_outputs(body.nodes, draft.shape_of))
    for key, tensor in spec.outputs:
        text, dtype = endpoints.resolve(body.nodes, "outputs", tensor)
        draft.outputs.append(End(key or text, key or text, text, dtype, draft.shape_of(tensor)))
    body.outputs = [end.tensor for end in draft.outputs]


def cut_inputs(draft: Draft) -> None:
    """Replace each tensor that inputs= names by a placeholder; variables stay for now."""
    named = draft.spec.inputs or ()
    draft.inputs, draft.moved = cut.cut(draft.body, named, draft.shape_of)
    draft.named_inputs = {end.key: tensor for end, (_, tensor) in zip(draft.inputs, named)}
    draft.fed_variables = fed_state.fed_variables(draft.body, draft.inputs)


def return_fed_variables(draft: Draft) -> None:
    """Make an output that is a fed variable return its value after the other outputs ran."""
    draft.outputs = fed_state.return_states(
        draft.body, draft.outputs, draft.fed_variables, draft.moved
    )


def bind_values(draft: Draft) -> None:
    """Replace each tensor that bind= names by a constant."""
    draft.moved.update(cut.bind(draft.body, draft.spec.bind, draft.shape_of))


def refuse_unguarded_inputs(draft: Draft) -> None:
    """Refuse an input that replaces a tensor inside a branch of a v1 conditional."""
    endpoints.refuse_unguarded(draft.body, draft.inputs)


def complete_inputs(draft: Draft) -> None:
    """Find the remaining placeholders, and the inputs that nothing needs."""
    left = endpoints.placeholders(draft.body, draft.inputs)
    for end in left:
        if end.tensor in draft.stranded:
            raise NotFreezableError(draft.stranded[end.tensor])
    draft.unused = [end.key for end in draft.inputs if end.tensor not in draft.body.nodes]
    draft.inputs = [end for end in draft.inputs if end.tensor in draft.body.nodes]
    if draft.spec.inputs is None:
        draft.inputs += left
    else:
        draft.unasked = [end.key for end in left]


def fit_outputs_to_inputs(draft: Draft) -> None:
    """Open an output's batch size where an input's is open, and make equal names differ."""
    draft.outputs = endpoints.fit_to_inputs(draft.outputs, draft.inputs, draft.body.outputs)


def name_ends(draft: Draft) -> None:
    """Name inputs and outputs as in the file; other nodes with these names are renamed."""
    renamed = cut.name_ends(draft.body, draft.inputs, draft.outputs, draft.slots)
    draft.slots = {renamed.get(name, name): variable for name, variable in draft.slots.items()}


def type_outputs(draft: Draft) -> None:
    """Give an output that is a resource variable the dtype and shape of the variable's value."""
    frozen = {v.node: v for v in draft.slots.values() if v.resource}
    draft.outputs = [
        dataclasses.replace(end, dtype=frozen[text].dtype, shape=frozen[text].shape)
        if text in frozen
        else end
        for end, text in zip(draft.outputs, draft.body.outputs)
    ]
