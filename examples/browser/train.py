"""Train a conv net on scikit-learn's digits with Keras, and put it beside the page that runs it.

FreezeCallback writes the directory `model` whenever the accuracy on the held-out digits beats the
best value so far: `model.json` and the weights, as TensorFlow.js reads them. The values are stored
as float16, so that the page loads half.

    python examples/browser/train.py [directory]

`index.html` says how to open the page.
"""

import os
import sys

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import freeze_hooks as fh

HERE = os.path.dirname(os.path.abspath(__file__))


def digits():
    """Return training and held-out images and labels; images are 8x8x1 in 0..1."""
    data = load_digits()
    images = (data.images / 16).astype(np.float32)[..., np.newaxis]
    return train_test_split(images, data.target, test_size=360, random_state=0)


def network():
    """Build a small conv net."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.Conv2D(32, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )


def main():
    """Train, and write the model."""
    directory = sys.argv[1] if len(sys.argv) > 1 else HERE
    x, held_x, y, held_y = digits()
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    browser = fh.FreezeCallback(
        os.path.join(directory, "model"),
        format="tfjs",
        weights="float16",
        monitor="val_accuracy",
        save_best_only=True,
        verify=True,
    )
    model.fit(
        x,
        y,
        epochs=15,
        batch_size=64,
        validation_data=(held_x, held_y),
        callbacks=[browser],
        verbose=0,
    )
    print(browser.artifacts[-1])
    print("accuracy, held-out digits:", browser.artifacts[-1].metrics["val_accuracy"])


if __name__ == "__main__":
    main()
