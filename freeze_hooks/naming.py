"""What the inputs, outputs and variables of a traced function are called."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Iterator, List, Mapping, Sequence, Tuple

import tensorflow as tf

from .graph.names import unique

# in the order of tf.nest.flatten
_COMPOSITES = (
    ((tf.SparseTensor, tf.SparseTensorSpec), ("_indices", "_values", "_dense_shape")),
    ((tf.IndexedSlices, tf.IndexedSlicesSpec), ("_values", "_indices", "_dense_shape")),
)


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

    What has only positions is called `default_0`, `default_1`... A ragged or sparse tensor is
    several, with their own names behind its own: `spread`.
    """
    return apart(spread(structure, stems_of(structure, default)))


def stems_of(structure: Any, default: str) -> List[str]:
    """As `keys_of`, with one name for a ragged or sparse tensor."""
    paths = [path for path, _ in _leaves(structure, ())]
    if isinstance(structure, Mapping):
        return ["_".join(path) for path in paths]
    return [f"{default}_{i}" for i in range(len(paths))]


def spread(structure: Any, stems: Sequence[str]) -> List[str]:
    """A name for each tensor of a nested structure, of one for each that may be ragged or sparse.

    "tokens" becomes "tokens_values", "tokens_row_splits" of a ragged tensor; of a sparse one,
    "tokens_indices", "tokens_values", "tokens_dense_shape".
    """
    leaves = [leaf for _, leaf in _leaves(structure, ())]
    return [stem + part for stem, leaf in zip(stems, leaves) for part in _parts(leaf)]


def _parts(leaf: Any) -> List[str]:
    count = len(tf.nest.flatten(leaf, expand_composites=True))
    if isinstance(leaf, (tf.RaggedTensor, tf.RaggedTensorSpec)):
        splits = ["_row_splits"] + [f"_row_splits_{i}" for i in range(1, count)]
        return (["_values"] + splits)[:count]
    for kinds, parts in _COMPOSITES:
        if isinstance(leaf, kinds):
            return list(parts[:count])
    return [""] if count == 1 else [f"_{i}" for i in range(count)]


def _leaves(structure: Any, path: Tuple[str, ...]) -> Iterator[Tuple[Tuple[str, ...], Any]]:
    if isinstance(structure, Mapping):
        for key in sorted(structure):  # the order of tf.nest.flatten
            yield from _leaves(structure[key], path + (str(key),))
    elif isinstance(structure, (list, tuple)):
        for i, part in enumerate(structure):
            yield from _leaves(part, path + (str(i),))
    elif structure is not None:
        yield path, structure


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
