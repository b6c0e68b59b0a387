"""Train a tf-slim net with batch normalization; each checkpoint gets a frozen inference graph.

Batch statistics, dropout and moving-average updates are built into the training graph, as in all
slim nets with is_training=True. So the file is not made from this graph: `inference_fn` builds the
net again with is_training=False, in a separate graph, and takes the live variables by name. The net
is trained twice: by `slim.learning.train` with a FreezingSaver, and by `slim.training.train` with a
FreezeHook.

    python examples/slim_digits.py [directory]
"""

import os
import sys
import tempfile

import numpy as np
import tensorflow as tf
import tf_slim as slim
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tf_slim.layers import utils

import freeze_hooks as fh

v1 = tf.compat.v1
if not hasattr(utils.ops, "Tensor"):  # tf-slim 1.1 reads it here; newer TensorFlow moved it
    utils.ops.Tensor = tf.Tensor
STEPS, BATCH = 200, 64


def digits():
    """Return train and held-out images (8x8x1 in 0..1), then train and held-out labels."""
    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)[..., np.newaxis]
    return train_test_split(images, data.target, test_size=360, random_state=0)


def network(images, is_training):
    """Return the logits of images."""
    # TensorFlow has no Keras 2 from 2.16 on. With fused=True and a list of updates_collections,
    # slim's batch norm does not need it.
    norm = {
        "is_training": is_training,
        "decay": 0.9,
        "scale": True,
        "fused": True,
        "updates_collections": [v1.GraphKeys.UPDATE_OPS],
    }
    with slim.arg_scope(
        [slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=norm, padding="SAME"
    ):
        net = slim.conv2d(images, 16, [3, 3], scope="conv1")
        net = slim.max_pool2d(net, [2, 2], scope="pool1")
        net = slim.conv2d(net, 32, [3, 3], scope="conv2")
        net = slim.max_pool2d(net, [2, 2], scope="pool2")
    net = slim.flatten(net)
    net = slim.dropout(net, 0.7, is_training=is_training)
    return slim.fully_connected(net, 10, activation_fn=None, scope="logits")


def inference():
    """Build the net for inference, and return (inputs, outputs)."""
    images = v1.placeholder(tf.float32, [None, 8, 8, 1], name="image")
    return {"image": images}, {"probs": tf.nn.softmax(network(images, is_training=False))}


def training(x, y):
    """Return the train op of slim.learning, over batches from tf.data."""
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(2000, seed=1).repeat().batch(BATCH)
    images, labels = v1.data.make_one_shot_iterator(data).get_next()
    loss = v1.losses.sparse_softmax_cross_entropy(labels, network(images, is_training=True))
    v1.train.get_or_create_global_step()
    return slim.learning.create_train_op(loss, v1.train.AdamOptimizer(2e-3))


def by_learning_train(directory, x, y):
    """Train with `slim.learning.train`: a Supervisor saves by a timer and at the end."""
    train_op = training(x, y)
    saver = fh.FreezingSaver(inference_fn=inference)
    slim.learning.train(
        train_op, directory, number_of_steps=STEPS, saver=saver, save_interval_secs=600
    )
    return saver.artifacts


def by_training_train(directory, x, y):
    """Train with `slim.training.train`: a MonitoredTrainingSession with hooks."""
    train_op = training(x, y)
    hook = fh.FreezeHook(inference_fn=inference)
    slim.training.train(
        train_op,
        directory,
        hooks=[v1.train.StopAtStepHook(STEPS), hook],
        save_summaries_steps=None,
    )
    return hook.artifacts


def restored(prefix, x):
    """Return the probabilities from the checkpoint, restored by a Saver, for comparison."""
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs = inference()
        v1.train.Saver().restore(session, prefix)
        return session.run(outputs["probs"], {inputs["image"]: x})


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="slim_digits_")
    v1.disable_eager_execution()  # slim.learning.train saves in threads, which need graph mode
    x_train, x_test, y_train, y_test = digits()
    for train in (by_learning_train, by_training_train):
        with tf.Graph().as_default():
            v1.set_random_seed(1)
            newest = train(os.path.join(directory, train.__name__), x_train, y_train)[-1]
        with fh.load_frozen(newest.path) as model:
            probs = model(image=x_test)["probs"]
        expected = restored(newest.path[: -len(".pb")], x_test)
        print(f"{train.__name__}: {newest.path} ({newest.bytes} bytes, {newest.seconds:.3f} s)")
        print(f"  accuracy, frozen file: {np.mean(probs.argmax(1) == y_test):.4f}")
        print(f"  greatest difference to the restored net: {np.abs(probs - expected).max():.1e}")


if __name__ == "__main__":
    main()
