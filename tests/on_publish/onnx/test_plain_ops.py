"""Graphs with simpler ops compute the same in TensorFlow, before any converter gets them."""

import numpy as np
import pytest
import tensorflow as tf

from freeze_hooks.on_publish.onnx.bfloat16 import nodes_of, uses_bfloat16, widened
from freeze_hooks.on_publish.onnx.complex_pairs import in_real_pairs
from freeze_hooks.on_publish.onnx.plain_ops import in_plain_ops
from freeze_hooks.on_publish.onnx.rules import RULES

v1 = tf.compat.v1
X = np.random.RandomState(0).uniform(-3, 3, (4, 6)).astype(np.float32)


def erfc(x):
    return tf.math.erfc(x)


def loop(x):
    return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, erfc(y)), [0, x])[1]


def branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: erfc(x) // 2, lambda: x)


def whole(x):
    whole = tf.cast(x * 3, tf.int32)
    return tf.cast(whole // -2 + whole % 5, tf.float32)


def split_in_two(x):
    return tf.shape_n([x, x[1:]])[1] + tf.raw_ops.Bucketize(input=x[0, :2], boundaries=[0.0, 1.0])


BUILT = {"plain": erfc, "loop": loop, "branch": branch, "whole": whole, "two": split_in_two}


def built(function, functional):
    """Return a GraphDef of a function of x, with control flow as functions or as dataflow."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        before = v1.control_flow_v2_enabled()
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        try:
            tf.identity(function(x), name="y")
        finally:
            (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()
    return graph.as_graph_def()


def answer(graph_def):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph) as session:
            return session.run("y:0", {"x:0": X})


@pytest.mark.parametrize("functional", [True, False], ids=["functions", "dataflow"])
@pytest.mark.parametrize("name", list(BUILT))
def test_it_computes_the_same_and_all_names_stay(name, functional):
    graph_def = built(BUILT[name], functional)
    before = graph_def.SerializeToString(deterministic=True)
    plain = in_plain_ops(graph_def, RULES)
    assert graph_def.SerializeToString(deterministic=True) == before
    np.testing.assert_allclose(answer(plain), answer(graph_def), atol=1e-6)
    assert {node.name for node in graph_def.node} <= {node.name for node in plain.node}
    ops = {node.op for node in nodes_of(plain)}
    assert not ops & {"Erfc", "ShapeN", "Bucketize"} and "FloorMod" not in ops


def test_what_no_rule_knows_stays_as_it_is():
    graph_def = built(lambda x: x * 2, False)
    assert in_plain_ops(graph_def, RULES) is graph_def


def test_a_rule_that_puts_in_itself_has_an_end():
    graph_def = built(erfc, False)
    with pytest.raises(RecursionError):
        in_plain_ops(graph_def, {"Erfc": lambda node, x: tf.math.erfc(x)})


def test_bfloat16_becomes_float32():
    def halves(x):
        y = tf.cast(x, tf.bfloat16) * tf.constant(1.5, tf.bfloat16)
        return tf.cast(tf.cond(y[0, 0] > 0, lambda: y + y, lambda: y - 1), tf.float32)

    graph_def = built(halves, True)
    wide = widened(graph_def)
    assert uses_bfloat16(graph_def) and not uses_bfloat16(wide)
    exact = np.where(X[0, 0] * 1.5 > 0, 2 * X * 1.5, X * 1.5 - 1)
    np.testing.assert_allclose(answer(wide), exact, rtol=1e-6)


def test_complex_numbers_become_pairs():
    def spectrum(x):
        return tf.abs(tf.signal.rfft(x) * tf.complex(0.5, 2.0))

    graph_def = built(spectrum, False)
    plain = in_real_pairs(graph_def)
    np.testing.assert_allclose(answer(plain), answer(graph_def), atol=1e-5)
    types = {value.type for node in plain.node for value in node.attr.values()}
    assert tf.complex64.as_datatype_enum not in types
    unknown = built(lambda x: tf.abs(tf.signal.fft2d(tf.cast(x, tf.complex64))), False)
    assert in_real_pairs(unknown) is unknown
