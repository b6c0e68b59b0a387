"""Replaces each complex tensor by two real tensors, since ONNX Runtime has no complex numbers."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import tensorflow as tf

from ..._protos import GraphDef, NodeDef
from ..._tf import op_def
from ...graph.body import Body, data_inputs, widths
from ...graph.frames import has_frames
from ...graph.names import join
from ...graph.walks import topological
from .fourier import TRANSFORMS, Pair
from .plain_ops import Known, known_inputs, output_dtypes, pasted, stand_for, traced
from .static import Static

_PARTS = {
    tf.complex64.as_datatype_enum: tf.float32.as_datatype_enum,
    tf.complex128.as_datatype_enum: tf.float64.as_datatype_enum,
}
# These ops act on the real and the imaginary part separately.
_BY_PARTS = frozenset(
    ("Add", "AddN", "AddV2", "BroadcastTo", "ConcatV2", "ExpandDims", "GatherV2", "Identity")
    + ("Mean", "Neg", "Pack", "Pad", "Reshape", "ReverseV2", "Roll", "SelectV2", "Slice", "Split")
    + ("SplitV", "Squeeze", "StridedSlice", "Sub", "Sum", "Tile", "Transpose", "Unpack")
    + ("ZerosLike",)
)


def _product(a: Pair, b: Pair) -> Pair:
    return Pair(
        a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real
    )


def _quotient(a: Pair, b: Pair) -> Pair:
    size = b.real * b.real + b.imaginary * b.imaginary
    whole = _product(a, Pair(b.real, -b.imaginary))
    return Pair(whole.real / size, whole.imaginary / size)


def _exp(x: Pair) -> Pair:
    size = tf.exp(x.real)
    return Pair(size * tf.cos(x.imaginary), size * tf.sin(x.imaginary))


def _cast(node: Any, x: Any) -> Any:
    target = node.attr["DstT"].type
    dtype = tf.as_dtype(_PARTS.get(target, target))
    if not isinstance(x, Pair):
        real = tf.cast(x, dtype)
        return Pair(real, tf.zeros_like(real))
    if target in _PARTS:
        return Pair(tf.cast(x.real, dtype), tf.cast(x.imaginary, dtype))
    return tf.cast(x.real, dtype)


def _constant(node: Any) -> Any:
    value = tf.make_ndarray(node.attr["value"].tensor)
    return Pair(tf.constant(value.real), tf.constant(value.imag))


_RULES: Dict[str, Callable[..., Any]] = {
    "Const": _constant,
    "Cast": _cast,
    "Complex": lambda node, real, imaginary: Pair(tf.identity(real), tf.identity(imaginary)),
    "Real": lambda node, x: tf.identity(x.real),
    "Imag": lambda node, x: tf.identity(x.imaginary),
    "Conj": lambda node, x: Pair(tf.identity(x.real), -x.imaginary),
    "ComplexAbs": lambda node, x: tf.sqrt(x.real * x.real + x.imaginary * x.imaginary),
    "Angle": lambda node, x: tf.atan2(x.imaginary, x.real),
    "Mul": lambda node, a, b: _product(a, b),
    "Square": lambda node, a: _product(a, a),
    "RealDiv": lambda node, a, b: _quotient(a, b),
    "Exp": lambda node, x: _exp(x),
    **TRANSFORMS,
}


def in_real_pairs(graph_def: Any) -> Any:
    """Return a copy of a GraphDef without complex numbers.

    Return the GraphDef itself if it has none, or if they are in a function or an op without a
    rule takes them. The converter then reports the ops that it does not support.
    """
    functions = graph_def.library.function
    there = [node for node in graph_def.node if _is_complex(node)]
    if not there or any(_is_complex(node) for f in functions for node in f.node_def):
        return graph_def
    if not all(node.op in _BY_PARTS or node.op in _RULES for node in there):
        return graph_def
    copy = GraphDef()
    copy.CopyFrom(graph_def)
    body = Body({node.name: node for node in copy.node}, [])
    static, framed = Static(graph_def), has_frames(body.nodes)
    pairs: Dict[str, Tuple[str, str]] = {}  # {complex tensor: its parts}
    for node in topological(body):
        if _is_complex(node) and not _split(body, node, static, pairs, framed):
            return graph_def
    nodes = [node for node in body.nodes.values() if not _is_complex(node)]
    result = GraphDef(node=nodes, versions=graph_def.versions)
    result.library.CopyFrom(graph_def.library)
    return result


def _is_complex(node: Any) -> bool:
    """Return whether a node has complex inputs or outputs."""
    definition = op_def(node.op)
    args = [] if definition is None else [*definition.input_arg, *definition.output_arg]
    return any(dtype in _PARTS for arg in args for dtype in widths(arg, node.attr))


def _split(body: Body, node: Any, static: Static, pairs: Dict[str, Any], framed: bool) -> bool:
    """Add nodes that compute a node's outputs in parts; return False if the rule refuses."""
    texts: List[str] = []
    known: List[Known] = []
    whole = known_inputs(body, node, static)
    for text, tensor in zip(data_inputs(node), whole):
        parts = pairs[text] if tensor.dtype in _PARTS else (text,)
        texts += parts
        known += [_part(tensor) for _ in parts]

    def function(*tensors: Any) -> Optional[List[Any]]:
        rest = list(tensors)
        given = [
            Pair(rest.pop(0), rest.pop(0)) if tensor.dtype in _PARTS else rest.pop(0)
            for tensor in whole
        ]
        found = _by_parts(node, given) if node.op in _BY_PARTS else _RULES[node.op](node, *given)
        return None if found is None else _flat(found if isinstance(found, list) else [found])

    dtypes = output_dtypes(node)
    wanted = [part for d in dtypes for part in ([_PARTS[d]] * 2 if d in _PARTS else [d])]
    inner = traced(function, known, wanted)
    if inner is None:
        return False
    results = pasted(body, node.name, inner, texts, framed)
    if not any(dtype in _PARTS for dtype in dtypes):
        stand_for(node, results)
        return True
    for port, pair in enumerate(zip(results[::2], results[1::2])):
        pairs[join(node.name, port)] = pair
    return True


def _part(tensor: Known) -> Known:
    """Return what is known of the real or imaginary part of a tensor."""
    if tensor.dtype not in _PARTS:
        return tensor
    return Known(_PARTS[tensor.dtype], tensor.shape, None)


def _flat(found: Sequence[Any]) -> List[Any]:
    return [part for item in found for part in (item if isinstance(item, Pair) else [item])]


def _by_parts(node: Any, given: Sequence[Any]) -> List[Pair]:
    """Apply the op itself to the real parts, and to the imaginary parts."""
    copy = NodeDef()
    copy.CopyFrom(node)
    del copy.input[:]
    copy.input.extend(f"given_{i}" for i in range(len(given)))
    for value in copy.attr.values():
        if value.type in _PARTS:
            value.type = _PARTS[value.type]
    names = [f"{copy.name}:{port}" for port in range(len(output_dtypes(node)))]
    sides = []
    for side in range(2):
        tensors = [tensor[side] if isinstance(tensor, Pair) else tensor for tensor in given]
        mapped = {f"given_{i}:0": tensor for i, tensor in enumerate(tensors)}
        sides.append(tf.import_graph_def(GraphDef(node=[copy]), mapped, names, name="part"))
    return [Pair(*parts) for parts in zip(*sides)]
