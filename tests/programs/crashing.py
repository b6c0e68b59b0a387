"""Trains until it is killed, saving all the time; one process after the other, each a fork.

Reads lines "KIND DIRECTORY MEGABYTES", and answers each with the process's number; a process says
so too when its first files are there. MEGABYTES is the size of a table in the model; 0 for none.
"""

import os
import sys

import numpy as np
import tensorflow as tf
from fitting import DIGITS, KERASES, LABELS, classifier, fit, keras_of

import freeze_hooks as fh

v1 = tf.compat.v1


def say(what):
    os.write(1, f"{what}\n".encode())


def hook(directory, megabytes, background=False):
    """A checkpoint, its file and perhaps a better best.pb at each step; all values change."""
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 64], "x")
        y = v1.placeholder(tf.int64, [None], "y")
        hidden = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [64, 32])))
        logits = tf.matmul(hidden, v1.get_variable("v", [32, 10]))
        more = []
        if megabytes:
            table = v1.get_variable(
                "table", [megabytes << 12, 64], initializer=v1.zeros_initializer(), trainable=False
            )
            more = [v1.assign_add(table, tf.ones_like(table))]
            logits += 0.0 * tf.nn.embedding_lookup(table, tf.cast(x[:, 0], tf.int64))[:, :10]
        tf.nn.softmax(logits, name="probs")
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        )
        step = v1.train.get_or_create_global_step()
        train = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        train = tf.group(train, *more)
        feeds = {x: DIGITS, y: LABELS}
        common = {"outputs": ["probs"], "save_on_background": background, "strict": True}
        each = fh.FreezeHook(**common)
        best = fh.FreezeHook(
            name="best",
            save_best_only=True,
            evaluate=lambda session, step: {"loss": session.run(loss, feeds)},
            monitor="loss",
            **common,
        )
        saver = v1.train.Saver(max_to_keep=1 if megabytes else 3)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=directory,
            scaffold=v1.train.Scaffold(saver=saver),
            save_checkpoint_steps=1,
            save_summaries_steps=None,
            log_step_count_steps=None,
            hooks=[each, best],
        ) as session:
            for i in range(100000):
                rows = np.random.RandomState(i).randint(0, len(DIGITS), 32)
                session.run(train, {x: DIGITS[rows], y: LABELS[rows]})
                if i == 0:
                    each.artifacts, best.artifacts  # noqa: B018  waits
                    say("begun")


def large(keras, megabytes):
    layers = keras.layers
    rows, each = megabytes << 15, {"trainable": False, "embeddings_initializer": "uniform"}
    model = keras.Sequential(
        [
            keras.Input((64,), name="pixels"),
            layers.Embedding(rows, 8, name="table", **each),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", name="probs"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def callback(directory, megabytes, background=True):
    """Two files an epoch, of four batches; one of them the best so far."""
    keras = keras_of(KERASES[0])
    common = {"save_on_background": background, "strict": True}
    each = fh.FreezeCallback(
        directory + "/at-{epoch}.pb", max_to_keep=1 if megabytes else 3, **common
    )
    best = fh.FreezeCallback(
        directory + "/best.pb", monitor="loss", save_best_only=True, resume=True, **common
    )

    class Begun(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                each.artifacts  # noqa: B018  waits
                best.artifacts  # noqa: B018
                say("begun")

    model = large(keras, megabytes) if megabytes else classifier(keras)
    fit(model, epochs=100000, callbacks=[each, best, Begun()])


KINDS = {
    "hook": hook,
    "hook_background": lambda *where: hook(*where, background=True),
    "background": callback,
    "foreground": lambda *where: callback(*where, background=False),
}


def main():
    for line in iter(sys.stdin.readline, ""):
        kind, directory, megabytes = line.split()
        child = os.fork()
        if child == 0:
            try:
                KINDS[kind](directory, int(megabytes))
            finally:
                os._exit(1)
        say(child)
        os.waitpid(child, 0)


main()
