"""The part `throughput`: the cost of frozen files for a training that saves every 100 steps.

A small conv net with a batch size for which a step takes about 10 ms. Several trainings of it take
turns, with one save and 100 steps each: without saves, with checkpoints, and also with FreezeHook.
"""

import os

import models
import numpy as np
import tensorflow as tf
from measure import Folder, take_turns, timed
from session_freeze import v1

import freeze_hooks as fh

STEPS, STEP_SECONDS = 100, 0.010


class Training:
    """A session in training, with or without a Saver and a FreezeHook."""

    def __init__(self, batch, path, saves, hook):
        with tf.Graph().as_default():
            logits, labels, data = models.convnet(28, batch, [16, 32])
            loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
            step = v1.train.get_or_create_global_step()
            self.train_op = v1.train.AdamOptimizer().minimize(loss, step)
            self.feed = {"x:0": data, "labels:0": np.arange(batch) % 10}
            self.saver = v1.train.Saver(max_to_keep=2) if saves else None
            self.step, self.path = step, path
            scaffold = v1.train.Scaffold(saver=self.saver)
            creator = v1.train.ChiefSessionCreator(scaffold)
            self.monitored = v1.train.MonitoredSession(creator, [hook] if hook else [])
        self.session = self.monitored.run_step_fn(lambda step_context: step_context.session)

    def steps(self, count):
        """Return the seconds of `count` steps."""

        def train():
            for _ in range(count):
                self.monitored.run(self.train_op, self.feed)

        return timed(train)

    def block(self):
        """Return the mean seconds of a step, over a save and the STEPS steps after it."""

        def train():
            if self.saver is not None:
                with self.session.graph.as_default():
                    self.saver.save(self.session, self.path, self.session.run(self.step))
            self.steps(STEPS)

        return timed(train) / STEPS


def batch_of(seconds):
    """Return the batch size for which a step takes about `seconds`."""
    training = Training(32, None, False, None)
    training.steps(20)
    took = min(training.steps(10) for _ in range(5)) / 10
    training.monitored.close()
    return max(1, round(32 * seconds / took))


def times(name, rounds, directory):
    """In a child process: return the seconds a step of each training."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    batch = batch_of(STEP_SECONDS)
    hooks = {
        "no save": (False, None),
        "checkpoint": (True, None),
        "freeze": (True, fh.FreezeHook(["probs"], strict=True)),
        "background": (True, fh.FreezeHook(["probs"], strict=True, save_on_background=True)),
    }
    with Folder(directory) as folder:
        trainings = {
            name: Training(batch, folder.file(name.replace(" ", "_")), *given)
            for name, given in hooks.items()
        }
        calls = {name: made.block for name, made in trainings.items()}
        seconds = take_turns(calls, 2 * rounds, os.sync)
        for made in trainings.values():
            made.monitored.close()
    return {"batch": batch, "seconds": seconds}
