"""Makes the graphs of several signatures one graph, and names the ends of all of them in it."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from ..graph.endpoints import End
from ..graph.lint import Asked
from ..graph.names import join, split, unique
from ..graph.passes.merge import merge
from .draft import Draft


def one_graph(drafts: Mapping[str, Draft]) -> Draft:
    """Return the draft of a whole file: that of the first signature, with the others added.

    A tensor of several signatures is one tensor. Where different tensors have one name, those of
    the later signature get its key as a prefix: "embed/x".
    """
    (first, whole), *others = drafts.items()
    ends = {first: (whole.inputs, whole.outputs, list(whole.body.outputs))}
    for key, draft in others:
        ends[key] = _add(whole, draft, key)
    if others:
        _name_apart(whole, ends)
    else:
        whole.signatures = {first: (whole.inputs, whole.outputs)}
    return whole


def _add(whole: Draft, draft: Draft, key: str) -> Tuple[List[End], List[End], List[str]]:
    """Add a signature's graph; return its inputs, its outputs, and the outputs' tensors there."""
    new = merge(
        whole.body,
        draft.body,
        key,
        lambda name: whole.slots.get(name) == draft.slots.get(name),
    )
    for name, variable in draft.slots.items():
        whole.slots[new.get(name, name)] = variable
    known = {function.signature.name for function in whole.functions}
    added = [
        (function, inner)
        for function, inner in zip(draft.functions, draft.inner)
        if function.signature.name not in known
    ]
    whole.functions = [*whole.functions, *(function for function, _ in added)]
    whole.inner = [*whole.inner, *(inner for _, inner in added)]
    whole.asked = _both(whole.asked, draft.asked, key)
    inputs = [
        dataclasses.replace(end, tensor=new.get(end.tensor, end.tensor)) for end in draft.inputs
    ]
    return inputs, draft.outputs, [_moved(text, new) for text in draft.body.outputs]


def _moved(text: str, new: Mapping[str, str]) -> str:
    name, port = split(text)
    return join(new.get(name, name), port)


def _both(one: Asked, other: Asked, key: str) -> Asked:
    """Return how the graph of two signatures is to be frozen."""

    def merged(a: Mapping[str, Any], b: Mapping[str, Any]) -> Dict[str, Any]:
        return {
            **a,
            **{name if a.get(name, v) == v else f"{key}/{name}": v for name, v in b.items()},
        }

    def listed(a: Sequence[str], b: Sequence[str]) -> Tuple[str, ...]:
        return tuple(dict.fromkeys((*a, *b)))

    return Asked(
        merged(one.inputs, other.inputs),
        listed(one.unasked, other.unasked),
        listed(one.unused, other.unused),
        {*one.batches, *other.batches},
        one.one_call or other.one_call,
        listed(one.updates, other.updates),
        {**one.cuts, **other.cuts},
        {**one.carried, **other.carried},
        merged(one.outputs, other.outputs),
    )


def _name_apart(whole: Draft, ends: Mapping[str, Tuple[List[End], List[End], List[str]]]) -> None:
    """Give the ends of all signatures names of their own, and equal ends one name."""
    names = _Names()
    for key, (inputs, outputs, texts) in ends.items():
        inputs = [names.input(end, key) for end in inputs]
        outputs = [names.output(end, text, key) for end, text in zip(outputs, texts)]
        whole.signatures[key] = inputs, outputs
    whole.inputs = list(names.inputs.values())
    whole.outputs = list(names.outputs.values())
    whole.body.outputs = list(names.outputs)


class _Names:
    """The names that ends have in a file so far.

    Attributes:
      inputs: {node: the input}.
      outputs: {tensor: the output}.
    """

    def __init__(self) -> None:
        self.inputs: Dict[str, End] = {}
        self.outputs: Dict[str, End] = {}
        self._owners: Dict[str, Dict[int, str]] = {}  # {name: {port: the tensor that has it}}
        self._fed: Set[str] = set()  # names of inputs, which have one port

    def input(self, end: End, key: str) -> End:
        """Return an input with the name that it gets in the file."""
        known = self.inputs.get(end.tensor)
        if known is None:
            wanted = end.wanted
            if wanted in self._owners:
                wanted = unique(f"{key}/{wanted}", self._owners)
            end = known = dataclasses.replace(end, wanted=wanted)
            self.inputs[end.tensor] = end
            self._owners[wanted] = {0: end.tensor}
            self._fed.add(wanted)
        return dataclasses.replace(end, wanted=known.wanted)

    def output(self, end: End, text: str, key: str) -> End:
        """Return an output, the tensor `text`, with the name that it gets in the file."""
        known = self.outputs.get(text)
        if known is None:
            name, port = split(end.wanted)
            owned = self._owners.get(name, {})
            if owned.get(port, text) != text or (name in self._fed and port not in owned):
                name = unique(f"{key}/{name}", self._owners)
            end = known = dataclasses.replace(end, wanted=join(name, port))
            self.outputs[text] = end
            self._owners.setdefault(name, {})[port] = text
        return dataclasses.replace(end, wanted=known.wanted)
