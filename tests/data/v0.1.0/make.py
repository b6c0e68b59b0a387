"""Small trainings and the files they write: `PYTHONPATH=CHECKOUT python make.py DIRECTORY`.

The files here were made by version 0.1.0; the tests go on with the same trainings.
"""

import glob
import json
import os
import shutil
import sys

import numpy as np
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
ROWS = (np.arange(12, dtype=np.float32).reshape(3, 4) - 6) / 4
# What is measured at a step; 0.1.0 ends at 40, and its best is the 0.5 of step 20.
LOSSES = {10: 0.9, 20: 0.5, 30: 0.7, 40: 0.6, 50: 0.55, 60: 0.4}
SCORES = {1: 0.3, 2: 0.8, 3: 0.6, 4: 0.7, 5: 0.9}  # by epoch; 0.1.0 ends at 3, its best is 2's


def variable(name, *shape):
    values = np.random.RandomState(len(name)).randn(*shape).astype(np.float32) / 4
    return v1.get_variable(name, initializer=values)


def network():
    """A net whose node `probs` is to be frozen; returns (x, train op)."""
    x = v1.placeholder(tf.float32, [None, 4], "x")
    training = v1.placeholder_with_default(False, [], "training")
    hidden = tf.nn.relu(tf.matmul(x, variable("hidden/w", 4, 6)))
    hidden = tf.cond(training, lambda: tf.nn.dropout(hidden, rate=0.5), lambda: hidden)
    logits = tf.matmul(hidden, variable("out/v", 6, 3)) + variable("out/b", 3)
    probs = tf.nn.softmax(logits, name="probs")
    loss = tf.reduce_mean(tf.square(probs - tf.one_hot([0, 1, 2], 3)))
    step = v1.train.get_or_create_global_step()
    return x, v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)


def measure(session, step):
    return {"loss": LOSSES.get(step, 1.0), "odd": float("nan")}


def session_training(directory, until):
    """A file each 10 steps, of which 3 stay; best.pb; and a schedule without checkpoints."""
    with tf.Graph().as_default():
        x, train = network()
        freeze = {"outputs": ["probs"], "bind": {"training:0": False}}
        hooks = [
            fh.FreezeHook(keep=3, latest=True, **freeze),
            fh.FreezeHook(
                save_best_only=True, evaluate=measure, monitor="loss", verify={"x": ROWS}, **freeze
            ),
            fh.FreezeHook(output_dir=directory + "/own", save_steps=10, keep=2, **freeze),
        ]
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=directory, save_checkpoint_steps=10, hooks=hooks
        ) as session:
            for _ in range(session.run(v1.train.get_global_step()), until):
                session.run(train, {x: ROWS})
    return hooks


def saver_training(directory, until):
    """Files that go when their checkpoints do, of which the Saver keeps 2."""
    with tf.Graph().as_default():
        x, train = network()
        step = v1.train.get_global_step()
        saver = fh.FreezingSaver(outputs=["probs"], bind={"training:0": False}, max_to_keep=2)
        os.makedirs(directory, exist_ok=True)
        found = v1.train.get_checkpoint_state(directory)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            if found:
                saver.restore(session, found.model_checkpoint_path)
                saver.recover_last_checkpoints(found.all_model_checkpoint_paths)
            while session.run(step) < until:
                session.run(train, {x: ROWS})
                if session.run(step) % 10 == 0:
                    saver.save(session, directory + "/loop.ckpt", global_step=step)
    return saver


def keras_model():
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input([4], name="x"),
            layers.Dropout(0.2),
            layers.Dense(3, "softmax", name="probs"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Score(tf.keras.callbacks.Callback):
    """Has `score` among what an epoch measured."""

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = SCORES[epoch + 1]


def keras_training(directory, begin, until):
    """best.pb, and a file for each epoch, of which 2 stay; the weights are in weights.npz."""
    os.makedirs(directory, exist_ok=True)
    model, weights = keras_model(), directory + "/weights.npz"
    if begin:
        with np.load(weights) as saved:
            model.set_weights([saved[name] for name in sorted(saved.files)])
    callbacks = [
        Score(),
        fh.FreezeCallback(directory + "/best.pb", "score", save_best_only=True, mode="max"),
        fh.FreezeCallback(directory + "/{epoch:02d}.pb", "score", mode="max", max_to_keep=2),
    ]
    model.fit(ROWS, np.arange(3), initial_epoch=begin, epochs=until, verbose=0, callbacks=callbacks)
    np.savez(weights, *model.get_weights())
    np.savez(directory + "/answers.npz", probs=model.predict(ROWS, verbose=0))
    return callbacks[1:]


def loop(x):
    w = variable("recurrent", 4, 4)
    _, y = tf.while_loop(lambda i, y: i < 3, lambda i, y: [i + 1, tf.tanh(tf.matmul(y, w))], [0, x])
    return tf.cond(tf.reduce_sum(y) > 0, lambda: y + 1.0, lambda: tf.matmul(y, w))


def words(x):
    keys = tf.constant(["0", "1", "2"])
    init = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([2, 1, 0], tf.int64))
    table = tf.lookup.StaticHashTable(init, -1)
    numbers = tf.strings.as_string(tf.cast(x * 2, tf.int32))
    names = v1.get_variable("names", initializer=tf.constant(["a", "b", "c"]), trainable=False)
    return tf.gather(names, tf.maximum(table.lookup(numbers), 0))


def half(x):
    return tf.matmul(x, variable("wide", 4, 30))


def frozen_alone(directory):
    """One file of each kind of node that a frozen file may hold, and what each answers."""
    os.makedirs(directory)
    answers = {}
    for build, options in (
        (loop, {"lower_control_flow": True}),
        (loop, {}),
        (words, {}),
        (half, {}),
    ):
        name = build.__name__ + ("_lowered" if options else "")
        options = {"weights": "float16"} if build is half else options
        v1.enable_control_flow_v2()
        with tf.Graph().as_default():
            x = v1.placeholder(tf.float32, [None, 4], "x")
            y = build(x)
            with v1.Session() as session:
                session.run([v1.global_variables_initializer(), v1.tables_initializer()])
                fh.freeze_session(session, f"{directory}/{name}.pb", {"y": y}, **options)
                found = session.run(y, {x: ROWS})
                answers[name] = found.astype(str if found.dtype == object else float).tolist()
    with open(directory + "/answers.json", "w") as file:
        json.dump(answers, file)


def main(directory):
    os.makedirs(directory)
    os.chdir(directory)  # so that no file holds a path from the root
    frozen_alone("alone")
    session_training("session", 40)
    saver_training("saver", 30)
    keras_training("keras", 0, 3)
    for kind in ("events.out*", "graph.pbtxt", "*.meta"):  # TensorFlow's own, and long
        for path in glob.glob("*/" + kind):
            os.remove(path)
    shutil.rmtree("session/eval", ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
