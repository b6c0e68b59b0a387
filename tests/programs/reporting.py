"""Saves models that print, assert and write summaries, and what they answer, into a directory.

Their functions are frozen too, which captures the summary writer. `models.json` names the models.
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
v1.enable_v2_behavior()
DIRECTORY = sys.argv[1]
PRINTED = "file://" + os.path.join(DIRECTORY, "printed.txt")
summary = tf.compat.v2.summary
ROWS = tf.TensorSpec([None, 4], tf.float32, name="x")
FEEDS = {
    "x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "words": np.array([b"b", b"none", b"a"]),
}


class Model(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(np.eye(4, dtype=np.float32) / 2, name="w")
        self.only_told = tf.Variable(tf.ones([4]), name="only_told")
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")


class Prints(Model):
    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        tf.print("x", x, output_stream=PRINTED)
        tf.print(self.only_told, output_stream=sys.stderr)
        return {"y": tf.matmul(x, self.w)}


class Asserts(Model):
    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        tf.debugging.assert_greater(tf.reduce_sum(self.only_told), 0.0)
        tf.debugging.Assert(tf.reduce_all(x < 9), [x])
        with tf.control_dependencies([tf.debugging.assert_less(x, 9.0)]):
            return {"y": tf.matmul(tf.identity(x), self.w)}


class InBranchesAndLoops(Model):
    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        if tf.reduce_sum(x) > 0:
            tf.print("positive", x, output_stream=PRINTED)
        else:
            tf.debugging.assert_less(x, 9.0)
            x = x + 1
        for i in tf.range(3):
            tf.print(i, self.only_told, output_stream=PRINTED)
            x = tf.tanh(x)
            if i > 1:
                tf.print("late", output_stream=PRINTED)
        return {"y": x}


class Summaries(Model):
    def __init__(self):
        super().__init__()
        more = {} if tf.__version__.startswith("1.") else {"experimental_trackable": True}
        self.writer = summary.create_file_writer(os.path.join(DIRECTORY, "logs"), **more)

    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        y = tf.matmul(x, self.w)
        with self.writer.as_default():
            summary.write("mean", tf.reduce_mean(y), step=self.step)
            for _ in tf.range(2):
                summary.write("told", self.only_told, step=self.step)
                y = tf.tanh(y)
        return {"y": y}


class SummariesOfTables(Summaries):
    """With all kinds of tables, whose files must still be found."""

    def __init__(self):
        super().__init__()
        vocabulary = os.path.join(DIRECTORY, "words.txt")
        with open(vocabulary, "w") as file:
            file.write("a\nb\nc\n")
        whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        self.init = tf.lookup.TextFileInitializer(vocabulary, tf.string, whole, tf.int64, number)
        self.listed = tf.lookup.StaticVocabularyTable(self.init, 1)
        pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([5, 6], tf.int64))
        self.paired = tf.lookup.StaticHashTable(pairs, -2)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def serve(self, words):
        ids = self.listed.lookup(words)
        with self.writer.as_default():
            summary.write("ids", ids, step=self.step)
        tf.print(ids, output_stream=PRINTED)
        return {"listed": ids, "paired": self.paired.lookup(words)}


def report(make):
    model, name = make(), make.__name__
    (key,) = [t.op.name for t in model.serve.get_concrete_function().inputs if t.op.name in FEEDS]
    answer = model.serve(tf.constant(FEEDS[key]))
    arrays = {name: value.numpy() for name, value in answer.items()}
    np.savez(os.path.join(DIRECTORY, name + ".npz"), **{key: FEEDS[key], **arrays})
    saved = os.path.join(DIRECTORY, name)
    fh.freeze_function(model.serve, saved + ".function.pb")
    if not (tf.__version__.startswith("1.") and hasattr(model, "writer")):  # which it cannot save
        tf.saved_model.save(model, saved, signatures=model.serve)
    return name


MODELS = (Prints, Asserts, InBranchesAndLoops, Summaries, SummariesOfTables)
made = [report(make) for make in MODELS]
with open(os.path.join(DIRECTORY, "models.json"), "w") as file:
    json.dump(made, file)
