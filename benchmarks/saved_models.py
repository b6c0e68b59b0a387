"""The part `saved_model`: a SavedModel at each save, beside the `.pb` of the same plan.

Sessions and Keras models (called "keras_...") take the same ways of freeze_hooks:

- pb: a `.pb`;
- constants: a SavedModel whose weights are constants, as in the `.pb`;
- variables: a SavedModel whose weights stay variables;
- stall: what training waits for the SavedModel with constants, with `save_on_background=`.

Others are raw, a write of as many bytes; of a session SavedModelBuilder, which Estimator's
exporters call; of a Keras model `tf.saved_model.save`, `model.export`, and OrbaxCheckpoint if it is
installed.
"""

import os

import keras
import keras_freeze
import models
import numpy as np
import tensorflow as tf
from measure import MIB, peak, take_turns, timed
from session_freeze import Session

import freeze_hooks as fh

v1 = tf.compat.v1
FORMATS = {
    "pb": "pb",
    "constants": fh.SavedModel(variables=False),
    "variables": fh.SavedModel(variables=True),
    "stall": fh.SavedModel(variables=False),
}
CALLS = 3  # of a peer whose memory is measured: a later one may need more than the first
# A target says that these differ by at most 5 %. A disk's own times vary by far more. So they also
# take turns in memory, where each differs by what it does itself, and more of them.
CLOSE, MORE, IN_MEMORY = ("constants", "variables", "pb"), 3, "/dev/shm"


class OfSession:
    """A MonitoredTrainingSession with a hook for each way, and TensorFlow's SavedModelBuilder."""

    def __init__(self, name, directory):
        self._model = models.build(name)
        hooks = {way: {"format": form} for way, form in FORMATS.items()}
        hooks["stall"]["save_on_background"] = True
        self._session = Session(self._model, directory, hooks)
        with self._model.graph.as_default():  # the builder's own would save the optimizer's too
            self._saver = v1.train.Saver(self._session.variables, sharded=True)
        self.size = self._session.size

    def __enter__(self):
        self._session.__enter__()
        self.folder = self._session.folder
        return self

    def __exit__(self, *error):
        self._session.__exit__(*error)

    def prepare(self):
        """Make the disk idle."""
        self.folder.clean()

    def peers(self):
        """Return {name: function that writes the model and returns its seconds}."""
        calls = {way: lambda way=way: self.save(way) for way in FORMATS}
        return dict(calls, raw=lambda: self.folder.raw(self.size), builder=self._builder)

    @property
    def meanwhile(self):
        """Return no peers: `save` waits until the file is complete."""
        return {}

    def save(self, way):
        """Return the seconds that training waits for a save."""
        hook = self._session.more[way]
        seconds = self._session.freeze_by(hook)
        self.artifact = hook.artifacts[-1]
        return seconds

    def _builder(self):
        """Save as Estimator's exporters do, with the variables that the outputs need."""
        graph = self._model.graph

        def tensors(names):
            return {name.split(":")[0]: graph.get_tensor_by_name(name) for name in names}

        def write():
            outputs = tensors([name + ":0" for name in self._model.outputs])
            signature = v1.saved_model.predict_signature_def(tensors(self._model.inputs), outputs)
            builder = v1.saved_model.Builder(self.folder.file("built"))
            builder.add_meta_graph_and_variables(
                self._session.session,
                ["serve"],
                {"serving_default": signature},
                saver=self._saver,
                strip_default_attrs=True,
            )
            builder.save()
            self.folder.sync()

        with graph.as_default():
            return timed(write)

    def feeds(self):
        """Return the inputs of one answer, by name."""
        return {name.split(":")[0]: value for name, value in self._model.inputs.items()}

    def answer(self):
        """Return the live session's answer to them."""
        (output,) = self._model.outputs
        return self._session.session.run(output + ":0", self._model.inputs)


