"""Summaries of a plan or a file: its inputs and outputs, its ops and its layers."""

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
    """Return a signature's description of an input or output."""
    return TensorInfo(end.key, tensor_name(end.wanted), dtype_name(end.dtype), end.shape)


def histogram(bodies: Sequence[Body]) -> Dict[str, int]:
    """Return {op type: count} over a graph and its functions."""
    ops = collections.Counter(
        node.op for body in bodies for node in body.nodes.values() if node.op != ARG
    )
    return dict(sorted(ops.items()))


def by_layer(weights: Iterable[Tuple[str, int]]) -> Dict[str, int]:
    """Return {layer's name: bytes} from (name, bytes) pairs; names are "layer/weight"."""
    layers: Dict[str, int] = {}
    for name, nbytes in weights:
        layer = name.rpartition("/")[0] or name
        if nbytes:
            layers[layer] = layers.get(layer, 0) + nbytes
    return dict(sorted(layers.items(), key=lambda item: -item[1]))
