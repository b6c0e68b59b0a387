"""Library: the functions of a GraphDef, converted from and to bodies."""

from __future__ import annotations

import dataclasses
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Set,
    Tuple,
)

from .._protos import FunctionDef, GraphDef, NodeDef
from ..errors import NotFreezableError
from .body import Body, output_groups, output_type, widths
from .names import join, split, unique
from .op_registry import op_def
from .ops import ARG, CALLS, CASES, IFS
from .prune import prune

_MOST_COPIED = 1 << 21  # nodes; 40 functions, each with two calls of the next, would make 2**40
_COPY = 16  # nodes that take as long as a copy's fixed cost


class Library:
    """The functions of one GraphDef, parsed on demand; passes add specialised copies."""

    def __init__(self, library: Any) -> None:
        self._defs: Dict[str, Any] = {f.signature.name: f for f in library.function}
        self._bodies: Dict[str, Body] = {}
        self._copied = 0

    def __contains__(self, name: str) -> bool:
        return name in self._defs

    def signature(self, name: str) -> Any:
        """Return the OpDef of an op type: of a function called as an op, or the registered one."""
        return self._defs[name].signature if name in self._defs else op_def(name)

    def body(self, name: str, attrs: Optional[Mapping[str, Any]] = None) -> Body:
        """Return a pruned copy of the named function's body, which the caller may change."""
        if name not in self._defs:
            raise NotFreezableError(f"function {name!r} is not in the graph's library")
        definition = self._defs[name]
        if definition.signature.attr:  # polymorphic: the call's attributes give the types
            return self._counted(prune(_to_body(definition, attrs or {}, self), keep_order=True))
        if name not in self._bodies:
            self._bodies[name] = prune(_to_body(definition, {}, self), keep_order=True)
        return self._counted(prune(self._bodies[name], keep_order=True))

    def _counted(self, body: Body) -> Body:
        self._copied += len(body.nodes) + _COPY
        if self._copied > _MOST_COPIED:
            raise NotFreezableError(
                f"the graph's functions call each other too often: with each call replaced by "
                f"its function, it would have over {_MOST_COPIED:,} nodes"
            )
        return body

    def named_body(self, name: str) -> Body:
        """Return the body with the function's name as the prefix of node names in messages."""
        return dataclasses.replace(self.body(name), name=name + "/")

    def add(self, name: str, body: Body) -> str:
        """Store a body as a function named `name`, or `name_1`... if taken; return its name."""
        definition = _to_def(dataclasses.replace(body, name=unique(name, self._defs)), self)
        self._defs[definition.signature.name] = definition
        return str(definition.signature.name)

    def replace(self, name: str, body: Body) -> None:
        """Replace the body of an existing function; name, arguments and results stay."""
        definition = _to_def(dataclasses.replace(body, name=name), self)
        before = self._defs[name]
        for key, value in before.attr.items():
            definition.attr[key].CopyFrom(value)
        for index, attrs in before.arg_attr.items():
            definition.arg_attr[index].CopyFrom(attrs)
        self._defs[name] = definition
        self._bodies.pop(name, None)

    def all(self) -> List[Any]:
        """Return all FunctionDefs."""
        return list(self._defs.values())

    def used_by(self, nodes: Iterable[Any]) -> List[Any]:
        """Return the FunctionDefs that nodes need, directly or through others, sorted by name."""
        found: Dict[str, Any] = {}
        stack = list(nodes) if self._defs else []
        while stack:
            for name in referenced(stack.pop()):
                if name in self._defs and name not in found:
                    found[name] = self._defs[name]
                    stack.extend(self._defs[name].node_def)
        return [found[name] for name in sorted(found)]


def part_of(graph_def: Any, nodes: Iterable[Any]) -> Any:
    """Return a GraphDef of some nodes and the functions that they need, without devices."""
    part = GraphDef(node=nodes, versions=graph_def.versions)
    part.library.function.extend(Library(graph_def.library).used_by(part.node))
    for node in part.node:
        node.device = ""
        if "_class" in node.attr:
            del node.attr["_class"]
    return part


