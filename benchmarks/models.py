"""Training graphs for the measured sessions, with gradients and an optimizer.

A model trains for a single step, so that its variables are in the same state as in training (for
example, after a sparse lookup TensorFlow reads the variable in another way).
"""

import re
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
    """Add the train step to the default graph; batch-norm updates run with it."""
    step = v1.train.get_or_create_global_step()
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        train_op = optimizer.minimize(loss, global_step=step)
    return Model(v1.get_default_graph(), train_op, feed, inputs, ["probs"], about)


def vgg16():
    """Build tf-slim VGG-16, 138 million parameters; only the training pass has dropout."""
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


def embedding(megabytes, width=64, classes=16):
    """Build an embedding of so many MB: sparse lookup, mean pooling, a dense layer, a softmax."""
    rows = megabytes * 10**6 // (4 * width)
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


def _slim_norm():
    """Return the arguments of slim's batch norm, as slim's nets use them."""
    return {
        "decay": 0.997,
        "epsilon": 1e-5,
        "scale": True,
        # Slim's nets pass only the name. With a list, slim's batch norm does not need Keras.
        "updates_collections": [v1.GraphKeys.UPDATE_OPS],
    }


def _slim_layers():
    import tf_slim as slim
    from tf_slim.layers import utils

    if not hasattr(utils.ops, "Tensor"):  # tf-slim 1.1.0 reads it here; newer TensorFlow moved it
        utils.ops.Tensor = tf.Tensor
    return slim


def resnet50():
    """Build tf-slim ResNet-v1-50 with batch norm, weight decay, momentum."""
    slim = _slim_layers()
    from tf_slim.nets import resnet_v1

    images, labels, data = _images(224)
    with slim.arg_scope(resnet_v1.resnet_arg_scope()), slim.arg_scope(
        [slim.conv2d], normalizer_params=_slim_norm()
    ):
        logits, _ = resnet_v1.resnet_v1_50(images, num_classes=1000, is_training=True)
        inference, _ = resnet_v1.resnet_v1_50(
            images, num_classes=1000, is_training=False, reuse=True
        )
    tf.nn.softmax(tf.squeeze(inference, [1, 2]), name="probs")
    _loss(tf.squeeze(logits, [1, 2]), labels)
    return _model(
        v1.losses.get_total_loss(),
        v1.train.MomentumOptimizer(1e-3, 0.9),
        {"images:0": data, "labels:0": [1]},
        {"images:0": data},
        "tf-slim ResNet-v1-50, momentum",
    )


def _mobilenet_v2(slim, net, is_training, reuse=None):
    """Build MobileNetV2 as in Sandler et al. 2018, table 2; slim itself has no such net."""
    blocks = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    blocks += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    with v1.variable_scope("mobilenet_v2", reuse=reuse), slim.arg_scope(
        [slim.conv2d, slim.separable_conv2d],
        normalizer_fn=slim.batch_norm,
        normalizer_params=dict(_slim_norm(), is_training=is_training),
        activation_fn=tf.nn.relu6,
    ):
        net = slim.conv2d(net, 32, 3, 2)
        for expansion, channels, count, stride in blocks:
            for index in range(count):
                before, width = net, int(net.shape[-1])
                if expansion > 1:
                    net = slim.conv2d(net, expansion * width, 1)
                net = slim.separable_conv2d(net, None, 3, 1, stride=1 if index else stride)
                net = slim.conv2d(net, channels, 1, activation_fn=None)
                if index:
                    net = before + net
        net = tf.reduce_mean(slim.conv2d(net, 1280, 1), [1, 2])
    with v1.variable_scope("head", reuse=reuse):
        kernel = v1.get_variable("kernel", [1280, 1000])
        return tf.matmul(net, kernel) + v1.get_variable("bias", [1000])


def mobilenet_v2():
    """Build MobileNetV2 of slim's layers with batch norm, momentum: many small variables."""
    slim = _slim_layers()
    images, labels, data = _images(224)
    logits = _mobilenet_v2(slim, images, True)
    tf.nn.softmax(_mobilenet_v2(slim, images, False, reuse=True), name="probs")
    return _model(
        _loss(logits, labels),
        v1.train.MomentumOptimizer(1e-3, 0.9),
        {"images:0": data, "labels:0": [1]},
        {"images:0": data},
        "MobileNetV2, momentum",
    )


