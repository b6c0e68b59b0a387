"""Makes lookup tables fill themselves, so that a file needs no initialization."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Set

import numpy as np

from ..._protos import DT_RESOURCE, AttrValue, NodeDef
from ...errors import NotFreezableError
from ..body import Body
from ..constant_values import value_of
from ..names import split, unique
from ..op_registry import imports_rows
from ..ops import MUTABLE_TABLES, OF_REFERENCES, STATIC_TABLES
from ..tables import Column, Table


def upgrade_tables(nodes: Iterable[Any]) -> None:
    """Turn tables that are references into resources, in place; else the ops are the same."""
    for node in nodes:
        node.op = OF_REFERENCES.get(node.op, node.op)


def fill(ready: Any, table: Table, taken: Set[str], kept: Any = None) -> Iterator[Any]:
    """Yield the nodes that create and fill a table; turn `ready` into the filled table's handle.

    The table is a HashTableV2, or with `kept` a copy of that mutable table's node. To fill a filled
    HashTableV2 again only compares the number of entries (InitializableLookupTable::Initialize),
    so later runs cost nothing. A mutable table is filled again at each run. It has no shared_name:
    with one, two graphs in a session would share the first one's content.
    """

    def node(name: str, op: str, *inputs: str, **attrs: Any) -> Any:
        made = NodeDef(name=unique(f"{ready.name}/{name}", taken), op=op, input=inputs)
        taken.add(made.name)
        for key, value in attrs.items():
            made.attr[key].CopyFrom(value)
        return made

    def constant(name: str, content: Any) -> Any:
        made = node(name, "Const", dtype=AttrValue(type=content.dtype))
        if not isinstance(content, Column):
            made.attr["value"].tensor.CopyFrom(content)
        return made

    key, value = AttrValue(type=table.keys.dtype), AttrValue(type=table.values.dtype)
    keys, values = constant("keys", table.keys), constant("values", table.values)
    if kept is None:
        handle = node("table", "HashTableV2", key_dtype=key, value_dtype=value)
        given = (handle.name, keys.name, values.name)
        init = node("init", "InitializeTableV2", *given, Tkey=key, Tval=value)
    else:
        handle = node("table", kept.op, *kept.input, **dict(kept.attr))
        handle.attr["shared_name"].s = b""
        handle.attr["use_node_name_sharing"].b = False
        given = (handle.name, keys.name, values.name)
        init = node("init", "LookupTableImportV2", *given, Tin=key, Tout=value)
    yield from (handle, keys, values, init)
    ready.op = "Identity"
    ready.attr.clear()
    ready.attr["T"].type = DT_RESOURCE
    del ready.input[:]
    ready.input.extend([handle.name, "^" + init.name])


def freeze_tables(body: Body, content_of: Callable[[str], Optional[Table]]) -> Dict[str, Column]:
    """Make each lookup table of a graph fill itself, in place.

    Args:
      body: the graph, pruned.
      content_of: returns the content of a static table by its node's name, or None if nothing in
        the graph initializes it; the table then stays as it is.

    Returns:
      {slot, a Const that lacks its value: the column that gives the value}.
    """
    slots: Dict[str, Column] = {}
    taken = set(body.nodes)
    for node in list(body.nodes.values()):
        kept = None
        if node.op in STATIC_TABLES:
            table = content_of(node.name)
            if table is None:
                continue
        elif node.op in MUTABLE_TABLES:
            kept = _hashed(node, body)
            table = _columns(node)
        else:
            continue
        for made in fill(node, table, taken, kept):
            body.nodes[made.name] = made
        if kept is not None:
            slots[body.nodes[split(node.input[1])[0]].input[1]] = table.keys
            slots[body.nodes[split(node.input[1])[0]].input[2]] = table.values
    _forget_inits(body)
    return slots


def _hashed(node: Any, body: Body) -> Any:
    """Return the mutable table's node for the file.

    A dense table becomes a MutableHashTable, since a dense one cannot be filled with no entries.
    """
    kept = NodeDef()
    kept.CopyFrom(node)
    of_rows = bool(node.attr["value_shape"].shape.dim) if "value_shape" in node.attr else False
    if of_rows and not imports_rows():
        raise NotFreezableError(
            f"lookup table {node.name!r} has values of several elements, which this version of "
            "TensorFlow cannot put into a file: cut behind the look-up with inputs="
        )
    if node.op != "MutableDenseHashTableV2":
        return kept
    empty_key = value_of(body, node.input[0])
    if empty_key is None or np.ndim(empty_key):
        raise NotFreezableError(
            f"lookup table {node.name!r} has keys of several elements, or an empty key that is "
            "not a constant: cut behind the look-up with inputs="
        )
    kept.op = "MutableHashTableOfTensorsV2" if of_rows else "MutableHashTableV2"
    del kept.input[:]
    more = set() if of_rows else {"value_shape"}
    for key in {"initial_num_buckets", "max_load_factor", *more} & set(kept.attr):
        del kept.attr[key]
    return kept


def _columns(node: Any) -> Table:
    types = (node.attr["key_dtype"].type, node.attr["value_dtype"].type)
    return Table(*(Column(node.name, types[i], None, True, i, *types) for i in (0, 1)))


def _forget_inits(body: Body) -> None:
    """Remove control inputs from ops that initialize a table which now fills itself."""
    inits = [node for node in body.nodes.values() if node.op.startswith("Initialize")]
    old = {"^" + init.name for init in inits if init.input and _is_filled(init.input[0], body)}
    for node in body.nodes.values() if old else ():
        left = [text for text in node.input if text not in old]
        del node.input[:]
        node.input.extend(left)


def _is_filled(table: str, body: Body) -> bool:
    """Return whether `fill` made this handle."""
    ready = body.nodes.get(split(table)[0])
    if ready is None or ready.op != "Identity":
        return False
    source = body.nodes.get(split(ready.input[0])[0])
    return source is not None and source.op in STATIC_TABLES | MUTABLE_TABLES