def referenced(node: Any) -> Iterator[str]:
    """Yield the names of the functions that a node refers to; its op may be one."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for func in value.list.func:
            yield func.name


def branches_of(node: Any) -> List[Any]:
    """Return the function references (NameAttrList) of an If, Case or While."""
    if node.op in IFS:
        return [node.attr["then_branch"].func, node.attr["else_branch"].func]
    if node.op in CASES:
        return list(node.attr["branches"].list.func)
    return [node.attr["cond"].func, node.attr["body"].func]


def holding(functions: Mapping[str, Iterable[Any]], is_held: Callable[[Any], bool]) -> Set[str]:
    """Return the names of the functions that contain certain nodes, or call one that does.

    Args:
      functions: {function's name: its nodes}.
      is_held: whether a node is one of those.
    """
    refers = {name: {r for n in nodes for r in referenced(n)} for name, nodes in functions.items()}
    fresh = {name for name, nodes in functions.items() if any(map(is_held, nodes))}
    found: Set[str] = set()
    while fresh:
        found |= fresh
        fresh = {name for name, names in refers.items() if names & fresh} - found
    return found


def outputs_of(graph_def: Any, names: Iterable[str]) -> List[str]:
    """Return tensors that stand for nodes as outputs, each once.

    A call stands as all its outputs, since inlining removes the node; another node as itself.
    """
    functions = {f.signature.name: len(f.signature.output_arg) for f in graph_def.library.function}
    nodes = {node.name: node for node in graph_def.node}

    def count(name: str) -> int:
        node = nodes.get(name)
        if node is not None and node.op in CALLS:
            return len(node.attr["Tout"].list.type)
        return 1 if node is None else functions.get(node.op, 1)

    found = (join(name, port) for name in names for port in range(max(1, count(name))))
    return list(dict.fromkeys(found))


def _arg(name: str, index: int, dtype: int) -> Any:
    node = NodeDef(name=name, op=ARG)
    node.attr["T"].type = dtype
    node.attr["index"].i = index
    return node


def _ports(node: Any, library: Library) -> Iterator[Tuple[str, str]]:
    """Yield (FunctionDef spelling, GraphDef spelling) of each output of a function's node."""
    if node.op == ARG:
        yield node.name, node.name
        return
    groups = output_groups(node, library.signature(node.op))
    port = 0
    for group, dtypes in groups:
        for i in range(len(dtypes)):
            yield f"{node.name}:{group}:{i}", join(node.name, port)
            port += 1


def _to_body(definition: Any, attrs: Mapping[str, Any], library: Library) -> Body:
    signature = definition.signature
    nodes: Dict[str, Any] = {}
    args: Dict[str, int] = {}
    tensors: Dict[str, str] = {}
    for arg in signature.input_arg:
        for i, dtype in enumerate(widths(arg, attrs)):
            name = unique(arg.name if i == 0 else f"{arg.name}_{i}", nodes)
            nodes[name] = _arg(name, len(args), dtype)
            args[name] = dtype
            tensors[f"{arg.name}:{i}"] = name
    for source in definition.node_def:
        node = NodeDef()
        node.CopyFrom(source)
        for value in node.attr.values():
            if value.placeholder in attrs:
                value.CopyFrom(attrs[value.placeholder])
        nodes[node.name] = node
    for node in nodes.values():
        tensors.update(_ports(node, library))

    def known(text: str) -> str:
        if text.startswith("^"):
            return text
        if text not in tensors:
            raise NotFreezableError(
                f"function {signature.name!r} refers to {text!r}, which it lacks"
            )
        return tensors[text]

    outputs, rets = [], []
    for ret in signature.output_arg:
        source = definition.ret[ret.name]
        for i in range(len(widths(ret, attrs))):
            if i:
                stem, first = source.rsplit(":", 1)
                outputs.append(known(f"{stem}:{int(first) + i}"))
            else:
                outputs.append(known(source))
            rets.append(ret.name if i == 0 else f"{ret.name}_{i}")
    for node in nodes.values():
        inputs = [known(text) for text in node.input]
        del node.input[:]
        node.input.extend(inputs)
    effects = tuple(definition.control_ret.values())
    return Body(nodes, outputs, signature.name, args, tuple(rets), effects)


def _to_def(body: Body, library: Library) -> Any:
    definition = FunctionDef()
    definition.signature.name = body.name
    for name, dtype in body.args.items():
        definition.signature.input_arg.add(name=name, type=dtype)
    spelled: Dict[str, str] = {}
    for node in body.nodes.values():
        spelled.update((graph, function) for function, graph in _ports(node, library))
    taken: Set[str] = set(body.args)
    for name, text in zip(body.rets, body.outputs):
        name = unique(name, taken)
        taken.add(name)
        node, port = split(text)
        returned = output_type(body.nodes[node], port)
        assert returned is not None, body.nodes[node].op
        definition.signature.output_arg.add(name=name, type=returned)
        definition.ret[name] = spelled[text]
    for node in body.nodes.values():
        if node.op != ARG:
            copy = definition.node_def.add()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(t if t.startswith("^") else spelled[t] for t in node.input)
    for name in body.effects:  # they may change what is read after a call
        definition.signature.control_output.append(name)
        definition.control_ret[name] = name
    return definition
