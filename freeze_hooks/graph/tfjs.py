"""What TensorFlow.js can run of a graph: its ops, their attributes, and its dtypes.

`tfjs_ops.txt` has an op a line, with the attributes that TF.js reads; where an attribute is not
read, or has `!`, only its default is right. `tests/programs/tfjs_ops.py` writes the file from the
npm package, and a test compares the two.
"""

from __future__ import annotations

import functools
import pkgutil
from typing import Any, Container, Dict, FrozenSet, Iterator, List, Mapping, Optional

import numpy as np

from .._protos import dtype_name, to_array
from .body import UNSET, Body, output_groups
from .lint import is_training
from .names import split
from .op_registry import op_def
from .ops import BATCH_NORMS, FILLS, LOOKUPS, MERGES, TABLES
from .walks import consumers

# {dtype of TensorFlow: that of TF.js}; what is not here, TF.js cannot hold.
STORED: Dict[str, str] = {
    "float32": "float32",
    "int32": "int32",
    "bool": "bool",
    "complex64": "complex64",
    "int64": "int32",
    "uint8": "int32",
    "int8": "int32",
    "uint16": "int32",
    "int16": "int32",
    "float64": "float32",
}
_SMALL = frozenset(("uint8", "int8", "uint16", "int16"))
# variant: lists of tensors; resource: TensorArrays
_HELD = frozenset(STORED) - _SMALL - {"float64"} | {"variant", "resource"}
# With small integers, these only move or choose elements, so that int32 has the same ones.
_MOVING = frozenset(
    ("Placeholder", "PlaceholderWithDefault", "Const", "Identity", "Reshape", "Squeeze", "Tile")
    + ("ExpandDims", "Transpose", "Gather", "GatherV2", "GatherNd", "Slice", "StridedSlice")
    + ("Concat", "ConcatV2", "Pack", "Unpack", "Split", "SplitV", "ReverseV2", "Pad", "PadV2")
    + ("MirrorPad", "Select", "SelectV2", "Maximum", "Minimum", "Switch", "Merge", "Enter")
    + ("Exit", "NextIteration", "IdentityN", "BroadcastTo", "Fill", "ZerosLike", "OnesLike")
)
# FakeQuantWithMinMaxVars is passed over, which changes answers; tables are not filled.
_REFUSED = LOOKUPS | FILLS | {"FakeQuantWithMinMaxVars"}
_ONE_OUTPUT = MERGES | BATCH_NORMS  # of which TF.js returns the first output alone
# Attributes that change no answer.
_FREE = frozenset(
    ("use_cudnn_on_gpu", "parallel_iterations", "frame_name", "validate_indices", "shared_name")
    + ("container", "message", "is_training", "exponential_avg_factor")
)
_MAX32, _MIN32 = 2**31 - 1, -(2**31)


@functools.lru_cache(maxsize=None)
def known_ops() -> Mapping[str, FrozenSet[str]]:
    """Return {op that TF.js has: the attributes that it reads}."""
    data = pkgutil.get_data(__package__, "tfjs_ops.txt") or b""
    lines = (line.split() for line in data.decode().splitlines() if line[:1] != "#")
    return {op: frozenset(name for name in names if name[0] != "!") for op, *names in lines}


def lacking(body: Body, slots: Container[str] = ()) -> List[str]:
    """Return what TF.js lacks to run a graph, with the names of nodes.

    Args:
      body: the graph, without functions.
      slots: names of Consts that lack their values.
    """
    found: Dict[str, List[str]] = {}
    users = consumers(body.nodes, data_only=True)
    for node in body.nodes.values():
        for problem in _problems(node, node.name in slots, users.get(node.name, ())):
            found.setdefault(problem, []).append(node.name)
    return [f"{problem} ({_listed(names)})" for problem, names in sorted(found.items())]


def _listed(names: List[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


def _problems(node: Any, is_slot: bool, users: Any) -> Iterator[str]:
    if node.op not in known_ops() or TABLES.match(node.op) or node.op in _REFUSED:
        yield f"it has no op {node.op!r}"
        return
    definition = op_def(node.op)
    for dtype in sorted({dtype for _, group in output_groups(node, definition) for dtype in group}):
        problem = _of_dtype(node, dtype_name(dtype), is_slot, users)
        if problem is not None:
            yield problem
    yield from _of_attributes(node, definition)
    if node.op in _ONE_OUTPUT and any(_port(user, i) > 0 for user, i in users):
        yield f"its {node.op} has one output"


def _port(user: Any, index: int) -> int:
    return split(user.input[index])[1]


def _of_dtype(node: Any, dtype: str, is_slot: bool, users: Any) -> Optional[str]:
    """Return what is wrong with an output of this dtype; None if nothing is."""
    is_const = node.op == "Const"
    is_held = dtype in _HELD or (dtype in _SMALL and node.op in _MOVING)
    if dtype == "float64" and is_const and not is_slot:
        is_held = all(user.op == "Cast" for user, _ in users)
    if not is_held:
        return f"it has no dtype {dtype}"
    if not is_const or is_slot:
        return None
    return unheld(_content(node), dtype)


def _content(node: Any) -> Any:
    return to_array(node.attr["value"].tensor)


def unheld(array: Any, dtype: str) -> Optional[str]:
    """Say which number of an array of this dtype TF.js cannot hold; None if it holds all."""
    if dtype in ("int64", "uint32", "uint64") and array.size:
        low, high = int(array.min()), int(array.max())
        if low < _MIN32 or high > _MAX32:
            return f"its int32 cannot hold {low if low < _MIN32 else high}, an {dtype}"
    if dtype == "float64":
        with np.errstate(over="ignore"):
            kept = (array.astype(np.float32) == array) | np.isnan(array)
        if not kept.all():
            return f"its float32 cannot hold {array[~kept].reshape(-1)[0]!r}, a float64, exactly"
    return None


def _of_attributes(node: Any, definition: Any) -> Iterator[str]:
    """Yield what is wrong with attributes that TF.js does not read."""
    if node.op in BATCH_NORMS and is_training(node):
        yield f"its {node.op} has no training mode"
    read, given = known_ops()[node.op], _numbers_of(node.op)
    for attr in definition.attr if definition is not None else ():
        skipped = attr.name in read | given | _FREE or attr.type in ("type", "list(type)")
        if skipped or attr.name not in node.attr:
            continue
        value = node.attr[attr.name]
        if attr.HasField("default_value") and value != attr.default_value:
            yield f"its {node.op} has no {attr.name}={_told(value)}"
    layout = node.attr.get("data_format", UNSET).s.decode(errors="replace")
    if layout.startswith("NC"):
        yield f"it has no layout {layout}: use channels_last"


@functools.lru_cache(maxsize=None)
def _numbers_of(op: str) -> FrozenSet[str]:
    """Return the attributes of an op that its inputs tell, such as how many they are."""
    definition = op_def(op)
    given = [] if definition is None else [*definition.input_arg, *definition.output_arg]
    return frozenset(arg.number_attr for arg in given if arg.number_attr)


def _told(value: Any) -> str:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else None
    if kind == "list":
        found = [number for field in ("i", "f", "b", "s") for number in getattr(found, field)]
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)
