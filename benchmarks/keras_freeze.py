"""The part `keras`: a frozen file at a save of Keras's fit, against TensorFlow's v2 route, Keras's
own formats and a raw write of the same bytes.

Needs Keras 3 on TensorFlow. If orbax-checkpoint (and jax) is installed, OrbaxCheckpoint is measured
too. Every model runs in separate processes: one for the times, in which the peers take turns, and
one for the memory of each peer.
"""

import contextlib
import importlib.util
import os

import keras
import tensorflow as tf
from keras_models import Trained
from measure import MIB, Folder, peak, take_turns, timed, write

import freeze_hooks as fh


class Training(Trained):
    """A model in training, with all ways to write it; each returns its wall seconds."""

    def __init__(self, name, directory):
        super().__init__(name)
        self.folder = Folder(directory)
        path = self.folder.file("f.pb")
        self.foreground = fh.FreezeCallback(path, save_on_background=False, strict=True)
        self.background = fh.FreezeCallback(path, save_on_background=True, strict=True)
        self.plan_seconds = timed(lambda: self.begin(self.foreground))
        self.begin(self.background)
        self.size = sum(v.shape.num_elements() * v.dtype.size for v in self._values())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.clean()
        self.folder.__exit__()

    def _values(self):
        return (variable.value for variable in self.model.weights)

    def clean(self):
        """Delete the written files, and wait until the disk is idle."""
        self.background.artifacts  # noqa: B018  waits for its thread
        self.folder.clean()

    def prepare(self):
        """Prepare a turn: make the disk idle, and train a step."""
        self.clean()
        self.train()

    def peers(self):
        """Return {name: function that writes the model and returns its seconds}."""
        calls = {
            "freeze": self.freeze,
            "stall": self.stall,
            "v2": self.v2,
            "export": self.export,
            "keras": self.keras_format,
            "raw": lambda: self.folder.raw(self.size),
        }
        if hasattr(keras.callbacks, "OrbaxCheckpoint") and importlib.util.find_spec("orbax"):
            calls["orbax"] = self.orbax_checkpoint
        return calls

    def freeze(self):
        """Save with FreezeCallback in the foreground."""
        seconds = timed(lambda: self.foreground.on_epoch_end(0, {}))
        self.size = os.path.getsize(self.folder.file("f.pb"))
        return seconds

    def stall(self):
        """Return the time that training waits for a save of FreezeCallback in the background."""
        return timed(lambda: self.background.on_epoch_end(0, {}))

    def train_meanwhile(self):
        """Save in the background while training continues, to measure the memory."""
        self.stall()
        for _ in range(3):
            self.train()
        self.background.artifacts  # noqa: B018  waits for its thread

    def v2(self):
        """Trace, convert_variables_to_constants_v2, SerializeToString, write."""
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        def convert():
            spec = tf.TensorSpec([None, *self.x.shape[1:]], self.model.inputs[0].dtype)
            function = tf.function(lambda x: self.model(x, training=False))
            frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec))
            write(self.folder.file("v2.pb"), [frozen.graph.as_graph_def().SerializeToString()])

        return timed(convert)

    def export(self):
        """Call model.export, which writes a SavedModel."""
        return self._synced(lambda: self.model.export(self.folder.file("saved"), verbose=False))

    def keras_format(self):
        """Call model.save, which writes Keras's own format, with the optimizer."""
        return self._synced(lambda: self.model.save(self.folder.file("m.keras")))

    def orbax_checkpoint(self):
        """Save with OrbaxCheckpoint, and wait until the files are on disk."""
        with self.orbax(background=False) as callback:
            return self._synced(lambda: callback.on_epoch_end(0, {}))

    @contextlib.contextmanager
    def orbax(self, background):
        """Give an OrbaxCheckpoint in training; its files are written when the block ends."""
        path = self.folder.file("orbax")
        callback = keras.callbacks.OrbaxCheckpoint(path, save_on_background=background)
        yield self.begin(callback)
        callback.on_train_end()

    def _synced(self, write):
        def whole():
            write()
            self.folder.sync()

        return timed(whole)


def times(name, rounds, directory):
    """In a child process: return all peers' seconds for one model."""
    with Training(name, directory) as training:
        return {
            "variables": len(training.model.weights),
            "plan_seconds": training.plan_seconds,
            "seconds": take_turns(training.peers(), rounds, training.prepare),
            "file_mib": training.size / MIB,
        }


def memory_of(name, peer, directory):
    """In a child process: return the MiB that a peer takes above training."""
    with Training(name, directory) as training:
        call = dict(training.peers(), background=training.train_meanwhile)[peer]
        found = []
        # A later call may find memory that an earlier one left, or need more; one of the v2 route's
        # on a gigabyte takes a minute.
        for _ in range(1 if training.size > 500 * MIB and peer == "v2" else 3):
            training.clean()
            found.append(peak(call))
        return max(found)
