"""Train a conv net on scikit-learn's digits with Keras, and freeze the best model as best.pb.

FreezeCallback writes best.pb whenever the accuracy on the validation digits beats the best value so
far. Then a second Python process, which imports only TensorFlow, scores the held-out digits with
that file. The result is compared with the weights that Keras had in the best epoch.

    python examples/digits_keras.py [directory]

It runs on Keras 3. Without Keras 3 it uses `tf_keras`, or tf.keras of TensorFlow 1.15.
"""

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import freeze_hooks as fh

if tf.__version__.startswith("1."):
    keras = tf.keras
else:
    name = "keras" if importlib.util.find_spec("keras") else "tf_keras"
    keras = importlib.import_module(name)

EPOCHS, BATCH = 12, 64
METRIC = "val_acc" if tf.__version__.startswith("1.") else "val_accuracy"

SCORER = """
import sys
import numpy as np
import tensorflow as tf

graph_def = tf.compat.v1.GraphDef()
with open(sys.argv[1], "rb") as file:
    graph_def.ParseFromString(file.read())
graph = tf.Graph()
with graph.as_default():
    tf.compat.v1.import_graph_def(graph_def, name="")
with tf.compat.v1.Session(graph=graph) as session:
    probs = session.run("digit:0", {"image:0": np.load(sys.argv[2])})
np.save(sys.argv[3], probs)
assert "freeze_hooks" not in sys.modules
"""


def digits():
    """Return (images, labels) for training, validation and hold-out; images are 8x8x1 in 0..1."""
    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)[..., np.newaxis]
    x, held_x, y, held_y = train_test_split(
        images, data.target, test_size=360, random_state=0, stratify=data.target
    )
    x, val_x, y, val_y = train_test_split(x, y, test_size=360, random_state=0, stratify=y)
    return (x, y), (val_x, val_y), (held_x, held_y)


def network():
    """Build a conv net with batch normalization and dropout, from "image" to "digit"."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(32, 3, padding="same", use_bias=False)(image)
    x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(64, 3, padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.4)(layers.Flatten()(x))
    model = keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory, to compare them with the file."""

    def on_train_begin(self, logs=None):
        self.best, self.weights = -1.0, None

    def on_epoch_end(self, epoch, logs=None):
        if logs[METRIC] > self.best:
            self.best, self.weights = logs[METRIC], self.model.get_weights()


def score_elsewhere(path, images):
    """Return the file's probabilities, computed by a process that imports only TensorFlow."""
    with tempfile.TemporaryDirectory() as directory:
        feeds, out = os.path.join(directory, "x.npy"), os.path.join(directory, "probs.npy")
        np.save(feeds, images)
        subprocess.check_call([sys.executable, "-c", SCORER, path, feeds, out])
        return np.load(out)


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="digits_keras_")
    train, validation, (images, labels) = digits()
    model, remembered = network(), BestWeights()
    frozen = fh.FreezeCallback(
        os.path.join(directory, "best.pb"), monitor=METRIC, save_best_only=True, verbose=1
    )
    model.fit(
        train[0],
        train[1],
        epochs=EPOCHS,
        batch_size=BATCH,
        validation_data=validation,
        callbacks=[frozen, remembered],
        verbose=0,
    )
    (artifact,) = frozen.artifacts
    probs = score_elsewhere(artifact.path, images)
    model.set_weights(remembered.weights)
    expected = model.predict(images, verbose=0)
    print()
    print(artifact)
    print("input:", artifact.signature.inputs[0], "output:", artifact.signature.outputs[0])
    for what, found in (("Keras, best epoch", expected), ("frozen file", probs)):
        print(f"held-out accuracy, {what}: {np.mean(found.argmax(1) == labels):.4f}")
    print(f"greatest difference of probabilities: {np.abs(probs - expected).max():.1e}")


if __name__ == "__main__":
    main()