def convnet(size, batch, filters):
    """Build convolutions and a dense layer; return (logits, labels, images to feed)."""
    x = v1.placeholder(tf.float32, [None, size, size, 1], name="x")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    net = x
    for index, (inner, outer) in enumerate(zip([1] + filters, filters)):
        kernel = v1.get_variable(f"kernel_{index}", [3, 3, inner, outer])
        bias = v1.get_variable(f"bias_{index}", [outer], initializer=v1.zeros_initializer())
        net = tf.nn.relu(tf.nn.conv2d(net, kernel, 1, "SAME") + bias)
    flat = size * size * filters[-1]
    net = tf.reshape(net, [-1, flat])
    logits = tf.matmul(net, v1.get_variable("dense", [flat, 10])) + v1.get_variable("bias", [10])
    tf.nn.softmax(logits, name="probs")
    return logits, labels, np.random.RandomState(0).rand(batch, size, size, 1).astype(np.float32)


def digits():
    """Build a conv net for images of 8 x 8, with Adam."""
    logits, labels, data = convnet(8, 32, [32, 64])
    return _model(
        _loss(logits, labels),
        v1.train.AdamOptimizer(),
        {"x:0": data, "labels:0": np.arange(32) % 10},
        {"x:0": data},
        "conv net for digits of 8 x 8, Adam",
    )


def nodes(count, layers=25, width=1024):
    """Build a net of 100 MB with `count` nodes; half of them are in the saved file."""
    between = max(1, round((count - 558) / (2 * layers)))  # a tanh and its gradient
    x = v1.placeholder(tf.float32, [None, width], name="x")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    net = x
    for layer in range(layers):
        kernel = v1.get_variable(f"kernel_{layer}", [width, width])
        net = tf.matmul(net, kernel)
        for _ in range(between):
            net = tf.tanh(net)
    tf.nn.softmax(net, name="probs")
    data = np.random.RandomState(0).uniform(-1, 1, (4, width)).astype(np.float32)
    return _model(
        _loss(net, labels),
        v1.train.GradientDescentOptimizer(0.1),
        {"x:0": data, "labels:0": np.arange(4)},
        {"x:0": data},
        f"{layers} dense layers {width} x {width}, {between} tanh after each",
    )


def _of_series(x, state, about):
    """Build a classifier on a recurrent net's last state, with Adam."""
    labels = v1.placeholder(tf.int64, [None], name="labels")
    logits = tf.matmul(state, v1.get_variable("dense", [int(state.shape[-1]), 10]))
    tf.nn.softmax(logits, name="probs")
    shape = [4, *x.shape.as_list()[1:]]
    data = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    return _model(
        _loss(logits, labels),
        v1.train.AdamOptimizer(),
        {"x:0": data, "labels:0": np.arange(4)},
        {"x:0": data},
        about,
    )


def rnn(steps, width=256, inputs=64):
    """Build an unrolled recurrent net that calls its cell, a tf.function, at each step."""
    x = v1.placeholder(tf.float32, [None, steps, inputs], name="x")
    kernel = v1.get_variable("kernel", [inputs + width, width], use_resource=True)
    bias = v1.get_variable("bias", [width], initializer=v1.zeros_initializer(), use_resource=True)

    @tf.function
    def cell(now, state):
        return tf.tanh(tf.matmul(tf.concat([now, state], 1), kernel) + bias)

    state = tf.zeros([tf.shape(x)[0], width])
    for now in tf.unstack(x, axis=1):
        state = cell(now, state)
    return _of_series(x, state, f"recurrent net, {steps} calls of a function, Adam")


def lstm(steps, width=256, inputs=64):
    """Build an LSTM in a loop (Hochreiter and Schmidhuber 1997, with forget gates)."""
    x = v1.placeholder(tf.float32, [None, steps, inputs], name="x")
    kernel = v1.get_variable("kernel", [inputs + width, 4 * width])
    bias = v1.get_variable("bias", [4 * width], initializer=v1.zeros_initializer())
    series = tf.transpose(x, [1, 0, 2])

    def step(at, cell, state):
        gates = tf.matmul(tf.concat([series[at], state], 1), kernel) + bias
        enter, new, forget, leave = tf.split(gates, 4, axis=1)
        cell = tf.sigmoid(forget + 1.0) * cell + tf.sigmoid(enter) * tf.tanh(new)
        return at + 1, cell, tf.sigmoid(leave) * tf.tanh(cell)

    start = tf.zeros([tf.shape(x)[0], width])
    _, _, state = tf.while_loop(lambda at, *_: at < steps, step, [0, start, start])
    return _of_series(x, state, f"LSTM of {steps} steps in a loop, Adam")


