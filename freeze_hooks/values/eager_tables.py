"""Reads lookup tables that a traced function captures, through their eager handles."""

from __future__ import annotations

from typing import Any, Dict, Set, Tuple

import tensorflow as tf

from .._protos import NodeDef
from .._tf import v1
from ..errors import NotFreezableError
from ..graph.tables import Column, Table
from .session_reads import as_value
from .static_tables import sorted_entries
from .value import Value


def table_of(handle: Any, name: str, types: Set[Tuple[int, int]]) -> Any:
    """Return what replaces a captured table: its content, or a MutableHashTableV2 node.

    Args:
      handle: the table's handle.
      name: the name of the capture in the function.
      types: (key, value) DataType numbers of the function's look-ups.

    Raises:
      NotFreezableError: it is not a table, it is empty, or its keys or values are not scalars.
    """
    found = next((pair for pair in sorted(types) if _is_of(handle, *pair)), None)
    if found is None:
        raise NotFreezableError(_unknown(handle, name))
    keys, values = _entries(handle, *found)
    if keys.ndim != 1 or values.ndim != 1:
        raise NotFreezableError(_not_scalars(name))
    if not len(keys):
        raise NotFreezableError(f"the lookup table at {name!r} is empty: fill (adapt) it first")
    if _is_mutable(handle, *found):
        node = NodeDef(name=name, op="MutableHashTableV2")
        node.attr["key_dtype"].type, node.attr["value_dtype"].type = found
        return node
    return Table(v1.make_tensor_proto(keys, found[0]), v1.make_tensor_proto(values, found[1]))


def is_table(handle: Any) -> bool:
    """Return whether a resource is a lookup table, of any kind."""
    try:
        tf.raw_ops.LookupTableSizeV2(table_handle=handle)
    except tf.errors.OpError:
        return False
    return True


def read_column(handle: Any, column: Column, read: Dict[str, Any]) -> Value:
    """Return the present keys or values of a mutable table.

    `read` caches both, {node: (keys, values)}, so that they are of the same moment.
    """
    if column.node not in read:
        read[column.node] = _entries(handle, column.key_dtype, column.value_dtype)
    return as_value(read[column.node][column.which])


def _is_of(handle: Any, keys: int, values: int) -> bool:
    """Return whether a table has these types; exporting with others would end the process."""
    try:
        tf.raw_ops.LookupTableFindV2(
            table_handle=handle,
            keys=tf.zeros([0], tf.as_dtype(keys)),
            default_value=tf.zeros([], tf.as_dtype(values)),
        )
    except tf.errors.OpError:
        return False
    return True


def _is_mutable(handle: Any, keys: int, values: int) -> bool:
    """Return whether a table accepts inserts; it inserts no entry."""
    try:
        tf.raw_ops.LookupTableInsertV2(
            table_handle=handle,
            keys=tf.zeros([0], tf.as_dtype(keys)),
            values=tf.zeros([0], tf.as_dtype(values)),
        )
    except tf.errors.OpError:
        return False
    return True


def _entries(handle: Any, keys: int, values: int) -> Tuple[Any, Any]:
    found = tf.raw_ops.LookupTableExportV2(
        table_handle=handle, Tkeys=tf.as_dtype(keys), Tvalues=tf.as_dtype(values)
    )
    return sorted_entries(found[0].numpy(), found[1].numpy())


def _unknown(handle: Any, name: str) -> str:
    if is_table(handle):
        return _not_scalars(name)
    return (
        f"the function captures a resource at {name!r} that is neither a variable nor a lookup "
        "table, so it cannot travel in a file"
    )


def _not_scalars(name: str) -> str:
    return (
        f"the function captures a lookup table at {name!r} that is a DenseHashTable, has values of "
        "several elements, or has no look-ups: from a function, only StaticHashTables and "
        "MutableHashTables of single values can be frozen; freeze_session and FreezeHook freeze "
        "the others"
    )
