"""What an export after an evaluation costs: FreezeExporter, and Estimator's own BestExporter.

    python benchmarks/exporters.py --dir DIRECTORY    # on the disk of DIRECTORY: writes README.md
    python benchmarks/exporters.py --only small       # prints the table

Needs TensorFlow 2.15, the last one with Estimator. The exporters take turns, each with a value that
beats the one before, so that each writes the best model, from the checkpoint that was evaluated.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from measure import MIB, Folder, apart, peak, take_turns, timed
from report import replace_section, spread, table

import freeze_hooks as fh

v1 = tf.compat.v1
ROUNDS = 7
MODELS = {"small": (2, 64), "dense_100": (25, 1024)}  # layers and their width
PEERS = {
    "constants": 'FreezeExporter(format="saved_model")',
    "variables": "FreezeExporter, variables=True",
    "pb": "FreezeExporter, `.pb`",
    "best": "BestExporter",
    "raw": "raw write",
}
FORMATS = {
    "constants": fh.SavedModel(variables=False),
    "variables": fh.SavedModel(variables=True),
    "pb": "pb",
}


def model_fn(features, labels, mode, params):
    """Build dense layers and a softmax."""
    net = features["x"]
    for layer in range(params["layers"]):
        kernel = v1.get_variable(f"kernel_{layer}", [params["width"], params["width"]])
        net = tf.tanh(tf.matmul(net, kernel))
    logits = net[:, :10]
    loss = train_op = None
    if mode != v1.estimator.ModeKeys.PREDICT:
        loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
        step = v1.train.get_or_create_global_step()
        train_op = v1.train.MomentumOptimizer(1e-3, 0.9).minimize(loss, global_step=step)
    probs = {"probs": tf.nn.softmax(logits)}
    return v1.estimator.EstimatorSpec(mode, predictions=probs, loss=loss, train_op=train_op)


class Trained:
    """An Estimator that was trained for a step, with an exporter for each peer."""

    def __init__(self, name, directory):
        layers, self._width = MODELS[name]
        self.folder, self._model = Folder(directory), Folder(directory)
        params = {"layers": layers, "width": self._width}
        self._estimator = v1.estimator.Estimator(model_fn, self._model.path, params=params)
        self._estimator.train(self._batches, steps=1)
        self._loss = 1.0
        self._exporters = {
            peer: fh.FreezeExporter(peer, self._serving, kind="best", format=form, strict=True)
            for peer, form in FORMATS.items()
        }
        self._exporters["best"] = tf.estimator.BestExporter("best", self._serving)
        self.size = 4 * layers * self._width**2

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.folder.__exit__()
        self._model.__exit__()

    def _batches(self):
        x = np.random.RandomState(0).uniform(-1, 1, (4, self._width)).astype(np.float32)
        return tf.data.Dataset.from_tensors(({"x": x}, np.arange(4)))

    def _serving(self):
        x = v1.placeholder(tf.float32, [None, self._width], "x")
        return v1.estimator.export.ServingInputReceiver({"x": x}, {"x": x})

    def peers(self):
        """Return {name: function that writes the model and returns its seconds}."""
        calls = {peer: lambda peer=peer: self._export(peer) for peer in self._exporters}
        return dict(calls, raw=lambda: self.folder.raw(self.size))

    def _export(self, peer):
        self._loss *= 0.99

        def export():
            written = self._exporters[peer].export(
                self._estimator,
                self.folder.file(peer),
                self._estimator.latest_checkpoint(),
                {"loss": self._loss},
                False,
            )
            assert written, peer
            self.folder.sync()

        return timed(export)


def times(name, directory):
    """In a child process: return all peers' seconds for one model."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with Trained(name, directory) as trained:
        found = take_turns(trained.peers(), ROUNDS, trained.folder.clean)
        return {"seconds": found, "file_mib": trained.size / MIB}


def memory_of(name, peer, directory):
    """In a child process: return the MiB that an export takes; the most of three."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with Trained(name, directory) as trained:
        call, found = trained.peers()[peer], []
        for _ in range(3):
            trained.folder.clean()
            found.append(peak(call))
        return max(found)


def measured(models, directory):
    """Return the table, and print each row when it is measured."""
    rows = []
    for name in models:
        result = apart("exporters", "times", name=name, directory=directory)
        for peer, what in PEERS.items():
            mib = ""
            if peer != "raw":
                of = {"name": name, "peer": peer, "directory": directory}
                mib = f"{apart('exporters', 'memory_of', **of):.0f}"
            later = result["seconds"][peer]["later"]
            rows.append([f"{name}, {result['file_mib']:.3g} MiB", what, spread(later), mib])
            print(*rows[-1], sep=" | ", flush=True)
    return table(["model", "export", "seconds", "memory, MiB"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", default=".")
    parser.add_argument("--only", choices=MODELS)
    options = parser.parse_args()
    directory = os.path.abspath(options.dir)
    if options.only:
        print(measured([options.only], directory))
        return
    about = apart("machine", "described", directory=directory)
    replace_section("exporters", [about, measured(MODELS, directory)])


if __name__ == "__main__":
    main()
