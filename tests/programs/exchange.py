"""Frozen files that one TensorFlow writes and others read.

python exchange.py write DIRECTORY   # DIRECTORY/VERSION-NAME.pb, and what it answers, .npz
python exchange.py read DIRECTORY    # runs every file that is there, of whatever version

"""

import glob
import os
import sys

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
IMAGES = np.random.RandomState(0).rand(4, 8, 8, 3).astype(np.float32)
ROWS = np.random.RandomState(1).rand(4, 6).astype(np.float32)


def variable(name, *shape):
    values = np.random.RandomState(len(name)).randn(*shape).astype(np.float32) / 4
    return v1.get_variable(name, initializer=values)


def convolutions(x):
    x = tf.nn.conv2d(x, variable("kernel", 3, 3, 3, 8), strides=1, padding="SAME")
    moments = [variable(name, 8) for name in ("offset", "scales", "average")]
    x, _, _ = v1.nn.fused_batch_norm(
        x, moments[1], moments[0], moments[2], tf.ones([8]), is_training=False
    )
    x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "SAME")
    x = tf.nn.depthwise_conv2d(x, variable("depthwise", 3, 3, 8, 1), [1, 1, 1, 1], "SAME")
    return tf.nn.softmax(tf.matmul(tf.reduce_mean(x, [1, 2]), variable("dense", 8, 5)))


def gathers(x):
    rows = tf.argsort(x)[:, :2]
    taken = tf.gather_nd(variable("matrix", 6, 3), rows[:, :, None])
    products = tf.matmul(taken, taken, transpose_b=True)
    sums = v1.sparse_segment_mean(variable("table", 6, 3), rows[0], [0, 1])
    spread = tf.scatter_nd(rows[:1, :1], variable("one", 1), [6])
    spectrum = tf.abs(v1.spectral.rfft(x))
    largest = tf.nn.top_k(x, 2).values
    parts = [products, sums, spread, spectrum, largest]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)


def loops(x):
    w = variable("recurrent", 6, 6)
    _, y = tf.while_loop(lambda i, y: i < 3, lambda i, y: [i + 1, tf.tanh(tf.matmul(y, w))], [0, x])
    return tf.cond(tf.reduce_sum(y) > 0, lambda: y + 1.0, lambda: tf.matmul(y, w))


def words(x):
    keys = tf.constant(["0", "1", "2", "3"])
    init = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([3, 2, 1, 0], tf.int64))
    table = tf.lookup.StaticHashTable(init, -1)
    numbers = tf.strings.as_string(tf.cast(x * 4, tf.int32))
    return tf.gather(variable("embedding", 4, 3), tf.maximum(table.lookup(numbers), 0))


GRAPHS = [
    (convolutions, IMAGES, False),
    (gathers, ROWS, False),
    (loops, ROWS, False),
    (loops, ROWS, True),
    (words, ROWS, False),
]


def write(directory):
    import freeze_hooks as fh

    for build, feed, functional in GRAPHS:
        kind = "v2" if functional else "v1"
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        stem = os.path.join(directory, f"{tf.__version__}-{build.__name__}-{kind}")
        with tf.Graph().as_default():
            x = v1.placeholder(tf.float32, [None, *feed.shape[1:]], "x")
            y = build(x)
            with v1.Session() as session:
                session.run([v1.global_variables_initializer(), v1.tables_initializer()])
                np.savez(stem + ".npz", x=feed, y=session.run(y, {x: feed}))
                fh.freeze_session(session, stem + ".pb", {"y": y})


def read(directory):
    paths = sorted(glob.glob(os.path.join(directory, "*.pb")))
    versions = {os.path.basename(path).split("-")[0] for path in paths}
    assert len(paths) == len(GRAPHS) * len(versions)
    for path in paths:
        graph_def = v1.GraphDef()
        with open(path, "rb") as file:
            graph_def.ParseFromString(file.read())
        expected = np.load(path[: -len(".pb")] + ".npz")
        with tf.Graph().as_default():
            v1.import_graph_def(graph_def, name="")
            with v1.Session() as session:
                got = session.run("y:0", {"x:0": expected["x"]})
        difference = np.abs(got - expected["y"]).max()
        assert difference < 1e-5, (path, difference)
    assert "freeze_hooks" not in sys.modules
    print(f"{tf.__version__} answers as", ", ".join(sorted(versions)))


{"write": write, "read": read}[sys.argv[1]](sys.argv[2])
