"""What a plan or a file tells of itself: its ends, its ops and its layers."""

from __future__ import annotations

import collections
from typing import Dict, Iterable, Sequence, Tuple

from .._protos import dtype_name
from ..graph.body import Body
from ..graph.endpoints import End
from ..graph.names import tensor_name
from ..graph.ops import ARG
from ..signature import TensorInfo


def tensor_info(end: End) -> TensorInfo:
    """How a signature describes an end of the graph."""
    return TensorInfo(end.key, tensor_name(end.wanted), dtype_name(end.dtype), end.shape)


def histogram(bodies: Sequence[Body]) -> Dict[str, int]:
    """{op type: count} over a graph and its functions."""
    ops = collections.Counter(
        node.op for body in bodies for node in body.nodes.values() if node.op != ARG
    )
    return dict(sorted(ops.items()))


def by_layer(weights: Iterable[Tuple[str, int]]) -> Dict[str, int]:
    """{layer's name: bytes} of (name, bytes) pairs, whose names begin with the layer's and "/"."""
    layers: Dict[str, int] = {}
    for name, nbytes in weights:
        layer = name.rpartition("/")[0] or name
        if nbytes:
            layers[layer] = layers.get(layer, 0) + nbytes
    return dict(sorted(layers.items(), key=lambda item: -item[1]))
