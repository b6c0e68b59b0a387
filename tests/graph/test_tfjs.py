"""What TF.js lacks is named, with the nodes, before training."""

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks.graph.body import Body
from freeze_hooks.graph.tfjs import known_ops, lacking

v1 = tf.compat.v1


def image():
    return v1.placeholder(tf.float32, [None, 3, 8, 8], "image")


def filters():
    return tf.constant(np.ones([1, 1, 3, 2], np.float32))


def normalized(training):
    ones = tf.constant(np.ones(8, np.float32))
    given = {} if training else {"mean": ones, "variance": ones}
    return v1.nn.fused_batch_norm(image(), ones, ones, is_training=training, **given)[0]


def converted(dtype):
    return tf.cast(v1.placeholder(tf.float32, [None], "x"), dtype) * 2


CASES = {
    "an op": (lambda: tf.linalg.cholesky(image()), "it has no op 'Cholesky'.*'y0'"),
    "texts": (lambda: v1.placeholder(tf.string, [None], "text"), "no dtype string.*'text'"),
    "bfloat16": (lambda: tf.cast(converted(tf.bfloat16), tf.float32), "no dtype bfloat16"),
    "float16": (lambda: tf.cast(converted(tf.float16), tf.float32), "no dtype float16"),
    "float64": (lambda: tf.cast(converted(tf.float64), tf.float32), "no dtype float64"),
    "uint8": (lambda: v1.placeholder(tf.uint8, [2], "x") + 250, "no dtype uint8.*'y0'"),
    "a large int64": (
        lambda: v1.placeholder(tf.int64, [2], "x") + 2**40,
        r"int32 cannot hold 1099511627776, an int64",
    ),
    "a float64 constant": (
        lambda: tf.cast(tf.constant(0.1, tf.float64), tf.float32) * image(),
        r"float32 cannot hold .*0\.1.*, a float64, exactly",
    ),
    "channels first": (
        lambda: v1.nn.conv2d(image(), filters(), [1] * 4, "SAME", data_format="NCHW"),
        "layout NCHW: use channels_last.*'y0'",
    ),
    "training": (lambda: normalized(True), "no training mode"),
    "an axis": (
        lambda: tf.one_hot(v1.placeholder(tf.int32, [None], "x"), 4, axis=0),
        "its OneHot has no axis=0",
    ),
    "random numbers": (
        lambda: tf.random.stateless_uniform([2], [1, 2]),
        "it has no op 'StatelessRandomUniform",
    ),
}
RIGHT = {
    "float64 that is exact": lambda: tf.cast(tf.constant(0.5, tf.float64), tf.float32) * image(),
    "uint8 that is cast": lambda: tf.cast(v1.placeholder(tf.uint8, [2, 2], "x")[::-1], tf.float32),
    "int64": lambda: v1.placeholder(tf.int64, [2], "x") + (2**31 - 1),
    "inference": lambda: normalized(False),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_lacks_is_named(name, graph):
    make, says = CASES[name]
    y = make()
    with pytest.raises(
        fh.NotFreezableError, match=f"TF.js cannot run.*{says.replace('y0', y.op.name)}"
    ):
        fh.FreezeHook(outputs=[y], format="tfjs").begin()


@pytest.mark.parametrize("name", RIGHT)
def test_what_it_has_passes(name, graph):
    fh.FreezeHook(outputs=[RIGHT[name]()], format="tfjs").begin()


def test_a_table_is_named(graph):
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant([1, 2], tf.int64), tf.constant([3, 4], tf.int64)
    )
    table = tf.lookup.StaticHashTable(initializer, -1)
    y = table.lookup(v1.placeholder(tf.int64, [None], "x"))
    with pytest.raises(fh.NotFreezableError, match="no op 'HashTableV2'"):
        fh.FreezeHook(outputs=[y], format="tfjs").begin()


def test_a_variable_of_float64_is_named(graph):
    y = v1.get_variable("w", [3], tf.float64) * 2
    with pytest.raises(fh.NotFreezableError, match=r"no dtype float64.*'w'"):
        fh.FreezeHook(outputs=[y], format="tfjs").begin()


def test_a_merge_s_index(graph):
    x = v1.placeholder(tf.float32, [], "x")
    y = tf.raw_ops.Merge(inputs=list(tf.raw_ops.Switch(data=x, pred=x > 0)))
    tf.identity(y.value_index, "index")
    nodes = {node.name: node for node in graph.as_graph_def().node}
    assert "its Merge has one output" in "; ".join(lacking(Body(nodes, ["index"])))


def test_the_list():
    known = known_ops()
    assert len(known) > 200
    assert {"strides", "dilations"} <= known["Conv2D"] and "Cholesky" not in known
