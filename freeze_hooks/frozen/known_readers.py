"""Findings for `inspect`: what other programs compute wrongly in a frozen file, or cannot run.

Each entry was seen with the version that it names. `tests/frozen/test_known_readers.py` tries each
in the program itself, and fails for an entry that a newer version gets right.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, FrozenSet, List, Mapping, Sequence, Tuple

from .._protos import dtype_enum, to_array
from ..errors import UnknownNameError, near
from ..graph.body import UNSET, Body, data_inputs
from ..graph.lint import Finding
from ..graph.names import split
from ..graph.ops import PLACEHOLDERS

Test = Callable[[Any, Body], bool]
_BYTES = frozenset(dtype_enum(name) for name in ("int8", "uint8"))
_WIDE = frozenset(dtype_enum(name) for name in ("int64", "uint64"))
_FLOAT8 = frozenset((24, 25))  # DataType numbers; older TensorFlow has no names for them
_TYPES = ("T", "Ta", "Tb", "DstT", "dtype")
_MOST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Flaw:
    """A kind of node that a program computes differently from TensorFlow, or refuses.

    Attributes:
      ops: the op types of such nodes.
      is_met: whether a node of these types is such a node.
      problem: what the program does.
      remedy: what the user can do.
      kind: the finding's kind; "reader_refuses" if the program itself raises an error.
    """

    ops: FrozenSet[str]
    is_met: Test
    problem: str
    remedy: str
    kind: str = "reader_wrong"


@dataclasses.dataclass(frozen=True)
class Reader:
    """A program that reads frozen files.

    Attributes:
      title: its name.
      version: the version that was tried.
      flaws: kinds of nodes that it computes wrongly or refuses.
      refused: op types for which it raises an error.
    """

    title: str
    version: str
    flaws: Tuple[Flaw, ...]
    refused: FrozenSet[str]


def reader_of(name: str) -> Reader:
    """Return the reader that `reader=` names.

    Raises:
      UnknownNameError: there is no reader of this name; the error lists near matches.
    """
    if name not in READERS:
        close = near(str(name), READERS) or sorted(READERS)
        listed = ", ".join(map(repr, close))
        raise UnknownNameError(f"reader= has no {name!r}: did you mean {listed}?")
    return READERS[name]


def findings_for(reader: Reader, bodies: Sequence[Body]) -> List[Finding]:
    """Return findings for the nodes of a graph and its functions that a reader gets wrong."""
    found = []
    for flaw in reader.flaws:
        nodes = [
            body.name + node.name
            for body in bodies
            for node in body.nodes.values()
            if node.op in flaw.ops and flaw.is_met(node, body)
        ]
        if nodes:
            problem = f"{reader.title} {reader.version} {flaw.problem}"
            found.append(Finding(flaw.kind, tuple(nodes), problem, flaw.remedy))
    nodes = [
        f"{body.name}{node.name} ({node.op})"
        for body in bodies
        for node in body.nodes.values()
        if node.op in reader.refused
    ]
    if nodes:
        problem = f"{reader.title} {reader.version} cannot run these ops"
        remedy = "use other ops, cut the file there (inputs= or outputs=), or run it in TensorFlow"
        found.append(Finding("reader_refuses", tuple(nodes), problem, remedy))
    return found


def _ops(names: str) -> FrozenSet[str]:
    return frozenset(names.split())


_KEEP_RANK = _ops(
    "Identity BiasAdd Add AddV2 Sub Mul Relu Relu6 LeakyRelu Elu Selu Tanh Sigmoid Softplus"
)
_OF_IMAGES = _ops(
    "Conv2D DepthwiseConv2dNative Conv2DBackpropInput MaxPool AvgPool FusedBatchNorm "
    "FusedBatchNormV2 FusedBatchNormV3 ResizeBilinear ResizeNearestNeighbor"
)


def _always(node: Any, body: Body) -> bool:
    return True


def _is_of(dtypes: FrozenSet[int]) -> Test:
    return lambda node, body: any(node.attr.get(key, UNSET).type in dtypes for key in _TYPES)


def _is_wide(node: Any, body: Body) -> bool:
    if node.attr.get("dtype", UNSET).type not in _WIDE:
        return False
    if node.op in PLACEHOLDERS:
        return True
    value = to_array(node.attr["value"].tensor)
    return bool(value.size and (int(value.max()) > _MOST or int(value.min()) < -_MOST - 1))


def _is_dilated(node: Any, body: Body) -> bool:
    return any(size != 1 for size in node.attr.get("dilations", UNSET).list.i)


def _takes_from_constant(node: Any, body: Body) -> bool:
    return _source(data_inputs(node)[0], body).op == "Const"


def _is_of_images(node: Any, body: Body) -> bool:
    """Return whether a node's input comes from a convolution or another op on images."""
    seen, stack = set(), [node]
    while stack:
        names = [split(text)[0] for text in data_inputs(stack.pop())]
        for name in (name for name in names if name not in seen and name in body.nodes):
            seen.add(name)
            if body.nodes[name].op in _OF_IMAGES:
                return True
            if body.nodes[name].op in _KEEP_RANK:
                stack.append(body.nodes[name])
    return False


