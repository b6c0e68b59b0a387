"""A small classifier to train, and what to look at afterwards."""

import os
import re

import numpy as np
import tensorflow as tf
from frozen_files import constants

v1 = tf.compat.v1
RNG = np.random.RandomState(0)
X, Y = RNG.randn(16, 8).astype(np.float32), RNG.randint(0, 3, 16)
FEEDS = {"net/x:0": X, "net/y:0": Y, "net/is_training:0": True}
FREEZE = {"outputs": ["probs"], "bind": {"net/is_training:0": False}}


def network(x, training=None):
    """Logits; the dropout is there only with `training`, a bool tensor."""
    h = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [8, 6])))
    if training is not None:
        h = tf.cond(training, lambda: tf.nn.dropout(h, rate=0.5), lambda: tf.identity(h))
    return tf.matmul(h, v1.get_variable("v", [6, 3]))


def build(resource=None, partitioner=None):
    """The classifier under an is_training placeholder; returns its train op."""
    with v1.variable_scope("net", use_resource=resource, partitioner=partitioner):
        x, y = v1.placeholder(tf.float32, [None, 8], "x"), v1.placeholder(tf.int64, [None], "y")
        logits = network(x, v1.placeholder(tf.bool, [], "is_training"))
    tf.nn.softmax(logits, name="probs")
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits), name="loss"
    )
    step = v1.train.get_or_create_global_step()
    return v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)


def steps_of(directory, ending, pattern=r"model\.ckpt-(\d+)"):
    """The steps in the names of a directory's files with that ending."""
    found = (re.match(pattern + re.escape(ending) + r"\Z", n) for n in os.listdir(str(directory)))
    return sorted(int(match.group(1)) for match in found if match)


def frozen_steps(directory):
    return steps_of(directory, ".pb")


def saved_steps(directory):
    return steps_of(directory, ".index")


def assert_bit_equal(path, checkpoint, least=2):
    """Every constant named after a variable is that variable in the checkpoint, bit for bit."""
    reader = v1.train.NewCheckpointReader(str(checkpoint))
    found = {n: c for n, c in constants(path).items() if reader.has_tensor(n)}
    assert len(found) >= least
    for name, value in found.items():
        saved = reader.get_tensor(name)
        assert value.dtype == saved.dtype
        if value.dtype == object:  # strings, of which the array holds only pointers
            assert value.tolist() == saved.tolist()
        else:
            assert value.tobytes() == saved.tobytes(), name


def assert_each_checkpoint_has_its_file(directory):
    steps = saved_steps(directory)
    assert steps and frozen_steps(directory) == steps
    for step in steps:
        prefix = os.path.join(str(directory), f"model.ckpt-{step}")
        assert_bit_equal(prefix + ".pb", prefix)
