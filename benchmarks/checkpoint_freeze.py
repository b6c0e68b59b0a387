"""The part `checkpoint`: freezing from the command line, ours against TensorFlow's freeze_graph.

Each turn is a whole process: only `import tensorflow`, TensorFlow's tool, or ours, in rotation.
"""

import functools
import glob
import os
import subprocess
import sys
import time

from measure import ENV, MIB, Folder, apart, take_turns


def deep(layers):
    """Build a chain of small dense layers with batch normalization; each has 18 nodes to freeze."""
    import tensorflow as tf

    v1 = tf.compat.v1
    h = v1.placeholder(tf.float32, [None, 16], "x")
    for i in range(layers):
        with v1.variable_scope(f"layer{i}"):
            w, b = v1.get_variable("w", [16, 16]), v1.get_variable("b", [16])
            mean = v1.get_variable("mean", [16], trainable=False)
            variance = v1.get_variable(
                "variance", [16], trainable=False, initializer=v1.ones_initializer()
            )
            z = tf.nn.batch_normalization(tf.matmul(h, w) + b, mean, variance, None, None, 1e-3)
            h = tf.nn.relu(z)
    return tf.identity(h, name="y")


def lstm(steps):
    """Build the large language model of https://arxiv.org/abs/1409.2329, unrolled.

    It has two layers of 1,500 units, 10,000 words, and 19 nodes in each layer and step.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    units, vocabulary = 1500, 10000
    words = v1.placeholder(tf.int32, [None, steps], "x")
    inputs = tf.unstack(
        tf.nn.embedding_lookup(v1.get_variable("embedding", [vocabulary, units]), words), axis=1
    )
    for layer in range(2):
        with v1.variable_scope(f"lstm{layer}"):
            kernel = v1.get_variable("kernel", [2 * units, 4 * units])
            bias = v1.get_variable("bias", [4 * units])
        cell = hidden = tf.zeros_like(inputs[0])
        for step, now in enumerate(inputs):
            gates = tf.nn.bias_add(tf.matmul(tf.concat([now, hidden], 1), kernel), bias)
            enter, new, forget, leave = tf.split(gates, 4, 1)
            cell = cell * tf.sigmoid(forget + 1) + tf.sigmoid(enter) * tf.tanh(new)
            hidden = inputs[step] = tf.tanh(cell) * tf.sigmoid(leave)
    output = v1.get_variable("output", [units, vocabulary])
    return tf.nn.softmax(tf.matmul(hidden, output), name="y")


def vgg16():
    """Build tf-slim's VGG-16 for inference at 224 pixels."""
    import tensorflow as tf
    import tf_slim
    from tf_slim.nets import vgg

    images = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3], "x")
    with tf_slim.arg_scope(vgg.vgg_arg_scope()):
        logits, _ = vgg.vgg_16(images, 1000, is_training=False)
    return tf.identity(logits, name="y")


def build(name, directory):
    """In a child process: save a checkpoint of the model, and return figures of its content."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        make, _, size = name.partition("_")
        {"deep": deep, "lstm": lstm, "vgg16": vgg16}[make](*([int(size)] if size else []))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, os.path.join(directory, "model.ckpt"))
        needed = v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["y"]).node
        sizes = [v.shape.num_elements() * 4 / MIB for v in v1.global_variables()]
        return {
            "nodes": len(graph.get_operations()),
            "saved_nodes": len(needed),
            "variables": len(sizes),
            "largest_mib": max(sizes),
        }


def commands(directory):
    """Return {peer: command} for one checkpoint."""
    prefix = os.path.join(directory, "model.ckpt")
    flags = [
        "--input_meta_graph=" + prefix + ".meta",
        "--input_binary=true",
        "--input_checkpoint=" + prefix,
        "--output_node_names=y",
    ]

    def tool(module, name):
        out = "--output_graph=" + os.path.join(directory, name + ".pb")
        return [sys.executable, "-m", module, *flags, out]

    return {
        "import": [sys.executable, "-c", "import tensorflow"],
        "tensorflow": tool("tensorflow.python.tools.freeze_graph", "tensorflow"),
        "freeze_hooks": tool("freeze_hooks.freeze_graph", "freeze_hooks"),
    }


def measured(command):
    """Return (seconds, peak MiB) of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(
        command,
        env=dict(os.environ, **ENV),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def times(name, rounds, directory):
    """Return the seconds and peak MiB of each peer's turns on one model's checkpoint."""
    with Folder(directory) as folder:
        about = apart("checkpoint_freeze", "build", name=name, directory=folder.path)
        mib, sizes = {}, []

        def call(peer, command):
            seconds, peak = measured(command)
            mib.setdefault(peer, []).append(peak)
            if peer == "freeze_hooks":
                sizes.append(os.path.getsize(folder.file("freeze_hooks.pb")) / MIB)
            return seconds

        def between():
            for path in glob.glob(folder.file("*.pb*")):
                os.remove(path)
            os.sync()

        calls = {
            peer: functools.partial(call, peer, command)
            for peer, command in commands(folder.path).items()
        }
        seconds = take_turns(calls, rounds, between)
        # The first call only warms up the file cache.
        memory = {peer: peaks[1:] for peer, peaks in mib.items()}
        return dict(about, seconds=seconds, memory_mib=memory, file_mib=sizes[-1])
