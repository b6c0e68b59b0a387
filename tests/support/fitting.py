"""A digits classifier to train in any Keras."""

import importlib

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = (DIGITS / 16).astype(np.float32)
TF1 = tf.__version__.startswith("1.")
# since TensorFlow 2.16, keras is Keras 3; before, Keras 2 is a part of TensorFlow
HAS_KERAS_3 = not TF1 and tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 16)
KERASES = ["keras", "tf_keras"] if HAS_KERAS_3 else ["tf.keras"]


def keras_of(name):
    return tf.keras if name == "tf.keras" else importlib.import_module(name)


def classifier(keras):
    """Batch normalization and dropout between two dense layers; "pixels" to "probs"."""
    layers = keras.layers
    inputs = keras.Input((64,), name="pixels")
    hidden = layers.BatchNormalization(name="norm")(layers.Dense(16, name="hidden")(inputs))
    hidden = layers.Dropout(0.3)(layers.Activation("relu")(hidden))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="probs")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, batches=4, **arguments):
    """Train on 4 batches of 32 an epoch; returns the history."""
    samples = 32 * batches
    arguments = dict({"batch_size": 32, "verbose": 0}, **arguments)
    return model.fit(DIGITS[:samples], LABELS[:samples], **arguments).history


def weights_of(model):
    """{name of the constant: value} of all weights."""
    values = dict(zip((id(v) for v in model.weights), model.get_weights()))
    names = {id(v): (getattr(v, "path", None) or v.name).split(":")[0] for v in model.weights}
    return {names[key]: value for key, value in values.items() if value.ndim}


class Scores:
    """A callback that adds a metric of given values, one an epoch, to what later ones see."""

    def __new__(cls, keras, scores, name="score"):
        class Scoring(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs[name] = scores[epoch]

        return Scoring()
