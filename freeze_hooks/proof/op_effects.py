"""Which op types are variables and tables, which change state, and which only read.

These lists are kept apart from those of `graph/`, so that a proof does not repeat their mistakes.
"""

from __future__ import annotations

import re
from typing import Any, Container, Dict, Iterable, Iterator, List

from .._tf import op_def

VARIABLES = frozenset(("Variable", "VariableV2", "VarHandleOp"))
MUTABLE_TABLES = frozenset(
    ("MutableHashTable", "MutableHashTableOfTensors", "MutableDenseHashTable")
    + ("MutableHashTableV2", "MutableHashTableOfTensorsV2", "MutableDenseHashTableV2")
)
STATIC_TABLES = frozenset(("HashTable", "HashTableV2"))
# Ops that fill a table; their second input is the keys or a file name.
FILLS = frozenset(
    ("InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2")
    + ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
    + ("InitializeTableFromDataset",)
)
# Ops that only read, though they are stateful or take references.
_READS = (
    VARIABLES
    | STATIC_TABLES
    | MUTABLE_TABLES
    | {
        "AnonymousHashTable",
        "LookupTableFind",
        "LookupTableFindV2",
        "LookupTableSize",
        "LookupTableSizeV2",
        "ReadVariableOp",
        "RefEnter",
        "RefExit",
        "RefIdentity",
        "RefMerge",
        "RefNextIteration",
        "RefSwitch",
        "ResourceGather",
        "ResourceGatherNd",
    }
)
# Stateful ops whose state ends with a run: function calls, and the lists of TensorFlow 1's loops
_OF_ONE_RUN = re.compile(r"(TensorArray|Stack|Assert|Print|While|If|Case|StatefulPartitionedCall)")
_TABLE_CHANGES = re.compile(r"LookupTable(Insert|Remove|Import)")
_FED_IN_TRAINING = re.compile(
    r"(Placeholder(V2)?|IteratorGetNext(Sync)?|.*QueueDequeue.*|ReaderRead.*|Unstage)$"
)


def only_reads(op: Any) -> bool:
    """Return whether an op changes no state. For an op that calls functions: as it declares."""
    changes = op.op_def.is_stateful or any(arg.is_ref for arg in op.op_def.input_arg)
    return op.type in _READS or not changes


def calls_functions(node: Any) -> bool:
    """Return whether a NodeDef's op calls functions, such as While."""
    return any(value.HasField("func") for value in node.attr.values())


def changes(graph_def: Any) -> bool:
    """Return whether a node of a GraphDef, or of its library's functions, changes state."""
    for node in _all_nodes(graph_def):
        definition = op_def(node.op)
        stateful = definition is not None and definition.is_stateful
        if stateful and not calls_functions(node) and node.op not in _READS:
            return True
    return False


def changes_tables(graph_def: Any) -> bool:
    """Return whether a node of it, or of its library's functions, changes a lookup table."""
    return any(_TABLE_CHANGES.match(node.op) for node in _all_nodes(graph_def))


def leaves_no_state(graph_def: Any) -> bool:
    """Return whether a run of a frozen graph leaves nothing behind that a later run could find.

    Filled static tables stay; filling them again with the same entries changes nothing.
    """
    kept = VARIABLES | MUTABLE_TABLES
    for node in _all_nodes(graph_def):
        if node.op in kept:
            return False
        if node.op in _READS | FILLS or _OF_ONE_RUN.match(node.op):
            continue
        definition = op_def(node.op)
        if definition is not None and definition.is_stateful:
            return False
    return True


def fill_tables_in_functions(graph_def: Any) -> bool:
    """Return whether a function of the library fills a table."""
    return any(n.op in FILLS for f in graph_def.library.function for n in f.node_def)


def _all_nodes(graph_def: Any) -> Iterator[Any]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def is_fed_in_training(kind: str) -> bool:
    """Return whether ops of this type give the training's feeds or the pipeline's batches."""
    return bool(_FED_IN_TRAINING.match(kind))


def needed(graph: Any, tensors: Iterable[str], given: Container[str]) -> List[Any]:
    """Return the ops that run to compute `tensors`, when the values of `given` are fed."""
    stack = [graph.get_tensor_by_name(name) for name in tensors]
    ops = [tensor.op for tensor in stack if tensor.name not in given]
    found: Dict[str, Any] = {}
    while ops:
        op = ops.pop()
        if op.name not in found:
            found[op.name] = op
            ops += [tensor.op for tensor in op.inputs if tensor.name not in given]
            ops += op.control_inputs
    return list(found.values())
