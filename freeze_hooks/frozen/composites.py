"""Ragged and sparse tensors: names their parts, takes them apart, and puts them together.

A file has a dense tensor for each part. The ragged "x" is "x/values", "x/row_splits", and for each
further ragged dimension "x/row_splits_1"... The sparse "x" is "x/indices", "x/values" and
"x/dense_shape".
"""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, List, Optional

import tensorflow as tf

from .._tf import v1
from ..errors import FreezeError
from ..signature import ragged_parts, splits_name

_RAGGED = (tf.RaggedTensor, tf.RaggedTensorSpec, v1.ragged.RaggedTensorValue)
_SPARSE = (tf.SparseTensor, tf.SparseTensorSpec, v1.SparseTensorValue)
_SLICES = (tf.IndexedSlices, tf.IndexedSlicesSpec)
_IS_PART = re.compile(r"(flat_)?values|row_splits(_\d+)?|indices|dense_shape|shape")
_SPLITS = re.compile(r"row_splits(?:_(\d+))?")
# names that tf.compat.v1.sparse_placeholder and ragged.placeholder use
_ALSO = {"dense_shape": "shape", "values": "flat_values", "row_splits": "row_splits_0"}


def part_names(leaf: Any) -> List[str]:
    """Return the names of the parts of a tensor or TypeSpec, in tf.nest.flatten's order.

    A dense tensor has one part, "".
    """
    count = len(tf.nest.flatten(leaf, expand_composites=True))
    if isinstance(leaf, _RAGGED):
        return ragged_parts(count)
    if isinstance(leaf, _SPARSE):
        return ["indices", "values", "dense_shape"]
    if isinstance(leaf, _SLICES):
        return ["values", "indices", "dense_shape"][:count]
    return [""] if count == 1 else [str(i) for i in range(count)]


def wholes(names: Collection[str]) -> Dict[str, List[str]]:
    """Return {tensor: names of its parts} for the names of a file's inputs or outputs.

    The only part of a dense tensor is its own name.
    """
    found: Dict[str, List[str]] = {}
    for name in names:
        whole, _, part = name.rpartition("/")
        is_part = whole and whole not in names and _IS_PART.fullmatch(part)
        found.setdefault(whole if is_part else name, []).append(name)
    return found


def taken_apart(name: str, value: Any, inputs: Collection[str]) -> Optional[Dict[str, Any]]:
    """Return {input: value} for a ragged or sparse value that feeds several inputs of a file.

    A list of lists may stand for a ragged tensor. Return None if the value feeds one input.

    Raises:
      FreezeError: the file has other parts than the value.
    """
    parts = [] if name in inputs else wholes(inputs).get(name, [])
    depths = [int(m.group(1) or 0) for m in map(_SPLITS.fullmatch, _ends(parts)) if m]
    if parts and depths and isinstance(value, (list, tuple)) and not isinstance(value, _SPARSE):
        value = v1.ragged.constant_value(value, ragged_rank=max(depths) + 1)
    given = _parts_of(value)
    if not parts and not given:
        return None
    if len(parts) == 1 and not given:
        return {parts[0]: value}  # the file needs only this part, or the dense input has its name
    if not parts:
        raise FreezeError(f"{name} is one dense tensor, not {type(value).__name__}")
    named = {end: f"{name}/{end}" for end in _ends(parts)}
    known = {part: named.get(part) or named.get(_ALSO.get(part, "")) for part in given}
    is_whole = set(filter(None, known.values())) == set(parts)
    if not is_whole or (depths and len(given) - 1 > max(depths) + 1):
        raise FreezeError(
            f"{name} is made of {', '.join(parts)}; {_said(value)} does not have these: give each "
            "part by name"
        )
    return {key: given[part] for part, key in known.items() if key}


def _ends(names: Collection[str]) -> List[str]:
    return [name.rpartition("/")[2] for name in names]


def _parts_of(value: Any) -> Dict[str, Any]:
    if isinstance(value, _RAGGED):
        splits = {splits_name(i): part for i, part in enumerate(value.nested_row_splits)}
        return {"values": value.flat_values, **splits}
    if isinstance(value, _SPARSE):
        return {p: getattr(value, p) for p in ("indices", "values", "dense_shape")}
    return {}


def _said(value: Any) -> str:
    if isinstance(value, _RAGGED):
        return f"a ragged tensor of ragged rank {len(value.nested_row_splits)}"
    return f"a value of type {type(value).__name__}"


class Answers(Dict[str, Any]):
    """{output name: array}; a ragged or sparse output "y" has an entry for each part, "y/values"...

    `answers["y"]` puts the parts together, as the tf.compat.v1 value that a session returns.
    """

    def __missing__(self, name: str) -> Any:
        parts = {end: self[f"{name}/{end}"] for end in _ends(wholes(self).get(name, []))}
        if "values" in parts and "row_splits" in parts:
            value = parts["values"]
            for depth in reversed(range(len(parts) - 1)):
                value = v1.ragged.RaggedTensorValue(value, parts[splits_name(depth)])
            return value
        if set(parts) == {"indices", "values", "dense_shape"} and parts["indices"].ndim == 2:
            return v1.SparseTensorValue(parts["indices"], parts["values"], parts["dense_shape"])
        raise KeyError(name)
