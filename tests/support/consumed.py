"""Trained models whose frozen files other programs run, with what the live model answers.

Each function trains in a directory and returns a Case; hook, callback and drop-in write the files.
"""

import os

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import freeze_hooks as fh
from freeze_hooks import freeze_graph

v1 = tf.compat.v1


class Case:
    """A frozen file of one input and one output; `expected` is the live output for `value`."""

    def __init__(self, artifact, value, expected):
        self.artifact = artifact
        self.path = artifact.path
        (self.input,) = artifact.signature.inputs
        (self.output,) = artifact.signature.outputs
        self.value = value
        self.expected = expected


def digits(directory):
    """A conv net with batch norm and dropout under an is_training placeholder; FreezeHook."""
    import digits_monitored_session as example

    x_train, x_test, y_train, _ = example.digits()
    hook, live = example.train(str(directory), x_train, y_train, x_test)
    return Case(hook.artifacts[-1], x_test, live)


def slim_net(directory):
    """The net of examples/slim_digits.py, by tf-slim; FreezeHook, inference_fn."""
    import slim_digits as example

    x_train, x_test, y_train, _ = example.digits()
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        artifact = example.by_training_train(str(directory), x_train, y_train)[-1]
    return Case(artifact, x_test, example.restored(artifact.path[: -len(".pb")], x_test))


def mobilenet_v2(directory):
    """Keras's MobileNetV2 after two epochs on digits, with batch statistics; FreezeCallback."""
    return _on_digits(directory, tf.keras.applications.MobileNetV2, 64, alpha=0.35)


def resnet_50(directory, **how):
    """Keras's ResNet50, the same way."""
    return _on_digits(directory, tf.keras.applications.ResNet50, 16, how)


def resnet_50_optimized(directory):
    """The same with `optimize=True`: batch norms folded into convolutions."""
    return resnet_50(directory, optimize=True)


def _on_digits(directory, application, count, how=None, **more):
    data = load_digits()
    images = np.repeat(data.images[:count, :, :, None] / 16, 3, axis=3).astype(np.float32)
    images = images.repeat(8, axis=1).repeat(8, axis=2)
    model = application(weights=None, input_shape=(64, 64, 3), classes=10, **more)
    return _fitted(model, images, data.target[:count], 4, directory, **(how or {}))


def lstm(directory, batch=None, **how):
    """An embedding, an LSTM and a dense layer; FreezeCallback."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((12,), dtype="int32", name="words"),
            layers.Embedding(200, 16),
            layers.LSTM(16, **how),
            layers.Dense(5, activation="softmax"),
        ]
    )
    x = np.random.RandomState(0).randint(0, 200, (64, 12)).astype(np.int32)
    signature = [tf.TensorSpec([batch, 12], tf.int32)] if batch else None
    return _fitted(model, x, x[:, 0] % 5, 4, directory, input_signature=signature)


def lstm_fixed_batch(directory):
    """The same net, for four rows at a time (`input_signature=`)."""
    return lstm(directory, batch=4)


def lstm_unrolled(directory):
    """The same net with `unroll=True`: no loop in the graph."""
    return lstm(directory, unroll=True)


def _fitted(model, x, y, rows, directory, **how):
    # compiling takes longer than these few steps
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    callback = fh.FreezeCallback(os.path.join(str(directory), "model.pb"), strict=True, **how)
    model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0, callbacks=[callback])
    value = x[:rows]
    return Case(callback.artifacts[-1], value, model.predict(value, verbose=0))


def lookup_table(directory):
    """Words by a vocabulary to the rows of an embedding; the freeze_graph drop-in, from files."""
    words = np.array([["red", "green"], ["blue", "mauve"], ["green", "blue"]])
    prefix = os.path.join(str(directory), "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        keys, ids = ["red", "green", "blue"], np.arange(1, 4, dtype=np.int64)
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), 0)
        text = v1.placeholder(tf.string, [None, 2], name="words")
        embedding = v1.get_variable("embedding", [4, 8])
        summed = tf.reduce_sum(tf.gather(embedding, table.lookup(text)), axis=1)
        scores = tf.matmul(summed, v1.get_variable("w", [8, 3]), name="scores")
        train_op = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_mean(tf.square(scores - 1.0)))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        for _ in range(5):
            session.run(train_op, {text: words})
        v1.train.Saver().save(session, prefix)
        live = session.run(scores, {text: words})
    return Case(_by_drop_in(prefix, "scores"), words, live)


def _by_drop_in(prefix, output):
    """What the tool's own signature writes, as an Artifact."""
    path = prefix + ".pb"
    freeze_graph.freeze_graph(
        input_graph="",
        input_saver="",
        input_binary=True,
        input_checkpoint=prefix,
        output_node_names=output,
        restore_op_name="",
        filename_tensor_name="",
        output_graph=path,
        clear_devices=True,
        initializer_nodes="",
        input_meta_graph=prefix + ".meta",
    )
    report = fh.inspect(path)
    return fh.Artifact(path, None, report.signature, {}, report.bytes, 0.0, "")


MODELS = [
    digits,
    slim_net,
    mobilenet_v2,
    resnet_50,
    resnet_50_optimized,
    lstm,
    lstm_fixed_batch,
    lstm_unrolled,
    lookup_table,
]
