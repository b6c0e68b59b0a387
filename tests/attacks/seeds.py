"""Small real files to break, and which readers take each."""

import os
import shutil

import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks.values.bundle import _table

from . import checkpoints

v1 = tf.compat.v1
ASSETS = {"sub/labels.txt": b"a\nb\n"}  # tests/programs/reading.py has the bytes too


def _probs(x):
    """Build a graph with a lookup table, a conditional in a function, and variables."""
    w = v1.get_variable("w", [2, 2], initializer=v1.ones_initializer(), use_resource=True)
    b = v1.get_variable("b", [2], initializer=v1.zeros_initializer(), use_resource=False)
    init = tf.lookup.KeyValueTensorInitializer([1, 2], [3.0, 4.0], tf.int64, tf.float32)
    scale = tf.lookup.StaticHashTable(init, 1.0).lookup(tf.constant(2, tf.int64))

    @tf.function
    def chosen(y):
        return tf.cond(tf.reduce_sum(y) > 0, lambda: y * 2, lambda: y - 1)

    y = chosen(tf.matmul(x, w) + b)
    return tf.identity(y * scale, "probs")


class _Module(tf.Module):
    """A module for tf.saved_model.save, with a function and a variable."""

    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.ones([2, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def probs(self, x):
        return {"probs": tf.matmul(x, self.w)}


class Seeds:
    """Writes the files to a directory; `files` is {name: (bytes, kinds of readers)}."""

    def __init__(self, directory):
        self._directory = directory
        self.prefix = os.path.join(directory, "model.ckpt")
        self._saved = os.path.join(directory, "saved")
        self._saved_2 = os.path.join(directory, "saved_2")
        self._old = os.path.join(directory, "old.ckpt")
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            x = v1.placeholder(tf.float32, [None, 2], "x")
            probs = _probs(x)
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            v1.train.Saver().save(session, self.prefix)
            v1.train.Saver(write_version=1).save(session, self._old)
            frozen = os.path.join(directory, "frozen.pb")
            fh.freeze_session(session, frozen, ["probs"], assets=ASSETS)
            init = v1.tables_initializer()
            v1.saved_model.simple_save(session, self._saved, {"x": x}, {"probs": probs}, init)
        with tf.Graph().as_default() as graph:
            w = v1.get_variable("w", [2, 2], use_resource=True)
            tf.matmul(w, v1.get_variable("b", [2], use_resource=False)[:, None], name="probs")
        self._small = os.path.join(directory, "small.pb")
        _write(self._small, graph.as_graph_def().SerializeToString())
        if tf.executing_eagerly():
            module = _Module()
            tf.saved_model.save(module, self._saved_2, module.probs)
        meta = self._bytes("model.ckpt.meta")
        text = str(v1.MetaGraphDef.FromString(meta)).encode()
        self._state = b'{"model": {"files": {"a.pb": "x"}}, "best": {"best": {"loss": 1.5}}}'
        old = next(n for n in os.listdir(directory) if n.startswith("old.ckpt-") or n == "old.ckpt")
        self._old_name = old
        self._entries = dict(_table(self._bytes("model.ckpt.index")))
        self.files = {
            "frozen": (self._bytes("frozen.pb"), ("inspected", "loaded", "carried", "converted")),
            "meta": (meta, ("with_checkpoint", "by_the_drop_in")),
            "text": (text, ("with_checkpoint",)),
            "index": (self._bytes("model.ckpt.index"), ("checkpoint",)),
            "entry": (self._entries[b"w"], ("checkpoint",)),
            "v1": (self._bytes(old), ("checkpoint",)),
            "saved_model": (self._bytes("saved/saved_model.pb"), ("saved_model",)),
            "state": (self._state, ("state",)),
        }
        if os.path.exists(self._saved_2):
            self.files["saved_model_2"] = self._bytes("saved_2/saved_model.pb"), ("saved_model",)

    def _bytes(self, name):
        with open(os.path.join(self._directory, name), "rb") as file:
            return file.read()

    def task(self, name, data, directory):
        """Write a broken file as `name` to a directory, with the files that belong to it.

        Return the reader's arguments for it.
        """
        os.makedirs(directory, exist_ok=True)
        out = os.path.join(directory, "out.pb")
        task = {"prefix": self.prefix, "meta": self._small, "out": out}
        if name in ("index", "entry"):
            path = os.path.join(directory, "broken.ckpt")
            _beside(self.prefix + ".data-00000-of-00001", path + ".data-00000-of-00001")
            if name == "entry":  # in an index with right checksums
                data = checkpoints.table({**self._entries, b"w": data})
            _write(path + ".index", data)
        elif name == "v1":
            path = os.path.join(directory, self._old_name)
            _write(path, data)
        elif name.startswith("saved_model"):
            path = os.path.join(directory, name)
            if not os.path.exists(path):
                shutil.copytree(self._saved if name == "saved_model" else self._saved_2, path)
            _write(os.path.join(path, "saved_model.pb"), data)
        elif name == "state":
            path = os.path.join(directory, "state")
            os.makedirs(path, exist_ok=True)
            _write(os.path.join(path, "frozen_state.json"), data)
        else:
            path = os.path.join(directory, "broken." + name)
            _write(path, data)
        return dict(task, path=path)

    def keep(self, data, path):
        """Write a broken file where someone finds it."""
        _write(path, data)


def _beside(source, target):
    if not os.path.exists(target):
        shutil.copyfile(source, target)


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)
