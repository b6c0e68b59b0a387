"""Lookup tables: a LabelEncoder finds the index of each key, and a Gather reads the value there."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from ...graph.names import split
from .handlers import Handler

DOMAIN = "ai.onnx.ml"
_INITS = frozenset(
    ("InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2")
)
_FINDS = frozenset(("LookupTableFind", "LookupTableFindV2"))
_SIZES = frozenset(("LookupTableSize", "LookupTableSizeV2"))
_INT64 = 7  # in ONNX's TensorProto.DataType


class _Lookup(NamedTuple):
    """The content of a table, and the default of one lookup in it."""

    keys: Any
    values: Any
    default: Any  # None if only the table's size is asked for


def lookups_in(graph_def: Any) -> Dict[str, _Lookup]:
    """Return {name of a lookup's node: its table}, for tables that constants fill."""
    nodes = {node.name: node for node in graph_def.node}
    filled = {}
    for node in graph_def.node:
        if node.op in _INITS:
            contents = [_constant(nodes, text) for text in node.input[1:3]]
            if all(array is not None for array in contents):
                filled[_origin(nodes, node.input[0]).name] = contents
    found = {}
    for node in graph_def.node:
        if node.op in _FINDS | _SIZES:
            table = filled.get(_origin(nodes, node.input[0]).name)
            default = _constant(nodes, node.input[2]) if node.op in _FINDS else None
            if table is not None and (default is not None or node.op in _SIZES):
                found[node.name] = _Lookup(table[0], table[1], default)
    return found


def _origin(nodes: Any, text: str) -> Any:
    node = nodes[split(text)[0]]
    while node.op == "Identity":
        node = nodes[split(node.input[0])[0]]
    return node


def _constant(nodes: Any, text: str) -> Optional[Any]:
    node = _origin(nodes, text)
    return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


def table_handlers(lookups: Dict[str, _Lookup]) -> Dict[str, Tuple[Handler, Any]]:
    """Return tf2onnx handlers for the lookups in a graph."""

    def find(graph: Any, node: Any, name: str, _: Any) -> None:
        _find(graph, node, _known(lookups, name))

    def size(graph: Any, node: Any, name: str, _: Any) -> None:
        count = np.array(len(_known(lookups, name).keys), np.int64)
        _replace(graph, node, graph.make_const(f"{name}/size", count).output[0], "Identity")

    finds: Dict[str, Tuple[Handler, Any]] = dict.fromkeys(_FINDS, (find, []))
    return {**finds, **dict.fromkeys(_SIZES, (size, []))}


def _known(lookups: Dict[str, _Lookup], name: str) -> _Lookup:
    if name not in lookups:
        raise ValueError(
            "its table is not filled by constants, or is created outside of the branch or loop "
            "that uses it; do the lookup before the branch or loop"
        )
    return lookups[name]


def _find(graph: Any, node: Any, table: _Lookup) -> None:
    keys, count = table.keys.reshape(-1), table.keys.size
    if table.values.ndim != 1 or table.default.ndim:
        raise ValueError("its values are not scalars")
    asked, attr = node.input[1], {"default_int64": count, "values_int64s": list(range(count))}
    if keys.dtype == object:
        attr["keys_strings"] = [key.decode() for key in keys]
    elif keys.dtype.kind in "iu":
        attr["keys_int64s"] = keys.tolist()
        if graph.get_dtype(asked) != _INT64:
            asked = graph.make_node("Cast", [asked], attr={"to": _INT64}).output[0]
    else:
        raise ValueError(f"its keys are {keys.dtype}, but they must be strings or whole numbers")
    places = graph.make_node("LabelEncoder", [asked], domain=DOMAIN, attr=attr)
    graph.set_dtype(places.output[0], _INT64)
    graph.copy_shape(node.input[1], places.output[0])
    values = np.append(table.values, table.default.reshape(1))
    if values.dtype == object:
        values = np.array([value.decode() for value in values], object)
    const = graph.make_const(f"{node.name}/values", values.astype(table.values.dtype))
    _replace(graph, node, const.output[0], "Gather", places.output[0])


def _replace(graph: Any, node: Any, first: str, op: str, *more: str) -> None:
    """Replace a node by one of another op with the same outputs."""
    outputs, dtypes, shapes = node.output, node.output_dtypes, node.output_shapes
    graph.remove_node(node.name)
    graph.make_node(
        op, [first, *more], outputs=outputs, name=node.name, dtypes=dtypes, shapes=shapes
    )
