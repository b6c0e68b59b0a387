"""Passes that make constants of variables and tables; their values come later, file by file."""

from __future__ import annotations

from ..errors import NotFreezableError
from ..graph.passes.fed_state import feed_variables
from ..graph.passes.freeze_tables import freeze_tables
from ..graph.passes.freeze_variables import freeze_variables
from ..graph.passes.narrow_weights import shrink
from .draft import Draft


def make_slots(draft: Draft) -> None:
    """Make a slot of each variable that is not kept, and plain ops of what reads it."""
    draft.slots = freeze_variables(draft.body, draft.library, draft.spec.kept)


def feed_slots(draft: Draft) -> None:
    """Make placeholders of the slots that are inputs."""
    feed_variables(draft.body, draft.slots, draft.inputs)


def fill_tables(draft: Draft) -> None:
    """Let each lookup table fill itself: from constants, or from slots if training changes it."""
    if draft.content_of is not None:
        draft.slots.update(freeze_tables(draft.body, draft.content_of))


def refuse_inner_variables(draft: Draft) -> None:
    """Refuse a variable that stood in a function, where no value of it can be read."""
    for variable in draft.slots.values():
        if variable.node not in draft.originals:
            raise NotFreezableError(
                f"variable {variable.node!r} is created inside a function, where no value of it "
                "can be read: create it outside"
            )


def narrow_slots(draft: Draft) -> None:
    """Let slots hold fewer bits, where weights= asks for it, and cast what they hold."""
    draft.slots = shrink(draft.body, draft.slots, draft.spec.weights)


def drop_unneeded(draft: Draft) -> None:
    """Prune: what was only needed to read variables and fill tables goes."""
    draft.keep_needed()
