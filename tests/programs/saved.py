"""Saves TensorFlow 2 models with `tf.saved_model.save`, and what they answer, into a directory."""

import os
import sys

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.enable_v2_behavior()
WORDS = np.array(["b", "a", "other"])


class Words(tf.Module):
    """Embeddings of words from a vocabulary file; two signatures."""

    def __init__(self, vocabulary):
        super().__init__()
        init = tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.init = init  # else TensorFlow 1.15 leaves its file behind
        self.table = tf.lookup.StaticVocabularyTable(init, 2)
        self.embedding = tf.Variable(np.arange(10, dtype=np.float32).reshape(5, 2))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def vectors(self, words):
        return {"vectors": tf.gather(self.embedding, self.table.lookup(words)), "words": words}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def total(self, words):
        return {"total": tf.reduce_sum(self.vectors(words)["vectors"])}


def save_words(directory):
    vocabulary = directory + "/words.txt"
    with open(vocabulary, "w") as file:
        file.write("a\nb\n")
    module = Words(vocabulary)
    signatures = {"serving_default": module.vectors, "total": module.total}
    tf.saved_model.save(module, directory + "/words", signatures=signatures)
    words = tf.constant(WORDS)
    vectors, total = module.vectors(words)["vectors"].numpy(), module.total(words)["total"].numpy()
    os.remove(vocabulary)
    np.savez(directory + "/words.npz", words=WORDS, vectors=vectors, total=total)


def save_keras(directory):
    layers = [
        tf.keras.layers.LSTM(4, input_shape=(5, 3)),
        tf.keras.layers.BatchNormalization(),
        tf.keras.layers.Dense(2, activation="softmax"),
    ]
    model = tf.keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.random.RandomState(0).randn(8, 5, 3).astype(np.float32)
    model.fit(x, np.arange(8) % 2, verbose=0)
    if hasattr(model, "export"):
        model.export(directory + "/keras")
    else:
        tf.saved_model.save(model, directory + "/keras")
    np.savez(directory + "/keras.npz", x=x, probs=model.predict(x, verbose=0))


def save_writer(directory):
    """Its function writes a file when it is called."""
    module = tf.Module()
    module.v = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
    def double(x):
        tf.io.write_file(directory + "/stolen.txt", "stolen")
        return {"y": x * module.v}

    tf.saved_model.save(module, directory + "/writer", signatures=double)


save_words(sys.argv[1])
save_keras(sys.argv[1])
save_writer(sys.argv[1])
