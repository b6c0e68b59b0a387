"""Reads from a Saver's restore ops where a checkpoint holds each variable."""

from __future__ import annotations

from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from .names import split
from .ops import AFTER_RESTORES, ASSIGNS, RESTORES, WRITES
from .walks import above


class SavedKey(NamedTuple):
    """Where a Saver puts a variable: the checkpoint's key, and for a partition the slice of it."""

    key: str
    begin: Optional[Tuple[int, ...]] = None
    size: Optional[Tuple[int, ...]] = None


def restored_keys(graph_def: Any, restore_op: str = "") -> Dict[str, SavedKey]:
    """Return {variable's node: where in the checkpoint its value is}.

    Args:
      graph_def: a graph with a Saver's ops, or with the restore function of a SavedModel.
      restore_op: SaverDef.restore_op_name; without it, all restore ops of the graph count.
    """
    nodes = {node.name: node for node in graph_def.node}
    root = split(restore_op)[0]
    chosen = above(nodes, [root]) if root in nodes else nodes
    found = dict(_restored(nodes, chosen, lambda text: split(text)[0]))
    functions = {f.signature.name: f for f in graph_def.library.function}
    for name in sorted(chosen):
        attrs = nodes[name].attr
        function = functions.get(attrs["f"].func.name) if "f" in attrs else None
        if function is not None:
            found.update(_restored_in_call(nodes[name], function))
    return found


def changed_when_restored(graph_def: Any, restore_op: str) -> Set[str]:
    """Return the variables' nodes whose values a restore op computes from checkpointed ones.

    Args:
      graph_def: a graph with a Saver's ops.
      restore_op: SaverDef.restore_op_name; if the graph lacks it, the result is empty.
    """
    nodes = {node.name: node for node in graph_def.node}
    root = split(restore_op)[0]
    changed = set()
    for name in above(nodes, [root]):
        node = nodes[name]
        if not WRITES.match(node.op) or len(node.input) < 2:
            continue
        source, _ = _source(nodes, node.input[1])
        if node.op not in ASSIGNS or source is None or not _is_plain(nodes, source):
            changed.add(split(node.input[0])[0])
    return changed


def _is_plain(nodes: Mapping[str, Any], source: Any) -> bool:
    """Return whether a node reads a checkpoint, and the graph tells the keys."""
    return source.op in RESTORES and len(_strings(nodes, source.input[1])) > 0


def _restored_in_call(call: Any, function: Any) -> Dict[str, SavedKey]:
    given = dict(zip((arg.name for arg in function.signature.input_arg), call.input))
    inner = {node.name: node for node in function.node_def}

    def variable(text: str) -> Optional[str]:
        outer = given.get(text)
        return None if outer is None else split(outer)[0]

    return dict(_restored(inner, inner, variable))


def _restored(
    nodes: Mapping[str, Any], chosen: Iterable[str], variable: Callable[[str], Optional[str]]
) -> Iterator[Tuple[str, SavedKey]]:
    read: Dict[str, List[Tuple[str, ...]]] = {}  # a saver has one RestoreV2 for all keys
    for name in chosen:
        node = nodes[name]
        if node.op not in ASSIGNS or len(node.input) < 2:
            continue
        source, port = _source(nodes, node.input[1])
        handle = variable(node.input[0])
        if source is None or source.op != "RestoreV2" or handle is None:
            continue
        if source.name not in read:
            both = (_strings(nodes, text) for text in source.input[1:3])
            read[source.name] = [tuple(value.decode() for value in strings) for strings in both]
        keys, slices = read[source.name]
        if port < len(keys) and port < len(slices):
            yield handle, _place(keys[port], slices[port])


def _source(nodes: Mapping[str, Any], text: str) -> Tuple[Optional[Any], int]:
    """Return the node that an input comes from, without Identity and Reshape, and its port."""
    while True:
        name, _, port = text.partition(":")
        node = nodes.get(name)
        if node is None or node.op not in AFTER_RESTORES:
            return node, int(port.rpartition(":")[2] or 0)  # "name:tensors:3" in a function
        text = node.input[0]


def _strings(nodes: Mapping[str, Any], text: str) -> Sequence[bytes]:
    node, _ = _source(nodes, text)
    if node is None or node.op != "Const":
        return ()
    strings: Sequence[bytes] = node.attr["value"].tensor.string_val
    return strings


def slice_text(place: SavedKey, shape: Sequence[int]) -> str:
    """Spell a slice of a tensor of this shape as RestoreV2 takes it; "" is the whole tensor."""
    if place.begin is None or place.size is None:
        return ""
    extents = [f"{begin},{size}" for begin, size in zip(place.begin, place.size)]
    return " ".join([*map(str, shape), ":".join(extents)])


def _place(key: str, slice_spec: str) -> SavedKey:
    """Parse a slice as TensorSlice spells it: "8 6 0,4:-" is rows 0 to 3 of [8, 6]."""
    if not slice_spec:
        return SavedKey(key)
    *shape, extents = slice_spec.split(" ")
    begin, size = [], []
    for whole, extent in zip(shape, extents.split(":")):
        first, _, length = extent.partition(",")
        begin.append(0 if extent == "-" else int(first))
        size.append(int(whole) if extent == "-" else int(length))
    return SavedKey(key, tuple(begin), tuple(size))
