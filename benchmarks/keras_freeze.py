"""What a frozen file at a save of Keras's fit costs: against TensorFlow's v2 route, Keras's own
formats and a raw write of the same bytes.

    python benchmarks/keras_freeze.py                              # all: results/, README.md
    python benchmarks/keras_freeze.py --model resnet50 --rounds 3  # one model, printed

Needs Keras 3 on TensorFlow; with orbax-checkpoint (and jax) installed, OrbaxCheckpoint is measured
too. Every model runs in processes of its own: one for the times, in which the peers take turns in
a rotating order, and one for each peer's memory.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras_report  # after the log level, which TensorFlow reads once
import report
from measure import blocks, peak, timed, write


def mobilenet_v2(keras):
    """262 variables, 14 MB."""
    return keras.applications.MobileNetV2(weights=None), (1, 224, 224, 3)


def resnet50(keras):
    """320 variables, 103 MB."""
    return keras.applications.ResNet50(weights=None), (1, 224, 224, 3)


def embedding(keras):
    """One matrix of 1 GB."""
    ids = keras.Input((8,), dtype="int32", name="ids")
    mean = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(1 << 20, 256)(ids))
    return keras.Model(ids, keras.layers.Dense(8, activation="softmax")(mean)), (4, 8)


MODELS = {make.__name__: make for make in (mobilenet_v2, resnet50, embedding)}


class Training:
    """A model that trains, and the ways to write it: each returns its wall seconds."""

    def __init__(self, name, directory):
        import keras
        import numpy as np

        import freeze_hooks as fh

        self.keras, self.directory = keras, directory
        self.model, shape = MODELS[name](keras)
        self.x = np.random.RandomState(0).randint(0, 100, shape)
        self.y = np.zeros([shape[0]], np.int32)
        self.model.compile("sgd", "sparse_categorical_crossentropy")
        self.train()
        self.callbacks = {
            background: fh.FreezeCallback(self.path("f.pb"), save_on_background=background)
            for background in (False, True)
        }
        self.setup_seconds = timed(lambda: self._begin(self.callbacks[False]))
        self._begin(self.callbacks[True])
        self.size = sum(v.shape.num_elements() * v.dtype.size for v in self._values())

    def _values(self):
        return (variable.value for variable in self.model.weights)

    def _begin(self, callback):
        callback.set_model(self.model)
        callback.on_train_begin()
        callback.on_epoch_begin(0)

    def path(self, name):
        """A file of the benchmark's directory."""
        return os.path.join(self.directory, name)

    def train(self):
        """One step."""
        self.model.train_on_batch(self.x, self.y)

    def clean(self):
        """Deletes what was written and waits until the disk is at rest."""
        self.callbacks[True].artifacts  # noqa: B018  waits for its thread
        for name in os.listdir(self.directory):
            path = self.path(name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.remove(path)
        gc.collect()
        os.sync()

    def freeze(self):
        """A save of FreezeCallback in the foreground."""
        seconds = timed(lambda: self.callbacks[False].on_epoch_end(0, {}))
        self.size = os.path.getsize(self.path("f.pb"))
        return seconds

    def stall(self):
        """How long a save of FreezeCallback in the background keeps training waiting."""
        return timed(lambda: self.callbacks[True].on_epoch_end(0, {}))

    def background(self):
        """A save in the background while training goes on; for its memory."""
        self.stall()
        for _ in range(3):
            self.train()
        self.callbacks[True].artifacts  # noqa: B018  waits for its thread

    def v2(self):
        """Trace, convert_variables_to_constants_v2, SerializeToString, write."""
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        def convert():
            spec = tf.TensorSpec([None, *self.x.shape[1:]], self.model.inputs[0].dtype)
            function = tf.function(lambda x: self.model(x, training=False))
            frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec))
            write(self.path("v2.pb"), [frozen.graph.as_graph_def().SerializeToString()])

        return timed(convert)

    def export(self):
        """model.export: a SavedModel."""
        return self._synced(lambda: self.model.export(self.path("saved"), verbose=False))

    def keras_format(self):
        """model.save: Keras's own format, with the optimizer."""
        return self._synced(lambda: self.model.save(self.path("m.keras")))

    def orbax_checkpoint(self):
        """OrbaxCheckpoint, until it is on disk."""
        callback = self.keras.callbacks.OrbaxCheckpoint(
            self.path("orbax"), save_on_background=False
        )
        callback.set_model(self.model)
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        seconds = self._synced(lambda: callback.on_epoch_end(0, {}))
        callback.on_train_end()
        return seconds

    def raw(self):
        """As many bytes as the frozen file has, in blocks of 8 MiB from one buffer."""
        pieces = blocks(self.size)
        return timed(lambda: write(self.path("raw"), pieces))

    def _synced(self, write):
        def whole():
            write()
            for folder, _, names in os.walk(self.directory):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        os.fsync(file.fileno())

        return timed(whole)


