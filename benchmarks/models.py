"""Training graphs for the session benchmark: each is a real graph with gradients and an optimizer.

A model trains for a single step, so that its variables are in the state training leaves them in
(a sparse lookup, for one, changes how TensorFlow reads the variable from then on).
"""

from collections import namedtuple

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
Model = namedtuple("Model", "graph train_op feed inputs outputs about")
Model.__doc__ = """A training graph.

`feed` trains one step; `inputs` feeds only what the output `outputs` needs.
"""


def _images(size):
    shape = (1, size, size, 3)
    images = v1.placeholder(tf.float32, (None,) + shape[1:], name="images")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    return images, labels, np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)


def _loss(logits, labels):
    return v1.losses.sparse_softmax_cross_entropy(labels, logits)


def _model(loss, optimizer, feed, inputs, about):
    """Adds the train step to the default graph; batch-norm updates run with it."""
    step = v1.train.get_or_create_global_step()
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        train_op = optimizer.minimize(loss, global_step=step)
    return Model(v1.get_default_graph(), train_op, feed, inputs, ["probs"], about)


def vgg16():
    """tf-slim VGG-16, 138 million parameters; dropout in the training pass, none in the saved."""
    from tf_slim.nets import vgg

    images, labels, data = _images(224)
    logits, _ = vgg.vgg_16(images, is_training=True)
    with v1.variable_scope(v1.get_variable_scope(), reuse=True):
        inference, _ = vgg.vgg_16(images, is_training=False)
    tf.nn.softmax(inference, name="probs")
    return _model(
        _loss(logits, labels),
        v1.train.GradientDescentOptimizer(1e-4),
        {"images:0": data, "labels:0": [1]},
        {"images:0": data},
        "tf-slim VGG-16, gradient descent",
    )


def embedding(rows=6000000, width=64, classes=16):
    """One matrix of 1.5 GB, looked up sparsely, mean pooled, a dense layer and a softmax."""
    ids = v1.placeholder(tf.int64, [None, 32], name="ids")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    table = v1.get_variable(
        "embedding", [rows, width], initializer=v1.random_uniform_initializer(-0.05, 0.05)
    )
    weights = v1.get_variable("dense/weights", [width, classes])
    bias = v1.get_variable("dense/bias", [classes], initializer=v1.zeros_initializer())
    pooled = tf.reduce_mean(tf.nn.embedding_lookup(table, ids), axis=1)
    logits = tf.matmul(pooled, weights) + bias
    tf.nn.softmax(logits, name="probs")
    data = np.random.RandomState(0).randint(0, rows, (8, 32))
    return _model(
        _loss(logits, labels),
        v1.train.GradientDescentOptimizer(0.1),
        {"ids:0": data, "labels:0": np.arange(8)},
        {"ids:0": data},
        f"one embedding matrix {rows} x {width}, gradient descent",
    )


def resnet152():
    """tf-slim ResNet-v1-152, batch norm, weight decay, momentum: many nodes, many variables."""
    import tf_slim as slim
    from tf_slim.layers import utils
    from tf_slim.nets import resnet_v1

    if not hasattr(utils.ops, "Tensor"):  # where tf-slim 1.1.0 looks; newer TensorFlow has moved it
        utils.ops.Tensor = tf.Tensor
    images, labels, data = _images(224)
    # A list, where slim has the bare name: only then does its batch norm do without Keras.
    norm = {
        "decay": 0.997,
        "epsilon": 1e-5,
        "scale": True,
        "updates_collections": [v1.GraphKeys.UPDATE_OPS],
    }
    with slim.arg_scope(resnet_v1.resnet_arg_scope()), slim.arg_scope(
        [slim.conv2d], normalizer_params=norm
    ):
        logits, _ = resnet_v1.resnet_v1_152(images, num_classes=1000, is_training=True)
        inference, _ = resnet_v1.resnet_v1_152(
            images, num_classes=1000, is_training=False, reuse=True
        )
    tf.nn.softmax(tf.squeeze(inference, [1, 2]), name="probs")
    _loss(tf.squeeze(logits, [1, 2]), labels)
    return _model(
        v1.losses.get_total_loss(),
        v1.train.MomentumOptimizer(1e-3, 0.9),
        {"images:0": data, "labels:0": [1]},
        {"images:0": data},
        "tf-slim ResNet-v1-152, momentum",
    )


def _chain(ops_between, layers=25, width=1024):
    """The same 100 MB of weights whatever the number of nodes between the dense layers."""
    x = v1.placeholder(tf.float32, [None, width], name="x")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    net = x
    for layer in range(layers):
        kernel = v1.get_variable(f"kernel_{layer}", [width, width])
        net = tf.matmul(net, kernel)
        for _ in range(ops_between):
            net = tf.tanh(net)
    tf.nn.softmax(net, name="probs")
    data = np.random.RandomState(0).uniform(-1, 1, (4, width)).astype(np.float32)
    return _model(
        _loss(net, labels),
        v1.train.GradientDescentOptimizer(0.1),
        {"x:0": data, "labels:0": np.arange(4)},
        {"x:0": data},
        f"{layers} dense layers {width} x {width}, {ops_between} tanh after each",
    )


def nodes_1k():
    """100 MB of weights in about 1,000 nodes."""
    return _chain(6)


def nodes_20k():
    """The weights of `nodes_1k` in about 20,000 nodes, half of them in the saved file."""
    return _chain(380)


MODELS = [vgg16, embedding, resnet152, nodes_1k, nodes_20k]


def build(name):
    """Builds the model called `name` in a graph of its own."""
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        return {make.__name__: make for make in MODELS}[name]()
