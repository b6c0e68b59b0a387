"""Pass for graphs that browsers run: fits them to TensorFlow.js, or says what it lacks."""

from __future__ import annotations

from typing import Dict, Iterable

from ..errors import NotFreezableError
from ..graph.body import Body
from ..graph.passes.for_tfjs import (
    gate_constants,
    name_branches,
    say_in_known_ops,
    start_loops_at_once,
)
from ..graph.tfjs import lacking
from .draft import Draft
from .formats import TFJS, AskedFormat, format_of


def fit_browser(draft: Draft) -> None:
    """Say the graph in ops of TF.js, for its format; refuse what TF.js cannot run."""
    moved = fitted_to_browser(draft.body, draft.spec.file.format, draft.slots)
    draft.slots = {moved.get(name, name): variable for name, variable in draft.slots.items()}
    draft.narrowed = {moved.get(name, name): dtype for name, dtype in draft.narrowed.items()}


def fitted_to_browser(body: Body, form: AskedFormat, slots: Iterable[str] = ()) -> Dict[str, str]:
    """Say a graph in ops of TF.js, in place, if that is its format.

    Args:
      body: the graph.
      form: the format of the file.
      slots: names of Consts that lack their values.

    Returns:
      {Const: its new name}.

    Raises:
      NotFreezableError: TF.js lacks an op, an attribute or a dtype; names the nodes.
    """
    if not isinstance(format_of(form), TFJS):
        return {}
    say_in_known_ops(body)
    name_branches(body)
    moved = gate_constants(body)
    start_loops_at_once(body)  # after gate_constants, since a Const is always there
    problems = lacking(body, {moved.get(name, name) for name in slots})
    if problems:
        raise NotFreezableError(
            "TF.js cannot run this graph: {}; cut behind these nodes with inputs=, choose outputs "
            "before them, or write them with other ops".format("; ".join(problems))
        )
    return moved