PEERS = {
    "freeze": Training.freeze,
    "stall": Training.stall,
    "v2": Training.v2,
    "export": Training.export,
    "keras": Training.keras_format,
    "orbax": Training.orbax_checkpoint,
    "raw": Training.raw,
}


def run_times(training, rounds):
    """Seconds of each peer: `rounds` calls after a first one, which does not count."""
    names = list(PEERS)
    if not hasattr(training.keras.callbacks, "OrbaxCheckpoint") or not _has_orbax():
        names.remove("orbax")
    seconds = {name: [] for name in names}
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            training.clean()
            training.train()
            seconds[name].append(PEERS[name](training))
    return {name: times[1:] for name, times in seconds.items()}


def _has_orbax():
    try:
        import orbax.checkpoint  # noqa: F401
    except ImportError:
        return False
    return True


def run_memory(training, name):
    """MiB that a peer takes above what training has taken."""
    call = {"background": Training.background, **PEERS}[name]
    found = []
    for _ in range(3):
        training.clean()
        found.append(peak(lambda: call(training)))
    return max(found)  # a later call may find memory that an earlier one left


def run_model(args):
    """In a child process: one model, all peers' times or (--peer) one peer's memory."""
    training = Training(args.model, args.dir)
    if args.peer:
        return run_memory(training, args.peer)
    plan_variables = len(training.model.weights)
    seconds = run_times(training, args.rounds)
    return {
        "variables": plan_variables,
        "file_mib": training.size / float(1 << 20),
        "setup_seconds": training.setup_seconds,
        "seconds": seconds,
    }


def child(args, directory, *more):
    """Runs this file for one model in a process of its own and returns its numbers."""
    out = os.path.join(args.dir, "numbers.json")
    base = [sys.executable, os.path.abspath(__file__), "--dir", directory, "--json", out]
    subprocess.check_call(base + ["--rounds", str(args.rounds)] + list(more))
    with open(out) as file:
        return json.load(file)


def run_all(args):
    """Every model: the times, then each peer's memory."""
    numbers = {"machine": report.machine(args.dir), "rounds": args.rounds, "models": {}}
    for name in MODELS:
        print(f"{name} ...", flush=True)
        directory = tempfile.mkdtemp(dir=args.dir)
        try:
            result = child(args, directory, "--model", name)
            result["memory_mib"] = {
                peer: child(args, directory, "--model", name, "--peer", peer)
                for peer in keras_report.MEMORY_PEERS
            }
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        numbers["models"][name] = result
    return numbers


def main():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=sorted(MODELS), help="only this one")
    parser.add_argument("--peer", help="with --model: only the memory of this peer")
    parser.add_argument("--rounds", type=int, default=7, help="saves of each peer")
    parser.add_argument(
        "--dir", default=".", help="where files are written: name a folder on the disk to measure"
    )
    parser.add_argument("--json", help="write the numbers here, not to results/")
    args = parser.parse_args()
    if args.model:
        args.dir = tempfile.mkdtemp(dir=args.dir)
        try:
            numbers = run_model(args)
        finally:
            shutil.rmtree(args.dir, ignore_errors=True)
    else:
        numbers = run_all(args)
        if not args.json:
            keras_report.publish(numbers)
        print(keras_report.table(numbers) + "\n\n" + keras_report.targets(numbers))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(numbers, file, indent=1, sort_keys=True)
    elif args.model:
        print(json.dumps(numbers, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
