"""Checks once that a graph from a file is a valid graph, so that other code can rely on it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Container, Dict, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from .._protos import (
    DATA_TYPES,
    DT_RESOURCE,
    DT_STRING,
    DT_VARIANT,
    MOST_DIMS,
    REFERENCES,
    TensorProto,
    itemsize,
)
from ..errors import NotFreezableError
from .body import UNSET, Body
from .functions import Library, referenced
from .names import split
from .ops import ARG, MERGES, NEXT_ITERATIONS
from .walks import topological

# TensorFlow's rule, and also names that begin with "_"
_NODE_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.\\/>-]*\Z")
_FUNCTION_NAME = re.compile(r"[^\x00-\x20\x7f]+\Z")  # "__inference_<lambda>_7"
_MOST_OUTPUTS = 1 << 20  # of all nodes; what a few bytes claim must not fill memory
_MOST_BYTES = (1 << 31) - 1  # that a constant may claim; a file cannot have more
_MOST_NODES = 1 << 20  # with each call replaced by its function
_DEEPEST = 500  # calls inside calls
_POINTER = 8
_KINDS = {"string": "s", "int": "i", "float": "f", "bool": "b"}  # {OpDef's word: AttrValue's field}
_CLAIMING = ("tensor", "shape", "list")
_LISTS = [f.name for f in TensorProto.DESCRIPTOR.fields if f.name.endswith("_val")]


def refuse_broken(graph_def: Any) -> None:
    """Check that a graph and its functions are valid.

    Names are well-formed and unique. Inputs exist, and there are no cycles. Nodes of known ops have
    their ops' inputs and attributes. No tensor claims too many elements. Functions are not
    recursive, since TensorFlow would never end, and do not call each other too deep or too often.

    Raises:
      ValueError: the graph is broken; names the node.
    """
    ops = _Ops(graph_def.library)
    _check_functions(graph_def.library.function, ops)
    _distinct((node.name for node in graph_def.node), "nodes", _NODE_NAME)
    for node in graph_def.node:
        ops.check(node, typed=True)
    if graph_def.library.function:
        _check_calls(graph_def)
    _check_edges(Body({node.name: node for node in graph_def.node}, []), ops)
    for function in graph_def.library.function:
        if not function.signature.attr:  # else its types come from its calls
            _check_edges(_body(function.signature.name, ops.library), ops)


def _body(name: str, library: Library) -> Body:
    try:
        return library.named_body(name)
    except NotFreezableError as error:
        raise ValueError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class _Count:
    """How many tensors the arguments of an op stand for: `fixed`, plus what attributes give."""

    fixed: int
    numbers: Tuple[str, ...]
    lists: Tuple[str, ...]

    @classmethod
    def of(cls, args: Iterable[Any]) -> _Count:
        given = list(args)
        numbers = tuple(arg.number_attr for arg in given if arg.number_attr)
        lists = tuple(arg.type_list_attr for arg in given if arg.type_list_attr)
        return cls(len(given) - len(numbers) - len(lists), numbers, lists)

    def at(self, node: Any) -> int:
        found = self.fixed
        for attr in self.numbers:
            count = node.attr.get(attr, UNSET).i
            if count < 0:
                raise ValueError(f"node {node.name!r} claims {count:,} tensors")
            found += count
        for attr in self.lists:
            found += len(node.attr.get(attr, UNSET).list.type)
        return found


@dataclasses.dataclass(frozen=True)
class _Op:
    """What the checks need of an op, computed once for all its nodes."""

    kinds: Mapping[str, str]  # {attribute: kind}
    needed: FrozenSet[str]  # attributes without a default
    takes: _Count
    gives: _Count

    @classmethod
    def of(cls, definition: Any) -> _Op:
        attrs = definition.attr
        return cls(
            {attr.name: attr.type for attr in attrs},
            frozenset(attr.name for attr in attrs if not attr.HasField("default_value")),
            _Count.of(definition.input_arg),
            _Count.of(definition.output_arg),
        )


class _Ops:
    """The ops of a graph: registered ones, and functions called as ops."""

    def __init__(self, library: Any) -> None:
        self.library = Library(library)
        self._known: Dict[str, Optional[_Op]] = {}
        self._claimed = 0

    def __getitem__(self, name: str) -> Optional[_Op]:
        if name not in self._known:
            definition = self.library.signature(name)
            self._known[name] = None if definition is None else _Op.of(definition)
        return self._known[name]

    def check(self, node: Any, typed: bool) -> None:
        """Check a node's attributes; without `typed`, a function's call may give them."""
        op = self[node.op]
        kinds = op.kinds if op is not None else {}
        missing = len(op.needed) if op is not None else 0
        for name, value in node.attr.items():
            held = value.WhichOneof("value")
            kind = kinds.get(name)
            if (
                kind is not None
                and not _fits(value, held, kind)
                and (typed or not value.placeholder)
            ):
                raise ValueError(f"node {node.name!r} ({node.op}): {name!r} is not of kind {kind}")
            if held in _CLAIMING:
                _check_claims(value, held, node.name)
            missing -= op is not None and name in op.needed
        if missing and op is not None:
            lacked = sorted(name for name in op.needed if name not in node.attr)
            raise ValueError(f"node {node.name!r} ({node.op}) lacks attribute {lacked[0]!r}")
        given = op.gives.at(node) if op is not None else 0
        self._claimed += given
        if self._claimed > _MOST_OUTPUTS:
            raise ValueError(
                f"node {node.name!r} claims {given:,} tensors, of {self._claimed:,} in the graph"
            )


def _check_functions(functions: Any, ops: _Ops) -> None:
    _distinct((function.signature.name for function in functions), "functions", _FUNCTION_NAME)
    for function in functions:
        for arg in [*function.signature.input_arg, *function.signature.output_arg]:
            _check_arg(arg)
        _distinct((node.name for node in function.node_def), "a function's nodes", _FUNCTION_NAME)
        for node in function.node_def:
            ops.check(node, typed=not function.signature.attr)


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


def _check_claims(value: Any, held: str, name: str) -> None:
    if held == "tensor":
        _check_tensor(value.tensor, name)
    elif held == "shape":
        _elements(value.shape, name, -1)
    else:
        for shape in value.list.shape:
            _elements(shape, name, -1)
        for tensor in value.list.tensor:
            _check_tensor(tensor, name)


def _fits(value: Any, held: Optional[str], kind: str) -> bool:
    if kind.startswith("list("):
        types = value.list.type if kind == "list(type)" else ()
        return held == "list" and all(number in DATA_TYPES for number in types)
    if kind == "type":
        return held == "type" and value.type in DATA_TYPES
    return bool(held == _KINDS.get(kind, kind))


def _elements(shape: Any, name: str, least: int) -> int:
    """Return a shape's least number of elements; no dimension may be below `least`."""
    sizes = [dim.size for dim in shape.dim]
    count = 1
    for size in sizes:
        count *= max(size, 1)
    if len(sizes) > MOST_DIMS or any(size < least for size in sizes) or count >= 1 << 63:
        raise ValueError(f"node {name!r} has a shape that no tensor can have: {sizes[:8]}")
    return 0 if 0 in sizes else count


