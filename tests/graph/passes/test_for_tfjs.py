"""Graphs in ops that TF.js has: the same answers, and constants that wait for their branch."""

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow

from freeze_hooks.graph.body import Body
from freeze_hooks.graph.passes.for_tfjs import (
    gate_constants,
    name_branches,
    say_in_known_ops,
    start_loops_at_once,
)
from freeze_hooks.graph.prune import prune
from freeze_hooks.graph.tfjs import known_ops, lacking

v1 = tf.compat.v1
X = np.linspace(-3, 3, 24).reshape(2, 3, 4).astype(np.float32)


def answers(nodes, versions, feeds, fetches):
    graph_def = v1.GraphDef(node=nodes, versions=versions)
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run(fetches, feeds)


@pytest.mark.parametrize(
    "make",
    [
        tf.nn.softsign,
        tf.math.erfc,
        lambda x: tf.raw_ops.Inv(x=x),
        lambda x: tf.matmul(x, tf.transpose(x, [0, 2, 1])),
        lambda x: tf.debugging.check_numerics(x, "is it finite"),
        lambda x: tf.ensure_shape(x, [2, 3, 4]),
        lambda x: tf.raw_ops.PreventGradient(input=x),
    ],
    ids=["Softsign", "Erfc", "Inv", "matmul", "CheckNumerics", "EnsureShape", "PreventGradient"],
)
def test_the_answers_stay(make, graph):
    tf.identity(make(v1.placeholder(tf.float32, [2, 3, 4], "x")), "y")
    graph_def = graph.as_graph_def()
    wanted = answers(graph_def.node, graph_def.versions, {"x:0": X}, "y:0")
    body = Body({node.name: node for node in graph_def.node}, ["y"])
    say_in_known_ops(body)
    assert {node.op for node in body.nodes.values()} <= set(known_ops())
    found = answers(body.nodes.values(), graph_def.versions, {"x:0": X}, "y:0")
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_constants_that_are_alone_in_a_branch_wait_for_it(graph):
    with control_flow(v2=False):
        x = v1.placeholder(tf.float32, [], "x")
        y = tf.cond(x > 0, lambda: tf.constant(2.0) + 1, lambda: x * tf.constant(4.0))
        tf.identity(y, "y")
    graph_def = graph.as_graph_def()
    body = Body({node.name: node for node in graph_def.node}, ["y"])
    moved = gate_constants(body)
    held = {node.name for node in body.nodes.values() if node.op == "Const" and node.input}
    # 2 and 1 are alone; 4 is multiplied with what waits for the branch
    assert len(moved) == 2 and set(moved.values()) < held and len(held) == 3
    for name in moved:
        node = body.nodes[name]
        assert node.op == "Identity" and node.input[0] == moved[name]
        assert node.input[1].startswith("^")
    for value, wanted in ((1.0, 3.0), (-1.0, -4.0)):
        assert answers(body.nodes.values(), graph_def.versions, {"x:0": value}, "y:0") == wanted


def test_other_constants_stay(graph):
    tf.add(v1.placeholder(tf.float32, [], "x"), tf.constant(2.0) * 3.0, name="y")
    body = Body({node.name: node for node in graph.as_graph_def().node}, ["y"])
    before = set(body.nodes)
    assert gate_constants(body) == {} and set(body.nodes) == before


def test_a_loop_starts_when_its_inputs_are_there(graph):
    """Each Enter waits for all that comes into the loop; the answer stays."""
    with control_flow(v2=False):
        x = v1.placeholder(tf.float32, [], "x")
        late = tf.exp(x)
        y = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * late), [0, x])[1]
        tf.identity(y, "y")
    graph_def = graph.as_graph_def()
    wanted = answers(graph_def.node, graph_def.versions, {"x:0": 0.5}, "y:0")
    body = Body({node.name: node for node in graph_def.node}, ["y"])
    start_loops_at_once(body)
    (start,) = (node for node in body.nodes.values() if node.op == "NoOp")
    assert set(start.input) == {"^x", "^Exp"}
    enters = [node for node in body.nodes.values() if node.op == "Enter"]
    assert len(enters) == 3 and all("^" + start.name in node.input for node in enters)
    assert answers(body.nodes.values(), graph_def.versions, {"x:0": 0.5}, "y:0") == wanted


def test_who_waits_for_a_switch_waits_for_its_predicate(graph):
    x = v1.placeholder(tf.float32, [], "x")
    false, true = tf.raw_ops.Switch(data=x, pred=x > 0)
    with tf.control_dependencies([true.op]):
        two = tf.constant(2.0, name="two")
    tf.identity(tf.raw_ops.Merge(inputs=[false, true]).output * two, "y")
    graph_def = graph.as_graph_def()
    body = Body({node.name: node for node in graph_def.node}, ["y"])
    name_branches(body)
    (waits,) = body.nodes["two"].input
    assert body.nodes[waits[1:]].input[0] == body.nodes[true.op.name].input[1]
    assert answers(body.nodes.values(), graph_def.versions, {"x:0": 3.0}, "y:0") == 6


def test_the_layer_norm_of_tf_keras(graph):
    """A batch norm in training mode, scaled by ones of as many as there are examples."""
    x = v1.placeholder(tf.float32, [1, None, 4, 1], "x")
    count = tf.shape(x)[1]
    ones, zeros = tf.fill([count], 1.0), tf.fill([count], 0.0)
    y = v1.nn.fused_batch_norm(x, ones, zeros, epsilon=1e-3, data_format="NCHW")[0]
    tf.identity(y, "y")
    graph_def = graph.as_graph_def()
    body = Body({node.name: node for node in graph_def.node}, ["y"])
    say_in_known_ops(body)
    assert not lacking(prune(body))
    value = X.reshape(1, 6, 4, 1)
    found = answers(body.nodes.values(), graph_def.versions, {"x:0": value}, "y:0")
    centred = value - value.mean(2, keepdims=True)
    wanted = centred / np.sqrt(value.var(2, keepdims=True) + 1e-3)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
