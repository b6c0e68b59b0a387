"""Rules for ops of training that a model may keep: simulated quantization, and gradients."""

from __future__ import annotations

from typing import Any, Callable, Dict

import tensorflow as tf

from .registry import Rules

RULES = Rules()


@RULES.of("FakeQuantWithMinMaxArgs")
def _fake_quant_args(node: Any, x: Any) -> Any:
    return _fake_quant(node, x, tf.constant(node.attr["min"].f), tf.constant(node.attr["max"].f))


@RULES.of("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def _fake_quant(node: Any, x: Any, low: Any, high: Any) -> Any:
    """Move the range so that 0 is a level; tf2onnx rounds halves and this level differently."""
    first = 1.0 if node.attr["narrow_range"].b else 0.0
    last = 2.0 ** node.attr["num_bits"].i - 1.0
    step = (high - low) / (last - first)
    zero = tf.floor(tf.clip_by_value(first - low / step, first, last) + 0.5)
    lowest, highest = (first - zero) * step, (last - zero) * step
    inside = tf.minimum(tf.maximum(x, lowest), highest)
    return tf.floor((inside - lowest) / step + 0.5) * step + lowest


_OF_RESULT: Dict[str, Callable[[Any, Any], Any]] = {  # from the op's result and the gradient
    "SigmoidGrad": lambda y, dy: dy * y * (1.0 - y),
    "TanhGrad": lambda y, dy: dy * (1.0 - y * y),
    "SqrtGrad": lambda y, dy: dy * 0.5 / y,
    "RsqrtGrad": lambda y, dy: dy * -0.5 * y * y * y,
    "ReciprocalGrad": lambda y, dy: -dy * y * y,
    "InvGrad": lambda y, dy: -dy * y * y,
}


@RULES.of(*_OF_RESULT)
def _of_result(node: Any, y: Any, gradient: Any) -> Any:
    return _OF_RESULT[node.op](y, gradient)


@RULES.of("ReluGrad")
def _relu_grad(node: Any, gradient: Any, features: Any) -> Any:
    return _where_positive(features, gradient)


@RULES.of("Relu6Grad")
def _relu6_grad(node: Any, gradient: Any, features: Any) -> Any:
    six = tf.constant(6, features.dtype)
    return tf.where(
        features < six, _where_positive(features, gradient), tf.zeros([], gradient.dtype)
    )


def _where_positive(features: Any, gradient: Any) -> Any:
    zero = tf.zeros([], gradient.dtype)
    return tf.where(features > tf.zeros([], features.dtype), gradient, zero)


@RULES.of("SoftplusGrad")
def _softplus_grad(node: Any, gradient: Any, features: Any) -> Any:
    return gradient * tf.sigmoid(features)


@RULES.of("EluGrad")
def _elu_grad(node: Any, gradient: Any, outputs: Any) -> Any:
    zero = tf.zeros([], outputs.dtype)
    return tf.where(outputs < zero, gradient * (outputs + 1.0), gradient)


@RULES.of("LeakyReluGrad")
def _leaky_relu_grad(node: Any, gradient: Any, features: Any) -> Any:
    slope = tf.constant(node.attr["alpha"].f, gradient.dtype)
    return tf.where(features > tf.zeros([], features.dtype), gradient, gradient * slope)


@RULES.of("BiasAddGrad")
def _bias_add_grad(node: Any, gradient: Any) -> Any:
    rank = gradient.shape.rank
    if rank is None:
        return None
    channel = 1 if node.attr["data_format"].s == b"NCHW" else rank - 1
    return tf.reduce_sum(gradient, [axis for axis in range(rank) if axis != channel])