def _check_tensor(tensor: Any, name: str) -> None:
    if tensor.dtype not in DATA_TYPES or tensor.dtype > REFERENCES:
        raise ValueError(f"node {name!r} has a value without a type")
    loose = tensor.dtype in (DT_STRING, DT_RESOURCE, DT_VARIANT)  # elements have no fixed size
    count = _elements(tensor.tensor_shape, name, 0)
    size = count * (_POINTER if loose else itemsize(tensor.dtype))
    if size > _MOST_BYTES:
        raise ValueError(f"node {name!r} claims a value of {size:,} bytes")
    given = sum(len(getattr(tensor, field)) for field in _LISTS)
    whole = loose or len(tensor.tensor_content) in (0, size)
    if not whole or given > 2 * count:  # a complex number takes two
        raise ValueError(f"node {name!r} has a value that does not fill its shape")


def _check_calls(graph_def: Any) -> None:
    """Check how large the graph is with each call replaced by its function."""
    functions = {f.signature.name: f.node_def for f in graph_def.library.function}
    known: Dict[str, Tuple[int, int]] = {}  # {function: (nodes, depth)}
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
                raise ValueError(
                    f"function {called!r} calls itself (through {name}): recursion cannot be frozen"
                )
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
    """Return the number of bytes of a constant in the file, which may leave out repetitions."""
    if tensor.dtype == DT_STRING:
        return sum(map(len, tensor.string_val))
    if tensor.tensor_content or tensor.dtype in (DT_RESOURCE, DT_VARIANT):
        return len(tensor.tensor_content)
    given = sum(len(getattr(tensor, field)) for field in _LISTS)
    complexes = len(tensor.scomplex_val) + len(tensor.dcomplex_val)  # two numbers each
    return (given - complexes // 2) * itemsize(tensor.dtype)


def _check_edges(body: Body, ops: _Ops) -> None:
    outputs = {name: _outputs(node, ops) for name, node in body.nodes.items()}
    seen = set()
    ordered = True
    for node in body.nodes.values():
        _check_inputs(node, ops, outputs)
        ordered = ordered and all(split(text)[0] in seen for text in node.input)
        seen.add(node.name)
    if not ordered:  # such as hand-made graphs and v1 loops
        _check_order(body)


def _check_order(body: Body) -> None:
    place = {node.name: i for i, node in enumerate(topological(body))}
    for node in body.nodes.values():
        for above in (split(text)[0] for text in node.input):
            loop = node.op in MERGES and body.nodes[above].op in NEXT_ITERATIONS
            if place[above] >= place[node.name] and not loop:
                raise ValueError(f"nodes {above!r} and {node.name!r} wait for each other")


def _check_inputs(node: Any, ops: _Ops, outputs: Mapping[str, int]) -> None:
    given = 0
    for text in node.input:
        if text.startswith("^"):
            there = text[1:] in outputs
        else:
            given += 1
            name, port = split(text)
            there = 0 <= port < outputs.get(name, 0)
        if not there:
            raise ValueError(f"node {node.name!r} takes input {text!r}, which is not there")
    op = None if node.op == ARG else ops[node.op]
    wanted = given if op is None else op.takes.at(node)
    if given != wanted:
        raise ValueError(f"node {node.name!r} ({node.op}) takes {given} inputs, not {wanted}")


def _outputs(node: Any, ops: _Ops) -> int:
    if node.op == ARG:
        return 1
    op = ops[node.op]
    return 1 << 31 if op is None else op.gives.at(node)
