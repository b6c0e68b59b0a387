"""Folds batch normalization with constant parameters into the convolution before it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from ..._protos import AttrValue, to_array, to_tensor
from ..body import Body
from ..names import split
from ..ops import BATCH_NORMS, CONVOLUTIONS, SAME_VALUE
from ..walks import consumers


def fold_batch_norms(body: Body) -> int:
    """Fold convolution, bias (if any) and batch norm into one convolution and one bias, in place.

    A batch norm in training mode stays, and so does one if another node uses its convolution.

    Returns:
      The number of folded batch norms.
    """
    users = consumers(body.nodes)
    outputs = {split(text)[0] for text in body.outputs}
    return sum(
        _fold(body, node, users, outputs)
        for node in list(body.nodes.values())
        if node.op in BATCH_NORMS
    )


def _fold(body: Body, norm: Any, users: Dict[str, List[Any]], outputs: Any) -> bool:
    if "is_training" not in norm.attr or norm.attr["is_training"].b:  # true by default
        return False
    if any(split(user.input[i])[1] > 0 for user, i in users.get(norm.name, ())):
        return False
    parameters = [_constant(body, text) for text in norm.input[1:5]]
    chain = _chain(body, norm.input[0], users, outputs)
    if chain is None or any(value is None for value in parameters):
        return False
    convolution, bias = chain
    weights = _constant(body, convolution.input[1])
    before = 0.0 if bias is None else _constant(body, bias.input[1])
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in parameters)
    if weights is None or before is None or not mean.size:
        return False
    scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
    offset = (np.asarray(before, np.float64) - mean) * scale + beta
    channels = weights.shape[-1:] if convolution.op == "Conv2D" else weights.shape[-2:]
    scaled = weights.astype(np.float64) * scale.reshape(channels)
    convolution.input[1] = _add(body, convolution.name + "/folded", scaled, weights.dtype)
    offsets = _add(body, norm.name + "/offset", offset, weights.dtype)
    _become_bias(norm, convolution, offsets)
    return True


def _chain(body: Body, text: str, users: Any, outputs: Any) -> Optional[Any]:
    """Return the convolution and the BiasAdd (or None) that compute only this input."""
    bias = None
    node = body.nodes[split(text)[0]]
    while len(users[node.name]) == 1 and node.name not in outputs:
        if node.op in CONVOLUTIONS:
            return node, bias
        if node.op == "BiasAdd" and bias is None:
            bias = node
        elif node.op != "Identity":
            return None
        node = body.nodes[split(node.input[0])[0]]
    return None


def _constant(body: Body, text: str) -> Optional[Any]:
    name, port = split(text)
    node = body.nodes[name]
    while node.op in SAME_VALUE and port == 0:
        name, port = split(node.input[0])
        node = body.nodes[name]
    return to_array(node.attr["value"].tensor) if node.op == "Const" else None


def _add(body: Body, name: str, value: Any, dtype: Any) -> str:
    tensor = to_tensor(value.astype(dtype))
    made = body.add(
        "Const", name, value=AttrValue(tensor=tensor), dtype=AttrValue(type=tensor.dtype)
    )
    return str(made.name)


def _become_bias(norm: Any, convolution: Any, offsets: str) -> None:
    layout, dtype = norm.attr["data_format"].s or b"NHWC", norm.attr["T"].type
    norm.op = "BiasAdd"
    norm.attr.clear()
    norm.attr["T"].type = dtype
    norm.attr["data_format"].s = layout
    del norm.input[:]
    norm.input.extend([convolution.name, offsets])
