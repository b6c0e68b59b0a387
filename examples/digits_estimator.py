"""Train a DNNClassifier on handwritten digits with train_and_evaluate, and freeze the best model.

    python examples/digits_estimator.py [DIRECTORY]

Needs TensorFlow 1.15 to 2.15, the last version with Estimator.
"""

import os
import sys
import tempfile

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import freeze_hooks as fh

v1 = tf.compat.v1


def data(images, labels, training):
    def dataset():
        both = tf.data.Dataset.from_tensor_slices(({"pixels": images}, labels))
        return both.shuffle(2000, seed=1).repeat().batch(64) if training else both.batch(64)

    return dataset


def serving():
    pixels = v1.placeholder(tf.float32, [None, 64], "pixels")
    return tf.estimator.export.ServingInputReceiver({"pixels": pixels}, {"pixels": pixels})


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    v1.logging.set_verbosity(v1.logging.ERROR)
    images, labels = load_digits(return_X_y=True)
    split = train_test_split((images / 16).astype(np.float32), labels, random_state=0)
    train_x, test_x, train_y, test_y = split
    classifier = tf.estimator.DNNClassifier(
        [64],
        [tf.feature_column.numeric_column("pixels", 64)],
        model_dir=directory,
        n_classes=10,
        optimizer="Adam",
        dropout=0.2,
        batch_norm=True,
        config=tf.estimator.RunConfig(save_checkpoints_steps=100, tf_random_seed=1),
    )
    freeze = fh.FreezeExporter(
        "frozen", serving, kind="best", monitor="accuracy", mode="max", strict=True
    )
    tf.estimator.train_and_evaluate(
        classifier,
        tf.estimator.TrainSpec(data(train_x, train_y, True), max_steps=600),
        tf.estimator.EvalSpec(data(test_x, test_y, False), exporters=freeze, throttle_secs=0),
    )
    (best,) = freeze.artifacts
    print(best)
    checkpoint = os.path.join(directory, f"model.ckpt-{best.step}")
    predictions = classifier.predict(data(test_x, test_y, False), checkpoint_path=checkpoint)
    live = np.array([found["probabilities"] for found in predictions])
    with fh.load_frozen(best.path) as model:
        frozen = model(pixels=test_x)["probabilities"]
    print(f"held-out accuracy, Estimator:   {np.mean(live.argmax(1) == test_y):.4f}")
    print(f"held-out accuracy, frozen file: {np.mean(frozen.argmax(1) == test_y):.4f}")
    print(f"greatest difference of probabilities: {np.abs(live - frozen).max():.1e}")


if __name__ == "__main__":
    main()
