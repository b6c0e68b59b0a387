"""Finds the tensors at which to cut a graph off from its input pipelines."""

from __future__ import annotations

import dataclasses
import re
from typing import (
    AbstractSet,
    Any,
    Callable,
    Container,
    Dict,
    Iterable,
    Mapping,
    Optional,
    Set,
    Tuple,
)

from .._protos import DT_RESOURCE, DT_VARIANT, dtype_name
from .body import Body, data_inputs, output_type
from .frames import depths, has_frames
from .functions import holding, referenced
from .names import split, tensor_name, unique
from .ops import EXITS, MERGES, NEXT_ITERATIONS, PASSING_ELEMENTS, is_source
from .walks import below

_OWN_NAME = re.compile(r"[a-z][a-z0-9_]*$")
_GIVEN_NAME = re.compile(r"(shuffle_)?batch(_join)?(_\d+)?$|fifo_queue|cond|case")


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Where to cut a graph so that its outputs need no pipeline and no Python function.

    Attributes:
      tensors: {tensor to feed instead: its dtype and shape, such as "float32 [8, 4]"}.
      needed: names of the other nodes that the outputs need.
    """

    tensors: Mapping[str, str]
    needed: AbstractSet[str]


def cuts(
    body: Body, functions: Iterable[Body], originals: Container[str], shape_of: Callable[[str], Any]
) -> Cuts:
    """Find the tensors that the training graph's pipelines and Python functions return.

    Each is as near to the outputs as possible without losing a computation: a pipeline's element,
    or a node that only passes it on, such as a conditional between two pipelines.

    Args:
      body: the graph as passes have left it.
      functions: the bodies of the functions that it uses.
      originals: names of the training graph's nodes.
      shape_of: returns the static shape of a tensor of the training graph.
    """
    functions = list(functions)
    if not any(map(is_source, {n.op for b in (body, *functions) for n in b.nodes.values()})):
        return Cuts({}, body.nodes.keys())  # as in most graphs
    reached = _Reached(body, functions)
    found: Dict[Tuple[str, ...], str] = {}
    seen: Set[str] = set()
    needed: Set[str] = set()
    stack = list(reversed(body.outputs))
    while stack:
        text = stack.pop()
        if text in seen:
            continue
        seen.add(text)
        root = reached.element(text)
        if root is None:
            needed.add(split(text)[0])
            stack += reversed(data_inputs(body.nodes[split(text)[0]]))
        elif found.setdefault(root, text) != text and len(root) == 1:
            found[root] = root[0]  # two names are used for it
    tensors = {}
    for text in found.values():
        name, port = split(text)
        if name in originals:  # not from the body of a function
            dtype, shape = output_type(body.nodes[name], port), shape_of(tensor_name(text))
            tensors[tensor_name(text)] = f"{dtype_name(dtype or 0)} {_said(shape)}"
    return Cuts(tensors, needed)


def _said(shape: Any) -> str:
    return "of any shape" if shape is None else str(list(shape))


def with_cuts(inputs: Mapping[str, str], tensors: Iterable[str]) -> Dict[str, str]:
    """Return `inputs=` with more tensors, each under a short name: the user's own, or "x"."""
    named = dict(inputs)
    for tensor in tensors:
        name = split(tensor)[0].rsplit("/", 1)[-1]
        own = _OWN_NAME.match(name) and not _GIVEN_NAME.match(name)
        named[unique(name if own else "x", named)] = tensor
    return named


class _Reached:
    """Tells which tensors of a graph are a pipeline's elements, perhaps passed on unchanged."""

    def __init__(self, body: Body, functions: Iterable[Body]) -> None:
        self._nodes = body.nodes
        inside = {body.name.rstrip("/"): body.nodes.values() for body in functions}
        self._holding = holding(inside, lambda node: is_source(node.op))
        self._depths = depths(body) if has_frames(body.nodes) else {}
        giving = {name for name, node in body.nodes.items() if self._gives(node)}
        # names of the nodes that depend on a pipeline
        self._after = giving | below(body.nodes, giving) if giving else giving

    def element(self, text: str) -> Optional[Tuple[str, ...]]:
        """Return the pipelines' tensors that a tensor passes on; None if it is no element."""
        name, port = split(text)
        node = self._nodes[name]
        if name not in self._after:
            return None
        if self._gives(node) or node.op == "PlaceholderWithDefault":
            return None if self._depths.get(name) else (text,)
        if node.op in PASSING_ELEMENTS:
            return self.element(node.input[0])
        merged = self._merged(node) if node.op in MERGES and port == 0 else None
        return (text,) if merged is None and self._closes(node) else merged

    def _merged(self, node: Any) -> Optional[Tuple[str, ...]]:
        inputs = data_inputs(node)
        if any(self._nodes[split(text)[0]].op in NEXT_ITERATIONS for text in inputs):
            return None
        roots: Tuple[str, ...] = ()
        for text in inputs:
            found = self.element(text)
            if found is None:
                return None
            roots += found
        return roots

    def _closes(self, node: Any) -> bool:
        """Return whether a node ends a conditional or loop that contains a pipeline's element."""
        if node.op not in MERGES | EXITS or self._depths.get(node.name):
            return False
        stack, seen = [node.name], {node.name}
        while stack:
            for name in (split(text)[0] for text in data_inputs(self._nodes[stack.pop()])):
                if name not in seen and self._depths.get(name):
                    if self._gives(self._nodes[name]):
                        return True
                    seen.add(name)
                    stack.append(name)
        return False

    def _gives(self, node: Any) -> bool:
        if is_source(node.op) or not self._holding.isdisjoint(referenced(node)):
            return True
        return any(self._is_handle(*split(text)) for text in data_inputs(node))

    def _is_handle(self, name: str, port: int) -> bool:
        """Return whether a tensor is a pipeline's handle, which cannot be fed."""
        node = self._nodes[name]
        return is_source(node.op) and output_type(node, port) in (DT_RESOURCE, DT_VARIANT)
