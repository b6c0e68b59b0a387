"""Whether a graph from a file is one at all: looked at once, so that all else can rely on it."""

from __future__ import annotations

import re
from typing import Any, Container, Dict, Iterable, Iterator, List, Mapping, Tuple

from .._tf import DATA_TYPES, DT_RESOURCE, DT_STRING, DT_VARIANT, TensorProto, itemsize, op_def
from .body import ARG, MERGES, NEXT_ITERATIONS, UNSET, Body, data_inputs, topological
from .functions import Library, referenced
from .names import CONTROL, split

_NODE_NAME = re.compile(
    r"[A-Za-z0-9_.][A-Za-z0-9_.\\/>-]*\Z"
)  # as TensorFlow has them, and _internal
_FUNCTION_NAME = re.compile(r"[^\x00-\x20\x7f]+\Z")  # "__inference_<lambda>_7"
_MOST_OUTPUTS = 1 << 20  # of all nodes: what a few bytes claim must not fill the memory
_MOST_BYTES = (1 << 31) - 1  # that a constant may claim: as many as a file may have
_MOST_NODES = 1 << 20  # with each function in place of each call of it
_DEEPEST = 500  # functions in functions
_POINTER = 8
_REFERENCES = 100  # DT_FLOAT_REF is this much above DT_FLOAT, and so on
_MOST_DIMS = 254  # of TensorFlow's TensorShape
_KINDS = {"string": "s", "int": "i", "float": "f", "bool": "b"}  # OpDef's words for AttrValue's
_LISTS = [f.name for f in TensorProto.DESCRIPTOR.fields if f.name.endswith("_val")]


def refuse_broken(graph_def: Any) -> None:
    """Make sure that a graph and its functions are such as TensorFlow writes.

    That is: names are names, and each has one node; edges lead to outputs that are there, and not
    round in a circle; nodes of ops that are known have the inputs and attributes of their ops; no
    tensor claims more elements than it may; functions do not call themselves, for which TensorFlow
    has no end, and call each other neither too deep nor, all in all, too often.

    Raises:
      ValueError: it is broken; the node is named.
    """
    claimed = 0
    for node, typed in _all_nodes(graph_def):
        claimed += _check_node(node, typed)
        if claimed > _MOST_OUTPUTS:
            raise ValueError(f"at node {node.name!r} the graph claims {claimed:,} tensors")
    _check_calls(graph_def)
    library = Library(graph_def.library)
    _check_edges(Body({node.name: node for node in graph_def.node}, []), library)
    for function in graph_def.library.function:
        if not function.signature.attr:  # else its types are its caller's
            _check_edges(library.named_body(function.signature.name), library)


def _all_nodes(graph_def: Any) -> Iterator[Tuple[Any, bool]]:
    """The nodes, and whether their attributes are given there, not by who calls the function."""
    functions = graph_def.library.function
    _distinct((function.signature.name for function in functions), "functions", _FUNCTION_NAME)
    for function in functions:
        for arg in [*function.signature.input_arg, *function.signature.output_arg]:
            _check_arg(arg)
        _distinct((node.name for node in function.node_def), "a function's nodes", _FUNCTION_NAME)
        yield from ((node, not function.signature.attr) for node in function.node_def)
    _distinct((node.name for node in graph_def.node), "nodes", _NODE_NAME)
    yield from ((node, True) for node in graph_def.node)


def _distinct(names: Iterable[str], what: str, spelling: Any) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} share a name, {name!r}")
        if not spelling.match(name):
            raise ValueError(f"{what} cannot be called {name!r}")
        seen.add(name)


def _check_arg(arg: Any) -> None:
    if not (arg.type_attr or arg.type_list_attr) and arg.type not in DATA_TYPES:
        raise ValueError(f"argument {arg.name!r} has no type")


def _check_node(node: Any, typed: bool) -> int:
    """How many outputs a node claims, after a look at its attributes."""
    definition = op_def(node.op)
    for attr in definition.attr if definition is not None else ():
        value = node.attr.get(attr.name)
        if value is None:
            if not attr.HasField("default_value"):
                raise ValueError(f"node {node.name!r} ({node.op}) lacks attribute {attr.name!r}")
        elif not _fits(value, attr.type) and (typed or not value.placeholder):
            raise ValueError(f"node {node.name!r} ({node.op}): {attr.name!r} is no {attr.type}")
    for value in node.attr.values():
        for shape in [value.shape] if value.HasField("shape") else value.list.shape:
            _elements(shape, node.name, -1)
        for tensor in [value.tensor] if value.HasField("tensor") else value.list.tensor:
            _check_tensor(tensor, node.name)
    return _count(definition.output_arg, node) if definition is not None else 0


def _count(args: Iterable[Any], node: Any) -> int:
    """How many tensors the arguments of a node's op stand for."""
    found = 0
    for arg in args:
        several = node.attr.get(arg.number_attr or arg.type_list_attr, UNSET)
        count = several.i if arg.number_attr else len(several.list.type)
        if count < 0:
            raise ValueError(f"node {node.name!r} claims {count:,} tensors")
        found += count if arg.number_attr or arg.type_list_attr else 1
    return found