class OfKeras(keras_freeze.Training):
    """A Keras model in training with a callback for each way, and Keras's own ways."""

    def __init__(self, name, directory):
        super().__init__(name, directory)
        self._callbacks = {way: self._callback(way, form) for way, form in FORMATS.items()}

    def _callback(self, way, form):
        path = self.folder.file("model.pb" if form == "pb" else way)
        made = fh.FreezeCallback(path, format=form, save_on_background=way == "stall", strict=True)
        return self.begin(made)

    def clean(self):
        """Delete the written files, and wait until the disk is idle."""
        self._callbacks["stall"].artifacts  # noqa: B018  waits for its thread
        super().clean()

    def peers(self):
        """Return {name: function that writes the model and returns its seconds}."""
        theirs = super().peers()
        calls = {way: lambda way=way: self.save(way) for way in FORMATS}
        calls.update(raw=theirs["raw"], tf_save=self._tf_save, export=theirs["export"])
        if "orbax" in theirs:
            calls.update(orbax=theirs["orbax"], orbax_stall=self._orbax_stall)
        return calls

    @property
    def meanwhile(self):
        """Return {name: function that writes the model while training goes on}."""
        return {"stall": self._train_meanwhile, "orbax_stall": self._orbax_stall}

    def save(self, way):
        """Return the seconds that training waits for a save."""
        callback = self._callbacks[way]
        seconds = timed(lambda: callback.on_epoch_end(0, {}))
        if way != "stall":  # asking for its artifacts would wait
            self.artifact = callback.artifacts[-1]
        return seconds

    def _train_meanwhile(self):
        self.save("stall")
        self._train_on()
        self._callbacks["stall"].artifacts  # noqa: B018  waits for its thread

    def _train_on(self):
        for _ in range(3):
            self.train()

    def _tf_save(self):
        return self._synced(lambda: tf.saved_model.save(self.model, self.folder.file("saved")))

    def _orbax_stall(self):
        """Save with OrbaxCheckpoint in the background, as it does by itself, and train on."""
        with self.orbax(background=True) as callback:
            seconds = timed(lambda: callback.on_epoch_end(0, {}))
            self._train_on()
        return seconds

    def feeds(self):
        """Return the inputs of one answer, by name."""
        (taken,) = self.artifact.signature.inputs
        return {taken.name: self.x}

    def answer(self):
        """Return the live model's answer to them."""
        return np.asarray(self.model(self.x, training=False))


def training_of(name, directory):
    """Return the training of a model; those of Keras are called "keras_..."."""
    if name.startswith("keras_"):
        return OfKeras(name[len("keras_") :], directory)
    return OfSession(name, directory)


def difference(training):
    """Return the largest difference of both SavedModels' answers to the live model's."""
    found = []
    for way in ("constants", "variables"):
        training.save(way)
        served = tf.saved_model.load(training.artifact.path).signatures["serving_default"]
        feeds = {name: tf.constant(value) for name, value in training.feeds().items()}
        (got,) = served(**feeds).values()
        found.append(float(abs(got.numpy() - training.answer()).max()))
    return max(found)


def times(name, rounds, directory):
    """In a child process: return all peers' seconds for one model."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with training_of(name, directory) as training:
        training.save("constants")
        training.size = training.artifact.bytes
        calls = training.peers()
        seconds = take_turns(calls, rounds, training.prepare)
        result = {"seconds": seconds, "file_mib": training.size / MIB}
        training.prepare()
        result["difference"] = difference(training)
    if os.path.isdir(IN_MEMORY):
        with training_of(name, IN_MEMORY) as training:
            calls = training.peers()
            close = {peer: calls[peer] for peer in CLOSE}
            result["in_memory"] = {
                "seconds": take_turns(close, MORE * rounds, training.prepare),
            }
    return result


def memory_of(name, peer, directory):
    """In a child process: return the MiB above training of a peer's call; the most of three."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with training_of(name, directory) as training:
        call = {**training.peers(), **training.meanwhile}[peer]
        if peer.startswith("orbax"):
            keras.callbacks.OrbaxCheckpoint(training.folder.file("o"))  # imports Orbax and jax
        found = []
        for _ in range(CALLS):
            training.prepare()
            found.append(peak(call))
        return max(found)
