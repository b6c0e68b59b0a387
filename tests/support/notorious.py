"""What the cases of known issues share: their inputs, and how files made of them are judged."""

import functools
import re

import numpy as np
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def

v1 = tf.compat.v1
MAJOR = int(tf.__version__.split(".")[0])
_TRAINING = re.compile(
    r"Variable|VarHandle|Assign|Resource|^Ref|Queue|Iterator|Dataset|Summary|Save"
)
X = np.random.RandomState(0).randn(5, 4).astype(np.float32)


def x_placeholder():
    return v1.placeholder(tf.float32, [None, 4], "x")


def flag(name="is_training"):
    return v1.placeholder(tf.bool, [], name)


def both_control_flows(build, first, second):
    """The cases of a builder under the control flow of TensorFlow 1 and under that of TensorFlow 2.

    `first` and `second` are what TensorFlow's converter makes of them.
    """
    return {under_control_flow(1, build): first, under_control_flow(2, build): second}


def under_control_flow(version, build):
    """A builder that builds under the control flow of one version of TensorFlow."""

    @functools.wraps(build)
    def built(directory):
        with control_flow(v2=version == 2):
            return build(directory)

    built.__name__ = f"{build.__name__}_v{version}"
    return built


def prepare(session):
    """Initialize all, and train a step where the graph has one."""
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    session.run(v1.get_collection(v1.GraphKeys.TRAIN_OP))


def outputs_of(arguments):
    """(full names of the outputs in the file, and in the training graph)."""
    asked = arguments.get("outputs", ["y"])
    asked = asked if isinstance(asked, dict) else dict(zip(asked, asked))
    return [
        [name if ":" in name else name + ":0" for name in names] for names in zip(*asked.items())
    ]


def live_feeds(arguments, feeds):
    """The feeds by the names and with the values that the training graph needs."""
    cut = {key + ":0": tensor for key, tensor in arguments.get("inputs", {}).items()}
    feeds = {cut.get(name, name): value for name, value in feeds.items()}
    return dict(feeds, **arguments.get("bind", {}))


def converted(session, outputs, path):
    """A file of TensorFlow's converter."""
    nodes = list(dict.fromkeys(name.split(":")[0] for name in outputs))
    frozen = v1.graph_util.convert_variables_to_constants(
        session, session.graph.as_graph_def(), nodes
    )
    path.write_bytes(frozen.SerializeToString())


def verdict(clean, path, feeds, outputs, live):
    """What a file is worth in a process that knows nothing of the training."""
    try:
        got = clean.run(path, feeds, outputs)
    except RuntimeError:
        return "unusable"
    return "right" if all(map(same, got, live)) else "wrong"


def left_of_training(path):
    """Nodes of a file that no inference needs."""
    return [node.name for node in _nodes(path) if _TRAINING.search(node.op)]


def misordered(path):
    """Nodes of a file with a control input before another input (tensorflow#8404)."""
    kinds = ((node.name, [text[0] == "^" for text in node.input]) for node in _nodes(path))
    return [name for name, controls in kinds if controls != sorted(controls)]


def _nodes(path):
    graph_def = read_graph_def(path)
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes += function.node_def
    return nodes


def same(ours, live):
    if ours.dtype != live.dtype or ours.shape != live.shape:
        return False
    if ours.dtype.kind in "fc":
        return np.allclose(ours, live, rtol=1e-6, atol=1e-6)
    return ours.tolist() == live.tolist()