def _fits(value: Any, kind: str) -> bool:
    held = value.WhichOneof("value")
    if kind.startswith("list("):
        types = value.list.type if kind == "list(type)" else ()
        return held == "list" and all(number in DATA_TYPES for number in types)
    if kind == "type":
        return held == "type" and value.type in DATA_TYPES
    return bool(held == _KINDS.get(kind, kind))


def _elements(shape: Any, name: str, least: int) -> int:
    """How many elements a shape has, at least; none of its dimensions may be below `least`."""
    sizes = [dim.size for dim in shape.dim]
    count = 1
    for size in sizes:
        count *= max(size, 1)
    if len(sizes) > _MOST_DIMS or any(size < least for size in sizes) or count >= 1 << 63:
        raise ValueError(f"node {name!r} has a shape that no tensor can have: {sizes[:8]}")
    return 0 if 0 in sizes else count


def _check_tensor(tensor: Any, name: str) -> None:
    if tensor.dtype not in DATA_TYPES or tensor.dtype > _REFERENCES:
        raise ValueError(f"node {name!r} has a value of no type")
    loose = tensor.dtype in (DT_STRING, DT_RESOURCE, DT_VARIANT)  # whose elements have no one size
    count = _elements(tensor.tensor_shape, name, 0)
    size = count * (_POINTER if loose else itemsize(tensor.dtype))
    if size > _MOST_BYTES:
        raise ValueError(f"node {name!r} claims a value of {size:,} bytes")
    given = sum(len(getattr(tensor, field)) for field in _LISTS)
    whole = loose or len(tensor.tensor_content) in (0, size)
    if not whole or given > 2 * count:  # two numbers for a complex one
        raise ValueError(f"node {name!r} has a value that does not fill its shape")


def _check_calls(graph_def: Any) -> None:
    """Look at how large the graph is with each function in place of each of its calls."""
    functions = {f.signature.name: f.node_def for f in graph_def.library.function}
    known: Dict[str, Tuple[int, int]] = {}  # nodes and depth
    stack = list(functions)
    opened = set()
    while stack:
        name = stack[-1]
        calls = _calls(functions[name], functions)
        waiting = [called for called in dict.fromkeys(calls) if called not in known]
        if name in known or not waiting:
            known.setdefault(name, _expanded(name, len(functions[name]), calls, known))
            stack.pop()
            continue
        opened.add(name)
        for called in waiting:
            if called in opened:
                raise ValueError(f"function {called!r} calls itself: there is no end to it")
        stack += waiting
    _expanded("", len(graph_def.node), _calls(graph_def.node, functions), known)


def _calls(nodes: Iterable[Any], functions: Container[str]) -> List[str]:
    return [name for node in nodes for name in referenced(node) if name in functions]


def _expanded(
    name: str, nodes: int, calls: Iterable[str], known: Mapping[str, Tuple[int, int]]
) -> Tuple[int, int]:
    inner = [known[called] for called in calls]
    size = 1 + nodes + sum(each for each, _ in inner)
    depth = 1 + max((each for _, each in inner), default=0)
    if size > _MOST_NODES or depth > _DEEPEST:
        where = f"function {name!r}" if name else "the graph"
        raise ValueError(f"{where} has {size:,} nodes with its calls, which are {depth} deep")
    return size, depth


def stored_bytes(tensor: Any) -> int:
    """The length of a constant's elements as the file has them, which may leave out repetitions."""
    if tensor.dtype == DT_STRING:
        return sum(map(len, tensor.string_val))
    if tensor.tensor_content or tensor.dtype in (DT_RESOURCE, DT_VARIANT):
        return len(tensor.tensor_content)
    given = sum(len(getattr(tensor, field)) for field in _LISTS)
    complexes = len(tensor.scomplex_val) + len(tensor.dcomplex_val)  # in two numbers each
    return (given - complexes // 2) * itemsize(tensor.dtype)


def _check_edges(body: Body, library: Library) -> None:
    outputs = {name: _outputs(node, library) for name, node in body.nodes.items()}
    for node in body.nodes.values():
        _check_inputs(node, library, outputs)
    place = {node.name: i for i, node in enumerate(topological(body))}
    for node in body.nodes.values():
        for above in (split(text)[0] for text in node.input):
            loop = node.op in MERGES and body.nodes[above].op in NEXT_ITERATIONS
            if place[above] >= place[node.name] and not loop:
                raise ValueError(f"nodes {above!r} and {node.name!r} wait for each other")


def _check_inputs(node: Any, library: Library, outputs: Mapping[str, int]) -> None:
    for text in node.input:
        name, port = split(text)
        there = name in outputs and (port == CONTROL or 0 <= port < outputs[name])
        if not there or (port == CONTROL) != text.startswith("^"):
            raise ValueError(f"node {node.name!r} takes input {text!r}, which is not there")
    definition = None if node.op == ARG else library.signature(node.op)
    if definition is not None:
        given, wanted = len(list(data_inputs(node))), _count(definition.input_arg, node)
        if given != wanted:
            raise ValueError(f"node {node.name!r} ({node.op}) takes {given} inputs, not {wanted}")


def _outputs(node: Any, library: Library) -> int:
    definition = library.signature(node.op)
    if node.op == ARG:
        return 1
    return 1 << 31 if definition is None else _count(definition.output_arg, node)
