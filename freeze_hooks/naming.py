"""What the inputs, outputs and variables of a traced function are called."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Iterator, List, Mapping, Sequence, Tuple

from .graph.names import unique


@dataclasses.dataclass(frozen=True)
class Naming:
    """What the nodes of a traced function are called.

    Attributes:
      inputs: one name for each input that is a tensor, in order.
      outputs: the same of its outputs.
      variables: {id of a variable's handle: its name}.
      is_scope: which leading name scopes to leave out.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    variables: Mapping[int, str]
    is_scope: Callable[[str], bool] = lambda scope: False


def keys_of(structure: Any, default: str) -> List[str]:
    """A name for each tensor of a nested structure: the keys that lead to it, joined by "_".

    What has only positions is called `default_0`, `default_1`...
    """
    named = isinstance(structure, Mapping)
    paths = list(_paths(structure, ()))
    if not named:
        return [f"{default}_{i}" for i in range(len(paths))]
    return apart(["_".join(path) for path in paths])


def _paths(structure: Any, path: Tuple[str, ...]) -> Iterator[Tuple[str, ...]]:
    if isinstance(structure, Mapping):
        for key in sorted(structure):  # the order of tf.nest.flatten
            yield from _paths(structure[key], path + (str(key),))
    elif isinstance(structure, (list, tuple)):
        for i, part in enumerate(structure):
            yield from _paths(part, path + (str(i),))
    elif structure is not None:
        yield path


def apart(names: Sequence[str], taken: Sequence[str] = ()) -> List[str]:
    """The names as node names, made different from each other and from `taken`."""
    used = set(taken)
    found = []
    for name in names:
        clean = re.sub(r"[^A-Za-z0-9_./>-]", "_", name)
        clean = unique(clean if re.match(r"[A-Za-z0-9.]", clean) else "t" + clean, used)
        used.add(clean)
        found.append(clean)
    return found
