"""The cost of freezing when several processes train: python benchmarks/distributed.py

1. Two parameter servers and two workers on this machine, with an embedding of 210 MB over both
   servers: how long the chief waits for a checkpoint (which the servers write), and for its frozen
   file, with values from the checkpoint's files ("auto") or from the session ("live").
2. Two workers under MultiWorkerMirroredStrategy, with MobileNetV2 of Keras 2: the time that
   FreezeCallback, or save_weights, adds to the end of an epoch on the chief.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests", "support")]
SAVES = 8  # the first one is not counted


def servers(values):
    from test_distributed import LARGE, Cluster

    with tempfile.TemporaryDirectory() as directory:
        given = {"last_step": 20 * SAVES, "save_steps": 20, "max_to_keep": 2 * SAVES}
        cluster = Cluster(pathlib.Path(directory), rows=LARGE, values=values, **given)
        try:
            cluster.report(0)
            cluster.report(1)
            with open(os.path.join(directory, "worker0.json")) as file:
                found = json.load(file)
        finally:
            cluster.stop()
    freezes = [seconds for _, _, _, seconds in found["files"]][-len(found["saves"]) :]
    both = zip(found["saves"], freezes)
    saves = statistics.median([total - freeze for total, freeze in both][1:])
    freeze = statistics.median(freezes[1:])
    print(f"servers, values={values}: checkpoint {saves:.3f} s, frozen file {freeze:.3f} s")


def worker(directory):
    """Train as one worker, in a process that `workers` starts."""
    import time

    import numpy as np
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    from fitting import KERASES, keras_of

    import freeze_hooks as fh

    keras = keras_of(KERASES[-1])
    with strategy.scope():
        model = keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)
        model.compile("sgd", "sparse_categorical_crossentropy")
    times = {"FreezeCallback": [], "weights": []}
    freeze = fh.FreezeCallback(os.path.join(directory, "model.pb"), strict=True)

    class Measure(keras.callbacks.Callback):
        """Calls FreezeCallback and times it."""

        def on_train_begin(self, logs=None):
            freeze.set_model(self.model)
            freeze.on_train_begin()

        def on_epoch_end(self, epoch, logs=None):
            freeze.on_epoch_begin(epoch)
            start = time.perf_counter()
            freeze.on_epoch_end(epoch, logs)
            times["FreezeCallback"].append(time.perf_counter() - start)
            start = time.perf_counter()
            self.model.save_weights(os.path.join(directory, f"w{os.getpid()}"))
            times["weights"].append(time.perf_counter() - start)

        def on_train_end(self, logs=None):
            freeze.on_train_end()

    data = tf.data.Dataset.from_tensors((np.zeros([8, 96, 96, 3], np.float32), np.arange(8)))
    model.fit(data.repeat(), epochs=SAVES, steps_per_epoch=2, callbacks=[Measure()], verbose=0)
    print(json.dumps({name: statistics.median(found[1:]) for name, found in times.items()}))


def workers():
    from test_distributed import free_addresses

    with tempfile.TemporaryDirectory() as directory:
        cluster, running = {"worker": free_addresses(2)}, []
        for task in (1, 0):
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": task}})
            running.append(
                subprocess.Popen(
                    [sys.executable, os.path.abspath(__file__), directory],
                    stdout=subprocess.PIPE,
                    env=dict(os.environ, TF_CONFIG=config),
                )
            )
        chief = [process.communicate()[0] for process in running][-1]
    found = json.loads(chief.decode().splitlines()[-1])
    freeze, weights = found["FreezeCallback"], found["weights"]
    print(
        f"workers: end of an epoch with FreezeCallback {freeze:.4f} s, save_weights {weights:.3f} s"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        worker(sys.argv[1])
    else:
        servers("auto")
        servers("live")
        workers()
