"""Known issues of TensorFlow's converter: what it does with each graph, and that ours is right."""

import notorious
import notorious_branches
import notorious_functions
import notorious_trackers
import notorious_training
import notorious_variables
import numpy as np
import pytest
import tensorflow as tf
from frozen_files import read_graph_def
from notorious import MAJOR, X, under_control_flow, v1, x_placeholder
from tensorflow.python.ops import lookup_ops

import freeze_hooks as fh

WORDS = np.array([b"a", b"b", b"other"])


def assigns_of_a_control(directory):
    """tensorflow#3628: the output waits for updates."""
    w = v1.get_variable("w", [4], use_resource=False)
    with tf.control_dependencies([v1.assign_sub(v1.get_variable("m", [4]), w)]):
        tf.identity(x_placeholder() * w, name="y")
    return {}, {"x:0": X}


def assigns_that_are_wanted(directory):
    """tensorflow#15215: the output uses the result of an assignment in a branch."""
    x, on = x_placeholder(), v1.placeholder_with_default(True, [], "on")
    mean = v1.get_variable("mean", [4], use_resource=False)
    new = tf.cond(on, lambda: v1.assign(mean, tf.reduce_mean(x, 0)), lambda: tf.zeros([4]))
    tf.subtract(x, new, name="y")
    return {}, {"x:0": X}


def hash_table(directory):
    """tensorflow#8665."""
    init = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
    table = tf.lookup.StaticHashTable(init, -1.0)
    y = table.lookup(v1.placeholder(tf.string, [None], "x"))
    tf.multiply(y, v1.get_variable("w", []), name="y")
    return {}, {"x:0": WORDS}


def vocabulary_file(directory):
    """tensorflow#18819, tf2onnx#1755."""
    path = directory / "words.txt"
    path.write_text("a\nb\n")
    table = lookup_ops.index_table_from_file(str(path), num_oov_buckets=3)
    ids = table.lookup(v1.placeholder(tf.string, [None], "x"))
    tf.gather(v1.get_variable("w", [5, 2]), ids, name="y")
    return {}, {"x:0": WORDS}


def mutable_table(directory):
    """tensorflow#8665: a table that training fills."""
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
    v1.add_to_collection(
        v1.GraphKeys.TABLE_INITIALIZERS, table.insert(tf.constant(["a"]), tf.constant([5.0]))
    )
    y = table.lookup(v1.placeholder(tf.string, [None], "x"))
    tf.multiply(y, v1.get_variable("w", []), name="y")
    return {}, {"x:0": WORDS}


# {case: what TensorFlow's converter does}: it refuses, or its file is unusable, wrong or right. A
# pair where 1.15.5 and 2.21 differ.
CASES = {
    assigns_of_a_control: "unusable",
    under_control_flow(1, assigns_that_are_wanted): "unusable",
    hash_table: "unusable",
    vocabulary_file: "unusable",
    mutable_table: "wrong",
    **notorious_branches.CASES,
    **notorious_training.CASES,
    **notorious_functions.CASES,
    **notorious_trackers.CASES,
    **notorious_variables.CASES,
}


def reference(session, clean, path, feeds, outputs):
    """Convert the session with TensorFlow's converter; return a function that judges the result."""
    try:
        notorious.converted(session, outputs, path)
    except (ValueError, RuntimeError, tf.errors.OpError):
        return lambda live: "refuses"
    return lambda live: notorious.verdict(clean, path, feeds, outputs, live)


@pytest.mark.parametrize("build", list(CASES), ids=lambda build: build.__name__)
def test_ours_answers_where_theirs_does_not(build, graph, clean, tmp_path):
    arguments, feeds, *shown = build(tmp_path)
    outputs, trained = notorious.outputs_of(arguments)
    live_feeds = notorious.live_feeds(arguments, feeds)
    ours = tmp_path / "ours.pb"
    with v1.Session() as session:
        notorious.prepare(session)
        judge = reference(session, clean, tmp_path / "theirs.pb", live_feeds, trained)
        fh.freeze_session(session, str(ours), **dict({"outputs": ["y"]}, **arguments))
        live = session.run(shown[0] if shown else trained, live_feeds)
    expected = CASES[build]
    assert judge(live) == (expected if isinstance(expected, str) else expected[MAJOR - 1])
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    assert notorious.verdict(clean, ours, feeds, outputs, live) == "right"
    assert notorious.left_of_training(ours) == []
    assert notorious.misordered(ours) == []
    if arguments.get("lower_control_flow"):
        assert not read_graph_def(ours).library.function
