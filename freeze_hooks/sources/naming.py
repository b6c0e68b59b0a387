"""Names the inputs, outputs and variables of a traced function."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import tensorflow as tf

from .. import _tf
from ..frozen.composites import part_names
from ..graph.names import node_names

_Path = Tuple[Union[str, int], ...]  # keys and fields, and positions


@dataclasses.dataclass(frozen=True)
class Naming:
    """The names for the nodes of a traced function.

    Attributes:
      inputs: one name for each input tensor, in order.
      outputs: one name for each output tensor, in order; None keeps their present names.
      variables: {id of a variable's handle: its name}.
      is_scope: whether to leave out a leading name scope.
    """

    inputs: Sequence[str]
    outputs: Optional[Sequence[str]]
    variables: Mapping[int, str]
    is_scope: Callable[[str], bool] = lambda scope: False


def fed_of(concrete: Any) -> List[Any]:
    """Return the inputs of a traced function that a caller feeds: those that are not captured."""
    captured = {inner.op.name for _, inner in _tf.captures(concrete.graph)}
    return [tensor for tensor in concrete.inputs if tensor.op.name not in captured]


def variable_names(graph: Any) -> Dict[int, str]:
    """Return {id of a variable's handle: its name} for the variables of a function's graph."""
    return {id(v.handle): v.name.split(":")[0] for v in graph.variables if hasattr(v, "handle")}


def keys_of(structure: Any, default: str) -> List[str]:
    """Return a name for each tensor of a nested structure: its keys, joined by "_".

    Tensors with only positions get `default_0`, `default_1`... A ragged or sparse tensor gets a
    name for each of its parts, see `spread`.
    """
    return node_names(spread(structure, stems_of(structure, default)))


def stems_of(structure: Any, default: str) -> List[str]:
    """Return names as `keys_of`, but one name for a ragged or sparse tensor."""
    paths = [path for path, _ in leaves(structure)]
    return [_stem(path, f"{default}_{i}", default) for i, path in enumerate(paths)]


def _stem(path: _Path, numbered: str, default: str) -> str:
    if not any(isinstance(part, str) for part in path):
        return numbered
    return "_".join(map(str, path if isinstance(path[0], str) else (default, *path)))


def spread(structure: Any, stems: Sequence[str]) -> List[str]:
    """Return a name for each part of each tensor of a nested structure.

    A ragged "tokens" gives "tokens/values", "tokens/row_splits"; a sparse one "tokens/indices",
    "tokens/values", "tokens/dense_shape".
    """
    found = (leaf for _, leaf in leaves(structure))
    return [name for stem, leaf in zip(stems, found) for name in parts_of(stem, leaf)]


def parts_of(stem: str, leaf: Any) -> List[str]:
    """Return names of a tensor's parts in the order of tf.nest.flatten; `stem` if it is dense."""
    return [f"{stem}/{part}" if part else stem for part in part_names(leaf)]


def leaves(structure: Any, path: _Path = ()) -> Iterator[Tuple[_Path, Any]]:
    """Yield (path, tensor or spec) of a structure in the order of tf.nest.flatten."""
    inner = _children(structure)
    if inner is not None:
        for key, child in inner:
            yield from leaves(child, path + (key,))
    elif structure is not None:
        yield path, structure


def _children(structure: Any) -> Optional[List[Tuple[Union[str, int], Any]]]:
    """Return (key, field or position; child) pairs of a structure; None for a leaf."""
    if isinstance(structure, Mapping):
        return [(str(key), structure[key]) for key in sorted(structure)]
    if isinstance(structure, (list, tuple)):
        fields = getattr(structure, "_fields", None) or range(len(structure))
        return list(zip(fields, structure))
    if hasattr(structure, "__attrs_attrs__"):
        return [(each.name, getattr(structure, each.name)) for each in structure.__attrs_attrs__]
    if dataclasses.is_dataclass(structure) and hasattr(structure, "__tf_flatten__"):
        known = {id(value): name for name, value in vars(structure).items()}
        inner = enumerate(structure.__tf_flatten__()[1])
        return [(known.get(id(child), i), child) for i, child in inner]
    extension = getattr(tf.experimental, "ExtensionType", None)
    if extension is None:  # TensorFlow 1.15
        return None
    kind = structure.value_type if isinstance(structure, tf.TypeSpec) else type(structure)
    if not issubclass(kind, extension):
        return None
    return [
        (name, value)
        for name, value in ((name, getattr(structure, name)) for name in kind.__annotations__)
        if tf.is_tensor(value) or isinstance(value, tf.TypeSpec) or _children(value)
    ]


def input_names(concrete: Any, fed: Sequence[Any]) -> List[str]:
    """Return a name for each input tensor of a traced function: its argument and keys inside it.

    Args:
      concrete: the function.
      fed: its inputs that are not captured.
    """
    names: List[str] = []
    signature = getattr(concrete, "structured_input_signature", None) or ()
    for path, leaf in leaves(signature):
        if isinstance(leaf, tf.TypeSpec) and len(names) < len(fed):
            own = fed[len(names)].op
            names += parts_of(_argument(path[2:], leaf, own), leaf)
    return node_names(names if len(names) == len(fed) else [tensor.op.name for tensor in fed])


def _argument(path: _Path, leaf: Any, placeholder: Any) -> str:
    """Return the name of an argument, or of a tensor inside it at a path."""
    if isinstance(leaf, tf.TensorSpec) and not path:
        return str(placeholder.name)
    attrs = placeholder.node_def.attr
    asked = "_user_specified_name"
    name = attrs[asked].s.decode() if asked in attrs else placeholder.name
    if isinstance(leaf, tf.TensorSpec) and leaf.name == name:
        return str(name)  # the name was given to the spec
    return "_".join(map(str, (name, *path)))
