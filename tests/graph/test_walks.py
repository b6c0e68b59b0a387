"""Walks through graphs: the nodes before and after a node."""

import tensorflow as tf

from freeze_hooks.graph.walks import above, below, consumers

v1 = tf.compat.v1


def test_what_is_above_and_below():
    with tf.Graph().as_default() as graph:
        a = v1.placeholder(tf.float32, [], name="a")
        b = tf.add(a, 1.0, name="b")
        with tf.control_dependencies([b]):
            tf.constant(2.0, name="c")
        tf.negative(b, name="d")
    nodes = {node.name: node for node in graph.as_graph_def().node}
    assert set(above(nodes, ["c"])) == {"c", "b", "b/y", "a"}
    assert set(above(nodes, ["c"], data_only=True)) == {"c"}
    assert set(above(nodes, ["gone", "a:0"])) == {"a"}
    assert below(nodes, ["a"]) == {"b", "c", "d"}
    assert below(nodes, ["a"], data_only=True) == {"b", "d"}
    assert [(node.name, i) for node, i in consumers(nodes)["b"]] == [("c", 0), ("d", 0)]
