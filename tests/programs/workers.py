"""One task of a Keras training over several processes, as TF_CONFIG in the environment has it.

    python workers.py KERAS DIRECTORY

Workers train under MultiWorkerMirroredStrategy; where there are parameter servers, the chief does
under ParameterServerStrategy. Each worker notes its weights after each epoch, as w-EPOCH-TASK.npz.
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf

config = json.loads(os.environ["TF_CONFIG"])
job, task = config["task"]["type"], config["task"]["index"]
servers = "ps" in config["cluster"]
if servers and job != "chief":
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    tf.distribute.Server(resolver.cluster_spec(), job, task, protocol="grpc").join()
if servers:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    partitioner = tf.distribute.experimental.partitioners.FixedShardsPartitioner(2)
    strategy = tf.distribute.ParameterServerStrategy(resolver, partitioner)
else:  # before anything else, as it asks for it
    strategy = tf.distribute.MultiWorkerMirroredStrategy()

from fitting import DIGITS, LABELS, Scores, classifier, keras_of  # noqa: E402

import freeze_hooks as fh  # noqa: E402

keras, directory = keras_of(sys.argv[1]), sys.argv[2]
with strategy.scope():
    model = classifier(keras)


class Note(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        path = os.path.join(directory, f"w-{epoch + 1}-{task}.npz")
        names = [weight.name.split(":")[0] for weight in model.weights]
        np.savez(path, **dict(zip(names, model.get_weights())))


# A worker other than the chief has no directory to write in, and no best value from before.
files = os.path.join(directory, f"{job}-{task}")
best = {"monitor": "score", "mode": "max", "save_best_only": True, "resume": True}
callbacks = [
    Scores(keras, [1.0, 3.0, 2.0]),
    fh.FreezeCallback(os.path.join(files, "{epoch}.pb"), strict=True),
    fh.FreezeCallback(os.path.join(files, "best.pb"), strict=True, **best),
    Note(),
]
if not servers:  # which cannot say when a batch ends
    options = {"save_freq": 7, "save_on_background": False, "strict": True}
    callbacks.insert(3, fh.FreezeCallback(os.path.join(files, "batch.pb"), **options))
data = tf.data.Dataset.from_tensor_slices((DIGITS, LABELS)).repeat().batch(64)
model.fit(data, epochs=3, steps_per_epoch=10, callbacks=callbacks, verbose=0)
freezing = [callback for callback in callbacks if isinstance(callback, fh.FreezeCallback)]
print([artifact.step for callback in freezing for artifact in callback.artifacts])
