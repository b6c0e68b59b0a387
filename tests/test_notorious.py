"""Known issues of TensorFlow's converter: what it does with each graph, and that ours is right."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(5, 4).astype(np.float32)
WORDS = np.array(["a", "b", "other"])


def x_placeholder():
    return v1.placeholder(tf.float32, [None, 4], "x")


def assigns_of_a_control(directory):
    """tensorflow#3628: updates that the output waits for."""
    w = v1.get_variable("w", [4], use_resource=False)
    with tf.control_dependencies([v1.assign_sub(v1.get_variable("m", [4]), w)]):
        tf.identity(x_placeholder() * w, name="y")
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


CASES = {  # and what TensorFlow's converter, on 1.15.5 and on 2.21, makes of each
    assigns_of_a_control: "unusable",
    hash_table: "unusable",
    vocabulary_file: "unusable",
    mutable_table: "wrong",
}


def theirs(session, directory):
    """A file of TensorFlow's converter."""
    frozen = v1.graph_util.convert_variables_to_constants(
        session, session.graph.as_graph_def(), ["y"]
    )
    path = directory / "theirs.pb"
    path.write_bytes(frozen.SerializeToString())
    return path


def outcome(clean, path, feeds, live):
    """What a file is worth in a process that knows nothing of the training."""
    try:
        (got,) = clean.run(path, feeds, ["y:0"])
    except RuntimeError:
        return "unusable"
    return "right" if np.allclose(got, live, rtol=1e-6) else "wrong"


@pytest.mark.parametrize("build", list(CASES), ids=lambda build: build.__name__)
def test_ours_answers_where_theirs_does_not(build, graph, clean, tmp_path):
    arguments, feeds = build(tmp_path)
    path = str(tmp_path / "ours.pb")
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        reference = theirs(session, tmp_path)
        fh.freeze_session(session, path, ["y"], **arguments)
        live = session.run("y:0", feeds)
    assert outcome(clean, reference, feeds, live) == CASES[build]
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    assert outcome(clean, path, feeds, live) == "right"