def bert(layers, width=768, heads=12, words=30522, length=128):
    """Build a transformer encoder; 12 layers make it as large as BERT-base (Devlin et al. 2018)."""
    ids = v1.placeholder(tf.int64, [None, length], name="ids")
    labels = v1.placeholder(tf.int64, [None], name="labels")

    def dense(x, units, name):
        kernel = v1.get_variable(name + "/kernel", [int(x.shape[-1]), units])
        bias = v1.get_variable(name + "/bias", [units], initializer=v1.zeros_initializer())
        flat = tf.matmul(tf.reshape(x, [-1, int(x.shape[-1])]), kernel) + bias
        return tf.reshape(flat, [-1, length, units])

    def norm(x, name):
        scale = v1.get_variable(name + "/scale", [width], initializer=v1.ones_initializer())
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return (x - mean) * v1.rsqrt(variance + 1e-6) * scale

    def split(x):
        return tf.transpose(tf.reshape(x, [-1, length, heads, width // heads]), [0, 2, 1, 3])

    h = tf.nn.embedding_lookup(v1.get_variable("words", [words, width]), ids)
    h = norm(h + v1.get_variable("places", [length, width]), "norm")
    for layer in range(layers):
        with v1.variable_scope(f"layer_{layer}"):
            query, key, value = (split(dense(h, width, name)) for name in ("q", "k", "v"))
            scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / (width / heads) ** 0.5)
            mixed = tf.transpose(tf.matmul(scores, value), [0, 2, 1, 3])
            h = norm(h + dense(tf.reshape(mixed, [-1, length, width]), width, "out"), "norm_1")
            inner = dense(h, 4 * width, "inner")
            h = norm(h + dense(inner * tf.sigmoid(1.702 * inner), width, "outer"), "norm_2")
    logits = tf.matmul(h[:, 0], v1.get_variable("head", [width, 10]))
    tf.nn.softmax(logits, name="probs")
    data = np.random.RandomState(0).randint(0, words, (1, length))
    return _model(
        _loss(logits, labels),
        v1.train.GradientDescentOptimizer(1e-3),
        {"ids:0": data, "labels:0": [1]},
        {"ids:0": data},
        f"transformer of {layers} layers, gradient descent",
    )


def table(words, width=64):
    """Build a text model: words are looked up in a table, then in an embedding."""
    text = v1.placeholder(tf.string, [None, 32], name="text")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    keys = tf.constant([f"word{i}" for i in range(words)])
    rows = tf.lookup.KeyValueTensorInitializer(keys, tf.range(words, dtype=tf.int64))
    ids = tf.lookup.StaticHashTable(rows, 0).lookup(text)
    pooled = tf.reduce_mean(tf.gather(v1.get_variable("embedding", [words, width]), ids), axis=1)
    logits = tf.matmul(pooled, v1.get_variable("dense", [width, 10]))
    tf.nn.softmax(logits, name="probs")
    numbers = np.random.RandomState(0).randint(0, words, (8, 32))
    data = np.array([[f"word{i}" for i in row] for row in numbers], object)
    return _model(
        _loss(logits, labels),
        v1.train.GradientDescentOptimizer(0.1),
        {"text:0": data, "labels:0": np.arange(8)},
        {"text:0": data},
        f"text model with a table of {words} words, gradient descent",
    )


MODELS = {make.__name__: make for make in (digits, mobilenet_v2, resnet50, vgg16)}
# Selected by a name with a number, such as "nodes_20k" or "embedding_1900".
FAMILIES = {make.__name__: make for make in (embedding, nodes, rnn, lstm, bert, table)}


def build(name):
    """Build the model called `name` in a new graph."""
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        if name in MODELS:
            return MODELS[name]()
        family, number, thousands = re.match(r"([a-z]+)_(\d+)(k?)$", name).groups()
        return FAMILIES[family](int(number) * (1000 if thousands else 1))
