"""Writes a frozen file of 64 MB after the other until a signal ends it; each process is a fork.

Reads lines "KIND DIRECTORY GRACE BEFORE DISK", and answers each with the process's number, "begun"
when its first file is there, "stopped" when it was stopped, and its exit status.

KIND is hook, foreground or background; GRACE is for on_sigterm, or "none" for no such call. BEFORE
is the handler that SIGTERM has before: default, or exit, with status 3. DISK is fast, or slow: from
the second file on, fsync of a frozen file does not return.
"""

import os
import signal
import sys
import time

import numpy as np
import tensorflow as tf
from fitting import KERASES, keras_of

import freeze_hooks as fh

v1 = tf.compat.v1
ROWS, WIDTH = 1 << 18, 64
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def say(what):
    os.write(1, f"{what}\n".encode())


def begun(disk):
    if disk == "slow":
        fsync = os.fsync

        def slow(descriptor):
            if os.fstat(descriptor).st_size > 1 << 20:
                time.sleep(600)
            fsync(descriptor)

        os.fsync = slow
    say("begun")


def hook(directory, disk):
    with tf.Graph().as_default():
        table = v1.get_variable(
            "table", [ROWS, WIDTH], trainable=False, initializer=v1.zeros_initializer()
        )
        ids = v1.placeholder(tf.int64, [None], "ids")
        tf.identity(tf.nn.embedding_lookup(table, ids), name="rows")
        step = v1.train.get_or_create_global_step()
        train = v1.assign_add(step, 1)
        freeze = fh.FreezeHook(outputs=["rows"], output_dir=directory, save_steps=1, keep=2)
        with v1.train.SingularMonitoredSession(hooks=[freeze]) as session:
            session.run(train)
            begun(disk)
            while True:
                session.run(train)


def callback(directory, disk, background):
    keras = keras_of(KERASES[0])
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="int32"),
            layers.Embedding(
                ROWS, WIDTH, trainable=False, embeddings_initializer="zeros", name="table"
            ),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")

    class First(keras.callbacks.Callback):
        """Lets signals in, until `Last` keeps them out: TensorFlow takes an exception in
        TensorShape.__len__, which a handler raises wherever Python runs, for a length of -1; it is
        lost then, or the heap is broken."""

        def on_epoch_begin(self, epoch, logs=None):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

        on_epoch_end = on_epoch_begin

    class Last(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                freeze.artifacts  # noqa: B018  waits
                begun(disk)
            time.sleep(0.05)
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

        def on_epoch_end(self, epoch, logs=None):
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    freeze = fh.FreezeCallback(
        os.path.join(directory, "{epoch}.pb"), save_on_background=background, max_to_keep=2
    )
    x, y = np.zeros((4, 1), np.int32), np.zeros((4, 1), np.float32)
    model.fit(x, y, epochs=100000, verbose=0, callbacks=[First(), freeze, Last()])


def train(kind, directory, grace, before, disk):
    if before == "exit":
        signal.signal(signal.SIGTERM, lambda *args: sys.exit(3))
    if grace != "none":
        fh.on_sigterm(grace=float(grace))
    if kind == "hook":
        hook(directory, disk)
    else:
        callback(directory, disk, kind == "background")


def main():
    # As in a terminal: a shell starts its background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            train(*line.split())
        say(child)
        status = os.waitpid(child, os.WUNTRACED)[1]
        while os.WIFSTOPPED(status):
            say("stopped")
            status = os.waitpid(child, os.WUNTRACED)[1]
        say(-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


main()
