"""Finds a graph's lookup tables and the nodes that change them."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Set, Tuple

from ..errors import NotFreezableError
from .body import Body, data_inputs
from .names import split
from .ops import HANDING_ON, MUTABLE_TABLES, TABLE_CHANGES
from .prune import prune
from .variables import Variable, handed
from .walks import above, topological


@dataclasses.dataclass(frozen=True)
class Column(Variable):
    """The keys or the values of the mutable table at `node`, read at each save.

    Attributes:
      which: 0 for the keys, 1 for the values.
      key_dtype, value_dtype: DataType numbers of keys and values.
    """

    which: int
    key_dtype: int
    value_dtype: int


@dataclasses.dataclass(frozen=True)
class Table:
    """The content of a lookup table: TensorProtos with a row per entry, or Columns."""

    keys: Any
    values: Any


def refuse_lookups_after_changes(body: Body) -> None:
    """Check that no needed look-up comes after an op that changes its table.

    Nodes that take tables must still have their control inputs.

    Raises:
      NotFreezableError: there is such a look-up; names both ops and the table.
    """
    users, changes = _users_of_tables(body)
    needed = prune(body).nodes if changes else {}
    for name in users.keys() & needed.keys():
        node, table = body.nodes[name], users[name]
        before = sorted(changes.get(table, set()) & above(body.nodes, node.input).keys())
        if before:
            change = body.nodes[before[0]]
            raise NotFreezableError(
                f"{node.op} {node.name!r} is needed by the outputs and uses lookup table "
                f"{table!r} after {change.op} {change.name!r} changed it, which a file cannot "
                "follow; choose an output that does not wait for the change, or bind= the "
                "placeholder that switches training off"
            )


def changed_tables(body: Body) -> Dict[str, Set[str]]:
    """Return {mutable table: the nodes that change it}."""
    return _users_of_tables(body)[1]


def _users_of_tables(body: Body) -> Tuple[Dict[str, str], Dict[str, Set[str]]]:
    """Return {node: mutable table that it uses}, {table: the nodes that change it}."""
    users: Dict[str, str] = {}
    changes: Dict[str, Set[str]] = {}
    handles: Dict[Tuple[str, int], str] = {
        (node.name, 0): node.name for node in body.nodes.values() if node.op in MUTABLE_TABLES
    }
    for node in topological(body) if handles else ():
        for table in {handles.get(split(text), "") for text in data_inputs(node)} - {""}:
            if node.op in HANDING_ON:
                handles.update(dict.fromkeys(handed(node), table))
            elif node.op in TABLE_CHANGES:
                changes.setdefault(table, set()).add(node.name)
            else:
                users[node.name] = table
    return users, changes
