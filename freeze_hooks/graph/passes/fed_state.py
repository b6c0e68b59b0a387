"""State that one run of a graph leaves to the next: variables that are fed, returned or told of."""

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

# Keras 3's seeds, which each run moves on: what they are for is told of as random.
_SEED = re.compile(r"(^|/)seed_generator_state$")


def fed_variables(body: Body, inputs: Sequence[End]) -> List[str]:
    """Names of the variables among the inputs."""
    return [end.tensor for end in inputs if body.nodes[end.tensor].op in VARIABLES]


def return_states(
    body: Body, outputs: Sequence[End], fed: Sequence[str], moved: Mapping[str, str]
) -> List[End]:
    """Outputs that are variables which are inputs too: what the other outputs' run leaves in them.

    Each becomes a read that waits for the other outputs, which `follow_assignments` resolves.
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
    """Make sure that each output that `return_states` made has become a new value.

    Args:
      body: what is left of the graph.
      nodes: those of the whole graph.
      library: its functions.
      fed: names of the variables among the inputs.

    Raises:
      FreezeError: nothing changes the variable; what may be meant is named.
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
                f"{said}, but that is not clear of {by}: name the tensor of its new value"
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
    """Make placeholders of those slots that are inputs, in place."""
    for end in inputs:
        if slots.pop(end.tensor, None) is not None:
            node = body.nodes[end.tensor]
            node.op = "Placeholder"
            node.attr["shape"].CopyFrom(shape_attr(end.shape))


def changed_in_a_run(
    body: Body, moved: Mapping[str, str], library: Library, runs: Sequence[str]
) -> Dict[str, str]:
    """{variable or table: the op} of what changes when the outputs are computed.

    Args:
      body: the graph as it was, with all its control inputs.
      moved: what cuts and bound values replace.
      library: its functions.
      runs: nodes that run besides, though no output waits for them.

    What optimizers do is left out: a file for inference is meant to stand still there. So are
    seeds.
    """
    ends = [split(follow(text, moved))[0] for text in body.outputs]
    whole = dataclasses.replace(body, effects=tuple(dict.fromkeys([*ends, *runs])))
    own = GraphDef()  # so that the library does not grow by what is only looked at
    own.library.function.extend(library.all())
    library = Library(own.library)
    try:
        whole = simplify(prune(whole, moved, keep_order=True), library)
    except NotFreezableError:  # which is said where it matters
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
