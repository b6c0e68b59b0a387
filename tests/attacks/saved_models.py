"""Real SavedModels, of this package and of TensorFlow, and ways to damage their directories.

A tree is {path in the directory: bytes, or one of PLACES}.
"""

import os
import shutil

import numpy as np
import tensorflow as tf

import freeze_hooks as fh

from .fuzzing import broken
from .seeds import ASSETS

v1 = tf.compat.v1
MAIN, ABOUT = "saved_model.pb", "assets.extra/freeze_hooks.json"
DATA, INDEX = "variables/variables.data-00000-of-00001", "variables/variables.index"
# What stands where a file should be
DIRECTORY, NOWHERE, ITSELF = PLACES = ("a directory", "a link to nowhere", "a link to itself")
MISSING = "missing"
# Numbers that no sum or product rounds
WEIGHTS = np.array([[1.5, -2.25], [0.75, 3.0]], np.float32)
BIAS, SCALE = np.array([0.5, -1.25], np.float32), 4.0
X = [[1.0, 2.0], [3.0, -4.0]]
# Kinds of readers, as in tests/programs/reading.py; those of RUN run the graph
LOOK = ("inspected", "loaded", "carried", "saved_model", "inspect_command", "check_command")
RUN = ("answered", "frozen_again", "proved", "run_command", "verify_command", "verify_against")


def _graph(x):
    """Build a graph with a lookup table, a conditional in a function, and variables."""
    w = v1.get_variable("w", initializer=WEIGHTS, use_resource=True)
    b = v1.get_variable("b", initializer=BIAS, use_resource=False)
    init = tf.lookup.KeyValueTensorInitializer([1, 2], [3.0, SCALE], tf.int64, tf.float32)
    scale = tf.lookup.StaticHashTable(init, 1.0).lookup(tf.constant(2, tf.int64))

    @tf.function
    def chosen(y):
        return tf.cond(tf.reduce_sum(y) > 100, lambda: y * 2, lambda: y - 1)

    return tf.identity(chosen(tf.matmul(x, w) + b) * scale, "probs")


class _Module(tf.Module):
    """Words of a vocabulary file, looked up in rows of a variable; and a product."""

    def __init__(self, vocabulary):
        super().__init__()
        whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        init = tf.lookup.TextFileInitializer(vocabulary, tf.string, whole, tf.int64, line)
        self.table = tf.lookup.StaticVocabularyTable(init, 1)
        self.w, self.b = tf.Variable(WEIGHTS), tf.Variable(BIAS)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def probs(self, x):
        rows = tf.gather(self.b, self.table.lookup(tf.constant(["a", "b"])))
        return {"probs": (tf.matmul(x, self.w) + rows - 1.0) * SCALE}


def _keras(directory):
    """A model as Keras exports it."""
    layers = tf.keras.layers
    dense = layers.Dense(2, name="dense")
    out = layers.Rescaling(SCALE, -SCALE, name="probs")
    inputs = tf.keras.Input((2,), name="x")
    model = tf.keras.Model(inputs, out(dense(inputs)))
    dense.set_weights([WEIGHTS, BIAS])
    model.export(directory)


class SavedModels:
    """Writes SavedModels to a directory.

    Attributes:
      trees: {name: tree}; "constants", "variables" and "link" are ours.
      expected: what each answers to X.
    """

    def __init__(self, directory):
        self._directory = directory
        ours = ("constants", "variables", "link", "v1")
        place = {name: os.path.join(directory, name) for name in ours}
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            x = v1.placeholder(tf.float32, [None, 2], "x")
            probs = _graph(x)
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            self.expected = session.run(probs, {x: X}).tolist()
            for name, variables in (("constants", False), ("variables", True)):
                form = fh.SavedModel(variables=variables)
                fh.freeze_session(session, place[name], ["probs"], format=form, assets=ASSETS)
            saved = v1.train.Saver().save(session, os.path.join(directory, "model.ckpt"))
            linked = fh.SavedModel(variables="link")
            fh.freeze_checkpoint(saved, place["link"], ["probs"], format=linked)
            ends, init = ({"x": x}, {"probs": probs}), v1.tables_initializer()
            v1.saved_model.simple_save(session, place["v1"], *ends, init)
        if tf.executing_eagerly():
            vocabulary = os.path.join(directory, "words.txt")
            with open(vocabulary, "w") as file:
                file.write("a\nb\n")
            module = _Module(vocabulary)
            place["module"] = os.path.join(directory, "module")
            tf.saved_model.save(module, place["module"], module.probs)
        if hasattr(tf.keras.Model, "export"):
            place["keras"] = os.path.join(directory, "keras")
            _keras(place["keras"])
        self.trees = {name: _read(path) for name, path in place.items()}
        self._feeds = os.path.join(directory, "feeds.npz")
        np.savez(self._feeds, x=np.array(X, np.float32))
        self._sound = {}
        for name, path in place.items():
            self._sound[name] = os.path.join(directory, name + ".pb")
            fh.freeze_saved_model(path, self._sound[name])

    def task(self, name, tree, directory):
        """Write a tree into a directory; return the reader's arguments for it."""
        path = os.path.join(directory, "damaged")
        self.keep(tree, path)
        return {
            "path": path,
            "named": path,
            "out": os.path.join(directory, "out.pb"),
            "expected": self.expected,
            "given": X,
            "feeds": self._feeds,
            "sound": self._sound[name],
        }

    def keep(self, tree, path):
        """Write a tree to a path."""
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        for name, content in tree.items():
            _write(os.path.join(path, name), content)


def _read(path):
    """Return the tree of a directory."""
    tree = {}
    for where, _, names in os.walk(path):
        for name in names:
            file = os.path.join(where, name)
            with open(file, "rb") as opened:
                tree[os.path.relpath(file, path).replace(os.sep, "/")] = opened.read()
    return tree


def _write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if content == DIRECTORY:
        os.mkdir(path)
    elif content in (NOWHERE, ITSELF):
        os.symlink("nowhere" if content == NOWHERE else os.path.basename(path), path)
    else:
        with open(path, "wb") as file:
            file.write(content)


def is_sound(tree, seed):
    """Whether all that has no checksum is as in the seed: then it may be run."""
    bare = [name for name in seed if name == MAIN or name.startswith("assets/")]
    return all(tree.get(name) == seed[name] for name in bare)


def damaged(tree, others, changes):
    """Return a tree with changes made to it.

    Each is (what, a file's number, another's, a change of its bytes). `others` are other trees.
    """
    tree = dict(tree)
    for what, number, other, change in changes:
        names = sorted(tree)
        name, second = names[number % len(names)], names[other % len(names)]
        if what in PLACES:
            tree[name] = what
        elif what == MISSING and len(names) > 1:
            del tree[name]
        elif what == "swapped":
            tree[name], tree[second] = tree[second], tree[name]
        elif what == "of another":
            there = others[other % len(others)]
            tree[name] = there.get(name, there[MAIN])
        elif isinstance(tree[name], bytes):
            tree[name] = broken(tree[name], [change])
    return tree
