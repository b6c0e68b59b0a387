"""Handles state that one run leaves to the next: feeds it, returns it, or finds it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Set

from ..._protos import AttrValue, GraphDef
from ...errors import FreezeError, NotFreezableError
from ..body import Body, follow
from ..endpoints import End, shape_attr
from ..functions import Library
from ..names import split, tensor_name
from ..ops import OPTIMIZERS, VARIABLES
from ..prune import prune
from ..read_after_write import writers_of
from ..tables import changed_tables
from ..variables import Variable, variables_of
from ..walks import above
from .fold import simplify

# Keras 3's seeds, which each run changes; the finding about random ops covers them.
_SEED = re.compile(r"(^|/)seed_generator_state$")


def fed_variables(body: Body, inputs: Sequence[End]) -> List[str]:
    """Return the names of the variables among the inputs."""
    return [end.tensor for end in inputs if body.nodes[end.tensor].op in VARIABLES]


def return_states(
    body: Body, outputs: Sequence[End], fed: Sequence[str], moved: Mapping[str, str]
) -> List[End]:
    """Return the outputs; one that is a fed variable becomes its value after the other outputs ran.

    It becomes a read that waits for the other outputs. `follow_assignments` resolves the read.
    """
    cuts = {split(text)[0] for text in moved}
    waits = {"^" + split(end.tensor)[0]: None for end in outputs}
    waited = [text for text in waits if text[1:] not in cuts and text[1:] not in fed]
    found = []
    for end in outputs:
        if end.tensor in fed:
            variable = variables_of(body)[end.tensor]
            kind, attr = ("ReadVariableOp", "dtype") if variable.resource else ("Identity", "T")
            dtype = AttrValue(type=variable.dtype)
            name = end.tensor + "/after"
            read = body.add(kind, name, [end.tensor, *waited], **{attr: dtype})
            end = dataclasses.replace(
                end, tensor=read.name, dtype=variable.dtype, shape=variable.shape
            )
        found.append(end)
    body.outputs = [end.tensor for end in found]
    return found


def refuse_unreturned(
    body: Body, nodes: Iterable[Any], library: Library, fed: Sequence[str]
) -> None:
    """Check that each output that `return_states` made has a new value.

    Args:
      body: the graph as passes have left it.
      nodes: the nodes of the whole graph.
      library: its functions.
      fed: names of the variables among the inputs.

    Raises:
      FreezeError: nothing changes the variable; names tensors that may be meant.
      NotFreezableError: its new value is not clear.
    """
    variables = variables_of(body)
    for text in body.outputs:
        node = body.nodes[split(text)[0]]
        given = [variables[name] for name in map(_node_of, node.input) if name in variables]
        if not given or given[0].node not in fed or node.name != given[0].node + "/after":
            continue
        name = given[0].node
        said = f"outputs= asks for what a run leaves in variable {name!r}, which inputs= names too"
        needed = {n: body.nodes[n] for n in above(body.nodes, [node.name])}
        run = dataclasses.replace(body, nodes=needed, outputs=[node.name])
        before = writers_of(run, library, {(name, 0): given[0]}).get(name)
        if before:
            by = " and ".join(f"{body.nodes[n].op} {n!r}" for n in sorted(before))
            raise NotFreezableError(
                f"{said}, but its value after {by} is not clear: name the tensor of its new value"
            )
        new = [
            f"{tensor_name(other.input[1])!r} (of {other.op} {other.name!r})"
            for other in nodes
            if other.op.startswith("Assign")
            and _node_of(other.input[0]) == name
            and other.name != name + "/Assign"
        ]
        there = "name its new value, such as " + ", ".join(new) if new else "nothing assigns it"
        raise FreezeError(f"{said}, but the other outputs wait for no update of it: {there}")


def _node_of(text: str) -> str:
    return split(text)[0]


def feed_variables(body: Body, slots: Dict[str, Variable], inputs: Sequence[End]) -> None:
    """Turn the slots that are inputs into placeholders, in place."""
    for end in inputs:
        if slots.pop(end.tensor, None) is not None:
            node = body.nodes[end.tensor]
            node.op = "Placeholder"
            node.attr["shape"].CopyFrom(shape_attr(end.shape))


def changed_in_a_run(
    body: Body, moved: Mapping[str, str], library: Library, runs: Sequence[str]
) -> Dict[str, str]:
    """Return {variable or table: the op} for those that change when the outputs are computed.

    Changes by optimizers are left out, since a file for inference does not train. Seeds are left
    out too.

    Args:
      body: the graph before any pruning, with all control inputs.
      moved: {cut or bound tensor: its replacement}.
      library: its functions.
      runs: other nodes that run, though no output waits for them.
    """
    ends = [split(follow(text, moved))[0] for text in body.outputs]
    whole = dataclasses.replace(body, effects=tuple(dict.fromkeys([*ends, *runs])))
    own = GraphDef()  # a copy, so that this look does not add to the library
    own.library.function.extend(library.all())
    library = Library(own.library)
    try:
        whole = simplify(prune(whole, moved, keep_order=True), library)
    except NotFreezableError:  # a later pass raises it
        return {}
    variables: Dict[Any, Variable] = {(n, 0): v for n, v in variables_of(whole).items()}
    changes: Dict[str, Set[str]] = dict(writers_of(whole, library, variables))
    changes.update(changed_tables(whole))
    found = {}
    for name, nodes in changes.items():
        ops = sorted(n for n in nodes if not OPTIMIZERS.match(whole.nodes[n].op))
        if ops and not _SEED.search(name):
            found[name] = f"{whole.nodes[ops[0]].op} {ops[0]!r}"
    return found
