"""Passes that turn variables and tables into constants; each save fills in their values."""

from __future__ import annotations

from ..errors import NotFreezableError
from ..graph.passes.fed_state import feed_variables
from ..graph.passes.freeze_tables import freeze_tables
from ..graph.passes.freeze_variables import freeze_variables
from ..graph.passes.narrow_weights import narrowed, shrink
from ..graph.passes.restored_variables import restore_variables
from .draft import Draft
from .formats import SavedModel, format_of


def make_slots(draft: Draft) -> None:
    """Turn each variable that is not kept into a slot, and its reads into plain ops."""
    draft.slots = freeze_variables(draft.body, draft.library, draft.spec.kept)


def feed_slots(draft: Draft) -> None:
    """Turn the slots that are inputs into placeholders."""
    feed_variables(draft.body, draft.slots, draft.inputs)


def fill_tables(draft: Draft) -> None:
    """Make each lookup table fill itself: from constants, or from slots if training changes it."""
    if draft.content_of is not None:
        draft.slots.update(freeze_tables(draft.body, draft.content_of))


def refuse_inner_variables(draft: Draft) -> None:
    """Refuse a variable that a function creates, since its value cannot be read."""
    for variable in draft.slots.values():
        if variable.node not in draft.originals:
            raise NotFreezableError(
                f"variable {variable.node!r} is created inside a function, where its value "
                "cannot be read: create it outside"
            )


def narrow_slots(draft: Draft) -> None:
    """Store floating slots as weights= says, and cast them to the variables' dtypes.

    The readers of some formats do that, and these need no Cast.
    """
    weights, form = draft.spec.file.weights, format_of(draft.spec.file.format)
    if form.widens:
        draft.narrowed = narrowed(draft.slots, weights)
    else:
        draft.slots = shrink(draft.body, draft.slots, weights)


def keep_variables(draft: Draft) -> None:
    """Make the slots variables again, for a SavedModel whose weights are in a checkpoint."""
    form = draft.spec.file.format
    if isinstance(form, SavedModel) and form.variables:
        draft.restoring = restore_variables(draft.body, draft.slots)


def drop_unneeded(draft: Draft) -> None:
    """Prune what was only needed to read variables and fill tables."""
    draft.keep_needed()
