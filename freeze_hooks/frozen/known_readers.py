"""What programs that read frozen files themselves get wrong, or cannot run: findings for `inspect`.

Each entry was seen with the version that stands there, and `tests/test_readers.py` tries each for
real: one that a newer version gets right is noticed.
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
_FLOAT8 = frozenset((24, 25))  # numbers of DataType, which older TensorFlow has no names for
_TYPES = ("T", "Ta", "Tb", "DstT", "dtype")
_MOST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Flaw:
    """What a program answers otherwise than TensorFlow, or refuses, of some nodes.

    Attributes:
      ops: the types of the nodes that it may be about.
      is_met: whether it is about such a node.
      problem: what the program does.
      remedy: what to do.
      kind: of the finding; "reader_refuses" where the program says itself that it cannot.
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
      title: what people call it.
      version: which one was tried.
      flaws: what it gets wrong, or refuses, of some nodes of a type.
      refused: op types that it cannot run, and says so.
    """

    title: str
    version: str
    flaws: Tuple[Flaw, ...]
    refused: FrozenSet[str]


def reader_of(name: str) -> Reader:
    """The reader that `reader=` names.

    Raises:
      UnknownNameError: there is none of this name.
    """
    if name not in READERS:
        close = near(str(name), READERS) or sorted(READERS)
        listed = ", ".join(map(repr, close))
        raise UnknownNameError(f"reader= has no {name!r}: did you mean {listed}?")
    return READERS[name]


def findings_for(reader: Reader, bodies: Sequence[Body]) -> List[Finding]:
    """What a reader gets wrong or cannot run in a graph and the functions it uses."""
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
        remedy = "use others, cut the file there (inputs= or outputs=), or run it in TensorFlow"
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
    """Whether a node takes what a convolution or another op of images gives."""
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
            "cuts products of 8-bit matrices to 8 bits, though their sums are of 32",
            "freeze the model before quantize(), which makes such products; weights= makes a file "
            "smaller, too",
        ),
        Flaw(
            _ops("Add AddV2 AddN Sub Mul Square Neg Pow Prod Sum Mean FloorDiv TruncateDiv"),
            _is_of(_BYTES),
            "stops at the greatest 8-bit number, where TensorFlow goes on from the least, and "
            "rounds what is divided",
            "cast to int32 before, in the model",
        ),
        Flaw(
            frozenset(PLACEHOLDERS | {"Const"}),
            _is_wide,
            "computes with 64-bit integers in 32 bits: those beyond 2**31 are answered otherwise",
            f"feed smaller ones, as ids are; else {_IN_TENSORFLOW}",
        ),
        Flaw(
            _ops("ScatterNd"),
            _always,
            "does not add up what is scattered to one place twice",
            "use tf.tensor_scatter_nd_add on zeros",
        ),
        Flaw(
            _ops("Unique UniqueV2"),
            _always,
            "gives zeros for values found after the first",
            "cut the file behind it, with inputs=",
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
            "leaves out dilations of convolutions",
            "use DepthwiseConv2D, whose dilations it has, or run it elsewhere",
        ),
        Flaw(
            _ops("Sub"),
            _takes_from_constant,
            "takes a constant from the tensor, where the tensor is to be taken from the constant",
            "write 1 - x as (-1.0) * x + 1",
        ),
        Flaw(
            _ops("Softmax"),
            _is_of_images,
            "takes the softmax of images over another axis than channels",
            "leave it out of the file (outputs=) and take it of what OpenCV gives",
        ),
        Flaw(
            _ops("StridedSlice"),
            _is_of_images,
            "takes slices of images along other axes, as of rows for channels",
            "crop before the file, or run it elsewhere",
        ),
        Flaw(
            _ops("Softplus"),
            _always,
            "gives infinity for the softplus of numbers beyond 88",
            "bound what is given to it: tf.minimum is refused, tf.nn.relu6 is not",
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
