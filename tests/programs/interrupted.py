"""Trains with BackupAndRestore until something is raised in an epoch; again, it goes on.

    python interrupted.py KERAS DIRECTORY EPOCH

Writes the best by ModelCheckpoint and by FreezeCallback, of scores that this program makes up.
"""

import os
import sys

from fitting import Scores, classifier, fit, keras_of

import freeze_hooks as fh

keras, directory, stop = keras_of(sys.argv[1]), sys.argv[2], int(sys.argv[3])


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == stop:
            raise KeyboardInterrupt


best = {"monitor": "score", "mode": "max", "save_best_only": True}
fit(
    classifier(keras),
    epochs=5,
    callbacks=[
        keras.callbacks.BackupAndRestore(os.path.join(directory, "backup")),
        Scores(keras, [1.0, 5.0, 2.0, 3.0, 4.0]),
        keras.callbacks.ModelCheckpoint(os.path.join(directory, "best.h5"), **best),
        fh.FreezeCallback(os.path.join(directory, "best.pb"), **best),
        fh.FreezeCallback(os.path.join(directory, "{epoch}.pb")),
        Stop(),
    ],
)
