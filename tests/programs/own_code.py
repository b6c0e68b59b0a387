"""A main program whose model is made of its own classes and functions: own_code.py FILE X."""

import sys

import keras
import numpy as np
from keras import ops

import freeze_hooks as fh

STRENGTH = 2.0


@keras.saving.register_keras_serializable("own")
def act(x):
    return x * ops.sigmoid(STRENGTH * x)


def doubled(x):
    return act(x) * 2


@keras.saving.register_keras_serializable("own")
class Shifted(keras.layers.Layer):
    def build(self, shape):
        self.shift = self.add_weight(shape=shape[-1:], initializer="uniform", name="shift")

    def call(self, x):
        return doubled(x) + self.shift


model = keras.Sequential(
    [
        keras.Input((4,)),
        Shifted(),
        keras.layers.Lambda(lambda t: ops.tanh(t)),
        keras.layers.Dense(5, activation=act),
        keras.layers.Dense(3, activation=doubled),
    ]
)
print("once", flush=True)
_, path, given = sys.argv
x = np.random.RandomState(0).randn(7, 4).astype("float32")
np.save(given, x)
np.save(given + ".out.npy", model.predict(x, verbose=0))
fh.freeze_keras_model(model, path)
