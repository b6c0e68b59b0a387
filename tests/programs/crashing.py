"""Trains until it is killed, saving all the time; one process after the other, each a fork.

Reads lines "KIND DIRECTORY", and answers each with the process's number; a process says so too when
it has begun to train.
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


def hook(directory):
    """A checkpoint, its file and perhaps a better best.pb at each step."""
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 64], "x")
        y = v1.placeholder(tf.int64, [None], "y")
        hidden = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [64, 32])))
        logits = tf.matmul(hidden, v1.get_variable("v", [32, 10]))
        tf.nn.softmax(logits, name="probs")
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        )
        step = v1.train.get_or_create_global_step()
        train = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
        feeds = {x: DIGITS, y: LABELS}
        best = fh.FreezeHook(
            outputs=["probs"],
            name="best",
            save_best_only=True,
            evaluate=lambda session, step: {"loss": session.run(loss, feeds)},
            monitor="loss",
            strict=True,
        )
        saver = v1.train.Saver(max_to_keep=3)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=directory,
            scaffold=v1.train.Scaffold(saver=saver),
            save_checkpoint_steps=1,
            save_summaries_steps=None,
            log_step_count_steps=None,
            hooks=[fh.FreezeHook(outputs=["probs"], strict=True), best],
        ) as session:
            for i in range(100000):
                rows = np.random.RandomState(i).randint(0, len(DIGITS), 32)
                session.run(train, {x: DIGITS[rows], y: LABELS[rows]})
                if i == 0:
                    say("begun")


def callback(directory, background=True):
    """Two files an epoch, of four batches; one of them the best so far."""
    keras = keras_of(KERASES[0])
    common = {"save_on_background": background, "strict": True}
    each = fh.FreezeCallback(directory + "/at-{epoch}.pb", max_to_keep=3, **common)
    best = fh.FreezeCallback(
        directory + "/best.pb", monitor="loss", save_best_only=True, resume=True, **common
    )

    class Begun(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                say("begun")

    fit(classifier(keras), epochs=100000, callbacks=[each, best, Begun()])


KINDS = {
    "hook": hook,
    "background": callback,
    "foreground": lambda directory: callback(directory, background=False),
}


def main():
    for line in iter(sys.stdin.readline, ""):
        kind, directory = line.split()
        child = os.fork()
        if child == 0:
            try:
                KINDS[kind](directory)
            finally:
                os._exit(1)
        say(child)
        os.waitpid(child, 0)


main()
