"""The part `verify`: what a proof adds to a save, in time and memory, beside one forward pass.

Before a file appears, it is run on the model's feeds, and its answers are compared with the live
model's. Sessions and Keras models take the same ways:

- plain: a save without a proof;
- first: the first proof of a plan, for which TensorFlow parses and imports the file;
- later: a later proof of the same plan;
- read_back: a later save with `verify="first"`;
- forward: the live model's answer to the same batch;
- read: the file, read once from the page cache.
"""

import models
import numpy as np
import tensorflow as tf
from measure import MIB, Folder, peak, take_turns, timed
from session_freeze import Session

import freeze_hooks as fh

v1 = tf.compat.v1
FIRSTS = 5  # first proofs, each of a plan of its own
FIRST_BYTES = 256 * MIB  # of a larger file, three


def plans(size):
    """Return the number of first proofs for a file of so many bytes."""
    return FIRSTS if size < FIRST_BYTES else 3


class OfSession:
    """A MonitoredTrainingSession with a hook for each way."""

    def __init__(self, name, directory):
        self.model = models.build(name)
        feeds = {tensor.split(":")[0]: value for tensor, value in self.model.inputs.items()}
        verify = {"later": fh.Verify(feeds), "read_back": fh.Verify(feeds, first_only=True)}
        firsts = {f"first_{i}": fh.Verify(feeds) for i in range(FIRSTS)}
        ways = {way: {"verify": given} for way, given in {**verify, **firsts}.items()}
        self._session = Session(self.model, directory, ways)
        self._fetches = [output + ":0" for output in self.model.outputs]

    def __enter__(self):
        self._session.__enter__()
        self.folder = self._session.folder
        return self

    def __exit__(self, *error):
        self._session.__exit__(*error)

    def train(self):
        """Train one step, which changes the values."""
        self._session.monitored.run(self.model.train_op, self.model.feed)

    def forward(self):
        """Return the seconds of the live session's answer."""
        run = self._session.session.run
        return timed(lambda: run(self._fetches, self.model.inputs))

    def save(self, way):
        """Return the seconds of a save; a way is "plain", "later", "read_back" or "first_0"..."""
        hook = self._session.hook if way == "plain" else self._session.more[way]
        seconds = self._session.freeze_by(hook)
        self.artifact = hook.artifacts[-1]
        return seconds


class OfKeras:
    """A Keras model with a callback for each way."""

    def __init__(self, name, directory):
        from keras_models import Trained

        self.folder = Folder(directory)
        self._trained = Trained(name)
        self.train = self._trained.train
        (taken,) = fh.plan_keras_model(self._trained.model).signature.inputs
        feeds = {taken.name: self._trained.x}
        ways = {"plain": None, "later": fh.Verify(feeds)}
        ways["read_back"] = fh.Verify(feeds, first_only=True)
        ways.update((f"first_{i}", fh.Verify(feeds)) for i in range(FIRSTS))
        self._callbacks = {way: self._callback(verify) for way, verify in ways.items()}

    def _callback(self, verify):
        path = self.folder.file("model.pb")
        made = fh.FreezeCallback(path, verify=verify, save_on_background=False, strict=True)
        return self._trained.begin(made)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.folder.__exit__()

    def forward(self):
        """Return the seconds of the live model's call."""
        x, model = tf.constant(self._trained.x), self._trained.model
        return timed(lambda: np.asarray(model(x, training=False)))

    def save(self, way):
        """Return the seconds of a save; a way is "plain", "later", "read_back" or "first_0"..."""
        callback = self._callbacks[way]
        seconds = timed(lambda: callback.on_epoch_end(0, {}))
        self.artifact = callback.artifacts[-1]
        return seconds


def training_of(name, directory):
    """Return the training of a model; those of Keras are called "keras_..."."""
    if name.startswith("keras_"):
        return OfKeras(name[len("keras_") :], directory)
    return OfSession(name, directory)


def settled(training):
    """Save until the proof has seen all that changes, and return the file's size."""
    for _ in range(3):
        for way in ("later", "read_back"):
            training.save(way)
        training.train()
    return training.artifact.bytes


def times(name, rounds, directory):
    """In a child process: return the seconds of each way for one model."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with training_of(name, directory) as training:
        size = settled(training)
        room = bytearray(size)

        def read():
            with open(training.artifact.path, "rb", buffering=0) as file:
                return timed(lambda: file.readinto(room))

        def read_written():
            training.save("plain")
            return read()

        calls = {way: lambda way=way: training.save(way) for way in ("plain", "later", "read_back")}
        calls.update(forward=training.forward, read=read_written)
        seconds = take_turns(calls, rounds, training.folder.clean)
        training.save("later")
        difference = training.artifact.max_difference
        firsts = []
        for i in range(plans(size)):
            training.folder.clean()
            firsts.append(training.save(f"first_{i}"))
        seconds["first"] = {"first": firsts[0], "later": firsts}
        return {"file_mib": size / MIB, "seconds": seconds, "difference": difference}


def memory_of(name, peer, directory):
    """In a child process: return the MiB above training of a way's save."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with training_of(name, directory) as training:
        if peer != "first":
            settled(training)
        training.save("plain")
        training.forward()
        training.folder.clean()
        return peak(lambda: training.save("first_0" if peer == "first" else peer))
