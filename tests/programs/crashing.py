"""Trains until it is killed, saving all the time; one process after the other, each a fork.

Reads lines "KIND DIRECTORY MEGABYTES", and answers each with the process's number; a process says
so too when its first files are there. MEGABYTES is the size of a table in the model; 0 for none.
SavedModels have the kinds "plain" and "exchanged", and JSON in place of MEGABYTES: "variables" of
fh.SavedModel, "background", and the "epoch" to go on from.
"""

import json
import os
import sys
import traceback

import numpy as np
import tensorflow as tf
from fitting import DIGITS, KERASES, LABELS, classifier, fit, keras_of

import freeze_hooks as fh

v1 = tf.compat.v1


def say(what):
    os.write(1, f"{what}\n".encode())


def hook(directory, megabytes, background=False):
    """A checkpoint, its file and perhaps a better best.pb at each step; all values change."""
    common = {"outputs": ["probs"], "save_on_background": background, "strict": True}

    def hooks(measure):
        return [fh.FreezeHook(**common), best_hook(measure, **common)]

    trained(directory, megabytes, hooks)


def plain(directory, options):
    """SavedModels beside checkpoints, in served/STEP and best/best/STEP, at each step."""
    form = fh.SavedModel(variables=options["variables"])
    common = {"outputs": ["probs"], "format": form, "strict": True}
    common["save_on_background"] = options["background"]

    def hooks(measure):
        served = {"output_dir": os.path.join(directory, "served"), "keep": 1, "latest": True}
        each, versions = fh.FreezeHook(**common), fh.FreezeHook(**served, **common)
        return [each, versions, best_hook(measure, **common)]

    trained(directory, 1, hooks)


def best_hook(measure, **common):
    own = {"name": "best", "save_best_only": True, "evaluate": measure, "monitor": "loss"}
    return fh.FreezeHook(**own, **common)


def trained(directory, megabytes, hooks_of):
    """Save a checkpoint at each step; each element of the table is the number of the step."""
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
        hooks = hooks_of(lambda session, step: {"loss": session.run(loss, feeds)})
        saver = v1.train.Saver(max_to_keep=1 if megabytes > 1 else 3)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=directory,
            scaffold=v1.train.Scaffold(saver=saver),
            save_checkpoint_steps=1,
            save_summaries_steps=None,
            log_step_count_steps=None,
            hooks=hooks,
        ) as session:
            for i in range(100000):
                rows = np.random.RandomState(i).randint(0, len(DIGITS), 32)
                session.run(train, {x: DIGITS[rows], y: LABELS[rows]})
                if i == 0:
                    [hook.artifacts for hook in hooks]  # waits
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


def exchanged(directory, options):
    """One SavedModel that each epoch replaces. What its table holds is known from its epoch."""
    keras = keras_of(KERASES[0])
    form = fh.SavedModel(variables=options["variables"])
    model, first = large(keras, 1), options["epoch"]
    table, probs = model.get_layer("table"), model.get_layer("probs")
    callback = fh.FreezeCallback(
        os.path.join(directory, "model"),
        format=form,
        save_on_background=options["background"],
        strict=True,
    )

    class Known(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == first + 1:
                callback.artifacts  # noqa: B018  waits
                say("begun")

        def on_epoch_end(self, epoch, logs=None):
            value = np.empty(table.get_weights()[0].shape, np.float32)
            value[:, 0] = epoch
            value[:, 1:] = probs.get_weights()[0].ravel()[:7]  # trained in this epoch
            table.set_weights([value])

    fit(model, epochs=100000, initial_epoch=first, callbacks=[Known(), callback])


KINDS = {
    "plain": plain,
    "exchanged": exchanged,
    "hook": hook,
    "hook_background": lambda *where: hook(*where, background=True),
    "background": callback,
    "foreground": lambda *where: callback(*where, background=False),
}


def main():
    for line in iter(sys.stdin.readline, ""):
        kind, directory, options = line.split(None, 2)
        child = os.fork()
        if child == 0:
            try:
                KINDS[kind](directory, json.loads(options))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        say(child)
        os.waitpid(child, 0)


main()
