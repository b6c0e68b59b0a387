"""tf.keras in eager mode, which has to be chosen first on TensorFlow 1.15.

python eager_keras.py DIRECTORY
"""

import os
import sys

import numpy as np
import tensorflow as tf
from fitting import DIGITS, classifier, fit

import freeze_hooks as fh

tf.compat.v1.enable_eager_execution()


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.norm = tf.keras.layers.BatchNormalization()
        self.head = tf.keras.layers.Dense(10, activation="softmax")

    def call(self, inputs, training=None):
        return self.head(self.norm(inputs, training=training))


subclassed = Net()
subclassed.compile("adam", "sparse_categorical_crossentropy")
for number, model in enumerate([classifier(tf.keras), subclassed]):
    path = os.path.join(sys.argv[1], f"{number}-{{epoch}}.pb")
    callback = fh.FreezeCallback(path, strict=True)
    fit(model, callbacks=[callback], epochs=2)
    last = callback.artifacts[-1]
    with fh.load_frozen(last.path) as frozen:
        probs = frozen({last.signature.inputs[0].name: DIGITS[:50]})
    print(last.step, np.abs(probs.popitem()[1] - model.predict(DIGITS[:50], verbose=0)).max())
