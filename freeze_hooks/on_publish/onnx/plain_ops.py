"""Replaces ops of a GraphDef by simpler ops that compute the same, as given by rules."""

from __future__ import annotations

import functools
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf

from ... import _protos, _tf
from ..._protos import AttrValue, GraphDef
from ..._tf import v1
from ...graph.body import Body, data_inputs, output_groups, widths
from ...graph.frames import has_frames
from ...graph.functions import Library
from ...graph.names import join, split, tensor_name
from ...graph.ops import ARG
from ...graph.passes.inline import paste
from .static import Static

# A rule gets a node and its input tensors, in a separate graph. It returns the tensors that replace
# the node's outputs (or the one tensor), or None to leave the node as it is.
Rule = Callable[..., Any]
_SMALL = 1000  # elements: larger constants are placeholders for a rule
_ROUNDS = 10  # a rule's result may contain ops that have a rule again


class Known(NamedTuple):
    """What is known of a tensor before the graph runs."""

    dtype: int
    shape: Any
    value: Any  # an array, whose unknown elements are None; or None


def in_plain_ops(graph_def: Any, rules: Mapping[str, Rule]) -> Any:
    """Return a copy of a GraphDef, with its functions, in which rules have replaced ops.

    A replaced node becomes an Identity or IdentityN of the tensors that replace its outputs, so
    all names stay. Constants of up to 1000 elements are also constants in a rule's graph.

    Raises:
      Refused: a rule refuses a node.
      RecursionError: the rules replace without end.
    """
    for _ in range(_ROUNDS):
        library = Library(graph_def.library)
        nodes = (_own(node) if node.op in rules else node for node in graph_def.node)
        body = Body({node.name: node for node in nodes}, [])
        there = any(node.op in rules for node in graph_def.node)
        changed = _replace(body, rules, Static(graph_def if there else None))
        for function in graph_def.library.function:
            if any(node.op in rules for node in function.node_def):
                inner = library.body(function.signature.name)
                if _replace(inner, rules, Static(None)):
                    library.replace(function.signature.name, inner)
                    changed = True
        if not changed:
            return graph_def
        result = GraphDef(node=body.nodes.values(), versions=graph_def.versions)
        result.library.function.extend(library.all())
        result.library.gradient.extend(graph_def.library.gradient)
        graph_def = result
    raise RecursionError("the rules replace each other's results without end")


def _own(node: Any) -> Any:
    copy = _protos.NodeDef()
    copy.CopyFrom(node)
    return copy


def _replace(body: Body, rules: Mapping[str, Rule], static: Static) -> bool:
    """Replace nodes in a body; return whether any was replaced."""
    framed, changed = has_frames(body.nodes), False
    for node in list(body.nodes.values()):
        if node.op not in rules:
            continue
        rule = functools.partial(rules[node.op], node)
        inner = traced(rule, known_inputs(body, node, static), output_dtypes(node))
        if inner is None:
            continue
        changed = True
        stand_for(node, pasted(body, node.name, inner, data_inputs(node), framed))
    return changed


def pasted(body: Body, scope: str, inner: Body, inputs: Sequence[str], framed: bool) -> List[str]:
    """Copy a traced function into a body; return the names of its results there."""
    copies, results = paste(body, scope, inner, inputs)
    if framed and inputs:  # in a loop, a constant needs a control input from the loop
        for copy in copies.values():
            if not copy.input:
                copy.input.append(body.pivot(inputs[0]))
    return results


def known_inputs(body: Body, node: Any, static: Static) -> List[Known]:
    """Return what is known of a node's inputs."""
    definition: Any = _tf.op_def(node.op)
    dtypes = [dtype for arg in definition.input_arg for dtype in widths(arg, node.attr)]
    found = []
    for text, dtype in zip(data_inputs(node), dtypes):
        name = tensor_name(text)
        value = _constant(body, text)
        value = static.value(name) if value is None else value
        found.append(Known(dtype, static.shape(name), value))
    return found


def output_dtypes(node: Any) -> List[int]:
    """Return the DataType number of each output of a node."""
    return [dtype for _, group in output_groups(node, _tf.op_def(node.op)) for dtype in group]


def _constant(body: Body, text: str) -> Any:
    """Return the array of a small constant in a body; None for other nodes."""
    node = body.nodes.get(split(text)[0])
    while node is not None and node.op == "Identity":
        node = body.nodes.get(split(node.input[0])[0])
    if node is None or node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    if tf.TensorShape(tensor.tensor_shape).num_elements() > _SMALL:
        return None
    return tf.make_ndarray(tensor)


def _placed(name: str, known: Known) -> Any:
    """Return a tensor for an input in the rule's graph; a constant where the value is known."""
    dtype = tf.as_dtype(known.dtype)
    if known.value is not None and None not in known.value.reshape(-1).tolist():
        return tf.constant(known.value, dtype)
    tensor = v1.placeholder(dtype, known.shape, name)
    if known.value is None:
        return tf.identity(tensor)  # so that a rule may return its argument
    parts = [tensor[i] if v is None else tf.constant(v, dtype) for i, v in enumerate(known.value)]
    return tf.stack(parts)


def traced(
    function: Callable[..., Any], inputs: Sequence[Known], wanted: Sequence[int]
) -> Optional[Body]:
    """Trace a Python function of tensors into a Body; return None if the function returns None.

    Args:
      function: is called in a separate graph.
      inputs: what is known of its arguments.
      wanted: the DataType numbers that it must return.
    """
    args = {f"arg_{number}": known.dtype for number, known in enumerate(inputs)}
    with tf.Graph().as_default() as graph:
        results = function(*(_placed(name, known) for name, known in zip(args, inputs)))
        if results is None:
            return None
        results = results if isinstance(results, (list, tuple)) else [results]
        outputs = [split(tensor.name) for tensor in results]
    got = [tensor.dtype.as_datatype_enum for tensor in results]
    assert got == list(wanted), f"{function} gives {got}, not {wanted}"
    nodes = {copy.name: copy for copy in graph.as_graph_def().node}
    for name, dtype in args.items():
        nodes[name] = _argument(name, dtype)
    return Body(nodes, [join(name, port) for name, port in outputs], args=args)


def _argument(name: str, dtype: int) -> Any:
    node = _protos.NodeDef(name=name, op=ARG)
    node.attr["T"].type = dtype
    return node


def stand_for(node: Any, results: Sequence[str]) -> None:
    """Turn a node into an Identity or IdentityN of the tensors that replace its outputs."""
    dtypes = output_dtypes(node)
    waits = [text for text in node.input if text[:1] == "^"]
    del node.input[:]
    node.input.extend([*results, *waits])
    node.attr.clear()
    node.op = "Identity" if len(results) == 1 else "IdentityN"
    attr = AttrValue(type=dtypes[0])
    if len(results) > 1:
        attr = AttrValue(list=AttrValue.ListValue(type=dtypes))
    node.attr["T"].CopyFrom(attr)
