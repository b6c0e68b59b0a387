"""What stands in frozen files, read by TensorFlow alone."""

import tensorflow as tf

v1 = tf.compat.v1


def read_graph_def(path):
    graph_def = v1.GraphDef()
    with open(str(path), "rb") as file:
        graph_def.ParseFromString(file.read())
    return graph_def


def constants(path):
    """{node: value} of every Const in a frozen file."""
    nodes = read_graph_def(path).node
    return {n.name: tf.make_ndarray(n.attr["value"].tensor) for n in nodes if n.op == "Const"}