def _source(text: str, body: Body) -> Any:
    node = body.nodes[split(text)[0]]
    while node.op == "Identity":
        node = body.nodes[split(node.input[0])[0]]
    return node


_IN_TENSORFLOW = "run it in TensorFlow"
OPENVINO = Reader(
    "OpenVINO",
    "2026.4",
    (
        Flaw(
            _ops("BatchMatMul BatchMatMulV2 BatchMatMulV3 MatMul Einsum"),
            _is_of(_BYTES),
            "cuts products of 8-bit matrices to 8 bits, though their sums need 32 bits",
            "freeze the model before quantize(), which makes such products; weights= also makes a "
            "file smaller",
        ),
        Flaw(
            _ops("Add AddV2 AddN Sub Mul Square Neg Pow Prod Sum Mean FloorDiv TruncateDiv"),
            _is_of(_BYTES),
            "saturates at the greatest 8-bit number, where TensorFlow wraps to the least, and "
            "rounds quotients",
            "cast to int32 before it, in the model",
        ),
        Flaw(
            frozenset(PLACEHOLDERS | {"Const"}),
            _is_wide,
            "computes 64-bit integers in 32 bits: numbers beyond 2**31 give wrong answers",
            f"feed smaller numbers, such as ids; otherwise {_IN_TENSORFLOW}",
        ),
        Flaw(
            _ops("ScatterNd"),
            _always,
            "does not add up two values that are scattered to one place",
            "use tf.tensor_scatter_nd_add on zeros",
        ),
        Flaw(
            _ops("Unique UniqueV2"),
            _always,
            "gives zeros for values found after the first",
            "cut the file after it, with inputs=",
        ),
        Flaw(
            _ops("Cast"),
            _is_of(_FLOAT8),
            "cannot cast to float8",
            f"freeze the model before quantize(), or {_IN_TENSORFLOW}",
            "reader_refuses",
        ),
    ),
    _ops(
        "Lgamma Digamma Erfinv Cumprod CumulativeLogsumexp InTopKV2 TensorScatterMax MatrixDiagV3 "
        "MatrixDiagPartV3 MatrixDeterminant Cholesky SegmentMean DenseBincount LowerBound "
        "Dilation2D ResizeBicubic ResizeArea ScaleAndTranslate QuantizeAndDequantizeV4 Polygamma "
        "ImageProjectiveTransformV3 Igamma Betainc BesselI0e Ndtri Zeta NextAfter "
        "SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits HistogramFixedWidth "
        "StringToHashBucketFast AsString HashTableV2 LookupTableFindV2"
    ),
)
OPENCV = Reader(
    "OpenCV",
    "5.0",
    (
        Flaw(
            _ops("Conv2D"),
            _is_dilated,
            "ignores dilations of convolutions",
            "use DepthwiseConv2D, where it applies dilations, or run the file elsewhere",
        ),
        Flaw(
            _ops("Sub"),
            _takes_from_constant,
            "computes x - c for c - x, if c is a constant",
            "write 1 - x as (-1.0) * x + 1",
        ),
        Flaw(
            _ops("Softmax"),
            _is_of_images,
            "computes the softmax of images over another axis than the channels",
            "leave it out of the file (outputs=) and compute it from OpenCV's answers",
        ),
        Flaw(
            _ops("StridedSlice"),
            _is_of_images,
            "takes slices of images along other axes, such as rows for channels",
            "crop before you feed the file, or run it elsewhere",
        ),
        Flaw(
            _ops("Softplus"),
            _always,
            "gives infinity for the softplus of numbers beyond 88",
            "limit its input: OpenCV refuses tf.minimum, but not tf.nn.relu6",
        ),
    ),
    _ops(
        "Neg Pow IdentityN PadV2 StopGradient BatchMatMulV2 BatchMatMulV3 GatherV2 GatherNd Prod "
        "Min Cumsum Cumprod FloorDiv FloorMod Equal NotEqual Less LessEqual Greater GreaterEqual "
        "Select "
        "SelectV2 TopKV2 Fill Where ScatterNd ReverseV2 Roll LogSoftmax Log1p Expm1 Erfc IsNan "
        "SquaredDifference ResizeBicubic ResizeArea StatelessWhile TensorListReserve Unpack SplitV "
        "HashTableV2"
    ),
)
READERS: Mapping[str, Reader] = {"openvino": OPENVINO, "opencv": OPENCV}
