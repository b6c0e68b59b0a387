"""Trains on two logical devices with MirroredStrategy, and checks the frozen file's weights.

python mirrored.py KERAS DIRECTORY
"""

import os
import sys

import numpy as np
import tensorflow as tf
from fitting import DIGITS, classifier, fit, keras_of

import freeze_hooks as fh

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
keras, path = keras_of(sys.argv[1]), os.path.join(sys.argv[2], "{epoch}.pb")
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = classifier(keras)
weights = []


class Note(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        weights.append(model.get_weights())


fit(model, callbacks=[fh.FreezeCallback(path, strict=True), Note()], epochs=2)
single = classifier(keras)
for epoch, values in enumerate(weights, 1):
    single.set_weights(values)  # a replica's own batch statistics are not what is saved
    with fh.load_frozen(path.format(epoch=epoch)) as frozen:
        probs = frozen(pixels=DIGITS[:50])["probs"]
    print(np.abs(probs - single.predict(DIGITS[:50], verbose=0)).max())
