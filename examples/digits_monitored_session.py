"""Train a conv net on scikit-learn's digits; every checkpoint gets a frozen .pb beside it.

Batch normalization and dropout depend on an `is_training` placeholder, and images come from
tf.data, so the training graph cannot be deployed unchanged. FreezeHook cuts off the input pipeline,
fixes is_training, and writes a clean inference graph. Then a second Python process, which imports
only TensorFlow, scores the held-out digits with the newest file.

    python examples/digits_monitored_session.py [directory]
"""

import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import freeze_hooks as fh

v1 = tf.compat.v1
STEPS, BATCH, SAVE_EVERY = 300, 64, 100

SCORER = """
import sys
import numpy as np
import tensorflow as tf

graph_def = tf.compat.v1.GraphDef()
with open(sys.argv[1], "rb") as file:
    graph_def.ParseFromString(file.read())
tf.compat.v1.import_graph_def(graph_def, name="")
held_out = np.load(sys.argv[2])
with tf.compat.v1.Session() as session:
    probs = session.run("probs:0", {"image:0": held_out["x"]})
np.save(sys.argv[3], probs)
assert "freeze_hooks" not in sys.modules
"""


def digits():
    """Return train and held-out images (8x8x1 in 0..1), then train and held-out labels."""
    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)[..., np.newaxis]
    labels = data.target.astype(np.int64)
    return train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)


def weights(name, shape, scale):
    initializer = v1.truncated_normal_initializer(stddev=scale, seed=1)
    return v1.get_variable(name, shape, initializer=initializer)


def batch_norm(x, is_training):
    """Add batch normalization with moving averages, which a control dependency updates."""
    channels = [int(x.shape[-1])]
    gamma = v1.get_variable("gamma", channels, initializer=v1.ones_initializer())
    beta = v1.get_variable("beta", channels, initializer=v1.zeros_initializer())
    mean = v1.get_variable("mean", channels, initializer=v1.zeros_initializer(), trainable=False)
    var = v1.get_variable("var", channels, initializer=v1.ones_initializer(), trainable=False)

    def train():
        y, batch_mean, batch_var = v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)
        moved = [v1.assign_sub(mean, 0.1 * (mean - batch_mean), use_locking=True)]
        moved.append(v1.assign_sub(var, 0.1 * (var - batch_var), use_locking=True))
        with tf.control_dependencies(moved):
            return tf.identity(y)

    def infer():
        return v1.nn.fused_batch_norm(x, gamma, beta, mean, var, is_training=False)[0]

    return tf.cond(is_training, train, infer)


def network(images, is_training):
    """Return class probabilities and logits of 8x8x1 images."""
    x = images
    for i, width in enumerate([16, 32]):
        with v1.variable_scope(f"block{i}"):
            kernel = weights("kernel", [3, 3, int(x.shape[-1]), width], 0.1)
            x = v1.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME")
            x = v1.nn.max_pool(
                tf.nn.relu(batch_norm(x, is_training)), [1, 2, 2, 1], [1, 2, 2, 1], "SAME"
            )
    x = tf.reshape(x, [-1, 2 * 2 * 32])
    x = tf.cond(is_training, lambda: tf.nn.dropout(x, rate=0.3), lambda: tf.identity(x))
    logits = tf.matmul(x, weights("dense", [128, 10], 0.1)) + weights("bias", [10], 0.01)
    return tf.nn.softmax(logits, name="probs"), logits


def train(directory, x_train, y_train, x_test):
    """Train for STEPS steps; return the hook and the live probabilities of the test images."""
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        data = tf.data.Dataset.from_tensor_slices((x_train, y_train))
        data = data.shuffle(2000, seed=1).repeat().batch(BATCH)
        images, labels = v1.data.make_one_shot_iterator(data).get_next()
        images = tf.identity(images, name="images")
        is_training = v1.placeholder(tf.bool, [], name="is_training")
        probs, logits = network(images, is_training)
        loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
        step = v1.train.get_or_create_global_step()
        train_op = v1.train.AdamOptimizer(2e-3).minimize(loss, global_step=step)

        hook = fh.FreezeHook(
            outputs={"probs": probs}, inputs={"image": images}, bind={is_training: False}
        )
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=directory, save_checkpoint_steps=SAVE_EVERY, hooks=[hook]
        ) as session:
            for _ in range(STEPS):
                session.run(train_op, {is_training: True})
            live = session.run(probs, {images: x_test, is_training: False})
        return hook, live


def score_elsewhere(path, directory, x_test):
    """Return the frozen file's probabilities of the test images, from a second process."""
    feeds, answer = os.path.join(directory, "held_out.npz"), os.path.join(directory, "probs.npy")
    np.savez(feeds, x=x_test)
    subprocess.run([sys.executable, "-c", SCORER, path, feeds, answer], check=True)
    return np.load(answer)


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="digits_")
    x_train, x_test, y_train, y_test = digits()
    hook, live = train(directory, x_train, y_train, x_test)
    newest = hook.artifacts[-1]
    frozen = score_elsewhere(newest.path, directory, x_test)

    for artifact in hook.artifacts:
        cost = f"{artifact.seconds:7.3f} s  {artifact.bytes:7d} bytes"
        print(f"step {artifact.step:4d}  {cost}  {artifact.path}")
    print(f"accuracy, live session:  {np.mean(live.argmax(1) == y_test):.4f}")
    print(f"accuracy, frozen file:   {np.mean(frozen.argmax(1) == y_test):.4f}")
    print(f"greatest difference of probabilities: {np.abs(live - frozen).max():.1e}")
    assert sorted(glob.glob(os.path.join(directory, "*.pb"))) == sorted(
        a.path for a in hook.artifacts
    )


if __name__ == "__main__":
    main()
