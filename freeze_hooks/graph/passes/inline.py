"""Replaces calls by the nodes of their functions."""

from __future__ import annotations

from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
)

from ..._protos import DT_RESOURCE, NodeDef
from ...errors import NotFreezableError
from ..body import Body, follow
from ..frames import gate_invariants, has_frames
from ..functions import Library
from ..names import join, split
from ..ops import ARG, CALLS, ENTERS
from ..prune import takes_variable
from ..walks import topological


def callee(node: Any, library: Library) -> Optional[str]:
    """Return the name of the function that a node calls, None if it is no plain call."""
    if node.op in CALLS:
        return str(node.attr["f"].func.name)
    return str(node.op) if node.op in library else None


class Trail:
    """Remembers through which functions each inlined node came, to refuse recursion."""

    def __init__(self, path: Tuple[str, ...]) -> None:
        self._start = path
        self._paths: Dict[str, Tuple[str, ...]] = {}

    def through(self, node: str, function: str) -> Tuple[str, ...]:
        """Return the path of nodes that come from `function`, called by `node`."""
        path = self._paths.get(node, self._start)
        if function in path:
            raise NotFreezableError(
                "function {!r} calls itself (through {}): recursion cannot be frozen".format(
                    function, " -> ".join(path)
                )
            )
        return path + (function,)

    def note(self, nodes: Iterable[str], path: Tuple[str, ...]) -> None:
        """Remember the path of nodes that were inlined."""
        self._paths.update((node, path) for node in nodes)


def inline_calls(body: Body, library: Library, trail: Trail) -> bool:
    """Replace each call by the body of its function; return whether there were calls."""
    if not any(callee(node, library) for node in body.nodes.values()):
        return False
    calls = [node for node in topological(body) if callee(node, library)]
    moved: Dict[str, str] = {}
    effects: Dict[str, List[str]] = {}
    framed = has_frames(body.nodes)
    gate_invariants(body, calls)
    for call in calls:
        name = callee(call, library)
        assert name is not None
        path = trail.through(call.name, name)
        attrs = call.attr["f"].func.attr if call.op in CALLS else call.attr
        inner = library.body(name, attrs)
        added = _inline(body, call, inner, moved, framed or has_frames(inner.nodes))
        trail.note(added.values(), path)
        effects["^" + call.name] = ["^" + added[name] for name in inner.effects]
    body.rewire(moved)
    # nodes that waited for a call now wait for the effects of its function
    body.rewire_controls(effects)
    return True


def _inline(
    body: Body, call: Any, inner: Body, moved: Dict[str, str], framed: bool
) -> Dict[str, str]:
    del body.nodes[call.name]
    inputs = [follow(text, moved) for text in call.input if not text.startswith("^")]
    controls = [text for text in call.input if text.startswith("^")]
    # A read of a variable in the function happens after all that the call waits for.
    given = zip(inner.args.values(), inputs)
    before = controls + ["^" + split(text)[0] for dtype, text in given if dtype != DT_RESOURCE]
    copies, outputs = paste(body, call.name, inner, inputs)
    for name, copy in copies.items():
        if framed and not copy.input:
            copy.input.extend(controls)
            if inputs:
                copy.input.append(body.pivot(inputs[0]))
        elif call.name in body.waiting or takes_variable(inner.nodes[name], inner.nodes):
            copy.input.extend(before)
    body.take_place(call.name, [copy.name for copy in copies.values()])
    moved.update((join(call.name, port), text) for port, text in enumerate(outputs))
    return {name: copy.name for name, copy in copies.items()}


def paste(
    body: Body, scope: str, inner: Body, inputs: Sequence[str]
) -> Tuple[Dict[str, Any], List[str]]:
    """Copy a function's nodes into `body`, with `inputs` in place of its arguments.

    Returns:
      The copies by their nodes' names in the function, and the tensors that it returns.
    """
    actual = dict(zip(inner.args, inputs))
    inside = [node for node in inner.nodes.values() if node.op != ARG]
    copies = {n.name: body.add(n.op, f"{scope}/{n.name}") for n in inside}

    def outer(text: str) -> str:
        name, port = split(text)
        if name in actual:
            return actual[name] if port == 0 else body.pivot(actual[name])
        return join(copies[name].name, port)

    for node in inside:
        copy = copies[node.name]
        copy.MergeFrom(NodeDef(device=node.device, input=[outer(text) for text in node.input]))
        for key, value in node.attr.items():
            copy.attr[key].CopyFrom(value)
        if copy.op in ENTERS:  # each copy of a loop needs its own frame
            copy.attr["frame_name"].s = f"{scope}/".encode() + copy.attr["frame_name"].s
    return copies, [outer(text) for text in inner.outputs]
