"""Suggests outputs to a user who named none."""

from __future__ import annotations

import re
from typing import Any, Callable, List, Mapping, Optional, Set, Tuple

from .._protos import DT_RESOURCE, DT_STRING, DT_VARIANT, dtype_name
from .body import output_type
from .endpoints import Shape
from .names import split
from .op_registry import op_def
from .ops import ELEMENTS, NO_ANSWER, PLACEHOLDERS, SAVES_AND_SUMMARIES
from .walks import below

_BACKWARD = re.compile(r"(^|/)(gradients|gradient_tape|save|report_uninitialized_\w+)(_\d+)?/")
_MOST = 12


def no_outputs(nodes: Mapping[str, Any], shape_of: Callable[[str], Shape]) -> str:
    """Return the message for a missing outputs=, which lists likely ones with dtype and shape."""
    found = likely_outputs(nodes, shape_of)
    if not found:
        return "name the tensors to freeze with outputs=; the graph has none that look like answers"
    lines = [
        "  {!r}  {} {}".format(n, t, "unknown shape" if s is None else list(s)) for n, t, s in found
    ]
    return "name the tensors to freeze with outputs=; likely ones are\n" + "\n".join(lines)


def likely_outputs(
    nodes: Mapping[str, Any], shape_of: Callable[[str], Shape]
) -> List[Tuple[str, str, Shape]]:
    """Return (name, dtype, shape) of forward ops that only training uses, batches first.

    Forward ops depend on fed data. They do not change state, and are not in TensorFlow's name
    scopes for gradients and savers.
    """
    forward = {name for name in _fed(nodes) if not _is_training(nodes[name])}
    used: Set[str] = set()
    for name in forward:
        used.update(split(text)[0] for text in nodes[name].input if not text.startswith("^"))
    found = []
    for name in sorted(forward - used):
        dtype = output_type(nodes[name], 0)
        if dtype in (None, DT_RESOURCE, DT_STRING, DT_VARIANT) or nodes[name].op in NO_ANSWER:
            continue
        found.append((name, dtype_name(dtype or 0), shape_of(name + ":0")))
    found.sort(key=lambda f: (not (f[2] and f[2][0] is None), not f[2]))
    return found[:_MOST]


def _fed(nodes: Mapping[str, Any]) -> Set[str]:
    """Return the names of nodes that depend on placeholders, iterators or queues."""
    feeding = [n.name for n in nodes.values() if n.op in PLACEHOLDERS or ELEMENTS.match(n.op)]
    return below(nodes, feeding, data_only=True)


def _is_training(node: Any) -> bool:
    if _BACKWARD.search(node.name) or SAVES_AND_SUMMARIES.match(node.op):
        return True
    definition: Optional[Any] = op_def(node.op)
    if definition is None:
        return False
    changes = any(arg.is_ref for arg in definition.input_arg)
    return changes or not definition.output_arg
