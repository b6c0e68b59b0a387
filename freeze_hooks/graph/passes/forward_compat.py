"""Leaves out attributes that older TensorFlow versions lack, if they have default values."""

from __future__ import annotations

import functools
from typing import Any, Sequence

from ..op_registry import op_def

# By op, the attributes that TensorFlow 1.15 lacks and a later version, up to 2.21, writes into
# every node. An importer refuses attributes that its op lacks. Other defaults stay: OpenCV's
# importer reads some without a check that they are there (keep_dims of Mean).
_SINCE_1_15 = {
    "BatchMatMul": ("grad_x", "grad_y"),
    "BatchMatMulV2": ("grad_x", "grad_y"),
    "CTCGreedyDecoder": ("blank_index",),
    "ConcatOffset": ("shape_type",),
    "DepthwiseConv2dNative": ("explicit_paddings",),
    "Dequantize": ("narrow_range", "axis", "dtype"),
    "FusedBatchNorm": ("exponential_avg_factor",),
    "FusedBatchNormV2": ("exponential_avg_factor",),
    "FusedBatchNormV3": ("exponential_avg_factor",),
    "GatherNd": ("bad_indices_policy",),
    "MatMul": ("grad_a", "grad_b"),
    "MaxPool": ("explicit_paddings",),
    "QuantizeAndDequantizeV2": ("axis",),
    "QuantizeAndDequantizeV3": ("axis",),
    "QuantizeV2": ("narrow_range", "axis", "ensure_minimum_range"),
    "ScatterNd": ("bad_indices_policy",),
    "ScatterNdNonAliasingAdd": ("bad_indices_policy",),
    "TensorListGetItem": ("Tshape",),
    "TensorListSetItem": ("resize_if_index_out_of_bounds",),
    "TensorScatterAdd": ("bad_indices_policy",),
    "TensorScatterSub": ("bad_indices_policy",),
    "TensorScatterUpdate": ("bad_indices_policy",),
    "TopKV2": ("Tk", "index_type"),
    "TridiagonalSolve": ("perturb_singular",),
}
_PATTERNS = {"FFT": ("Treal", "Tcomplex"), "SparseSegment": ("Tsegmentids", "sparse_gradient")}


@functools.lru_cache(maxsize=None)
def _new_attributes(op: str) -> Sequence[str]:
    return _SINCE_1_15.get(op) or next((v for k, v in _PATTERNS.items() if k in op), ())


def drop_new_defaults(node: Any) -> None:
    """Remove a node's attributes that TensorFlow 1.15 lacks and that have default values."""
    new = _new_attributes(node.op)
    if not any(key in node.attr for key in new):
        return
    definition = op_def(node.op)
    defaults = {a.name: a.default_value for a in (definition.attr if definition else ())}
    for key in new:
        if key in node.attr and node.attr[key] == defaults.get(key):
            del node.attr[key]
