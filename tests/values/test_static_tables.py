"""Lookup tables of session graphs are in the file, which needs no init op and no other file."""

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import read_graph_def
from tensorflow.python.ops import lookup_ops

import freeze_hooks as fh

v1 = tf.compat.v1
WORDS = np.array(["b", "a", "zebra"])


def words():
    return v1.placeholder(tf.string, [None], name="x")


def static_table(directory, scale=1.0):
    init = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0 * scale, 2.0 * scale])
    tf.identity(tf.lookup.StaticHashTable(init, -1.0).lookup(words()), name="y")


def vocabulary(directory, buckets=0):
    path = directory / "words.txt"
    path.write_text("a\nb\nc\n")
    table = lookup_ops.index_table_from_file(str(path), num_oov_buckets=buckets)
    tf.identity(table.lookup(words()), name="y")


def vocabulary_with_buckets(directory):
    vocabulary(directory, 5)


def table_in_a_loop(directory):
    init = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
    table = tf.lookup.StaticHashTable(init, -1.0)
    tf.identity(v1.map_fn(table.lookup, words(), dtype=tf.float32), name="y")


STATIC = [static_table, vocabulary, vocabulary_with_buckets, table_in_a_loop]


def frozen(session, path):
    live = session.run("y:0", {"x:0": WORDS})
    fh.freeze_session(session, str(path), ["y"])
    return live


@pytest.mark.parametrize("build", STATIC, ids=lambda build: build.__name__)
def test_static_tables(build, graph, clean, tmp_path):
    build(tmp_path)
    with v1.Session() as session:
        session.run(v1.tables_initializer())
        live = frozen(session, tmp_path / "frozen.pb")
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    (got,) = clean.run(tmp_path / "frozen.pb", {"x:0": WORDS}, ["y:0"])
    np.testing.assert_array_equal(got, live)


def mutable(default):
    return lookup_ops.MutableHashTable(tf.string, tf.float32, default)


def dense(default):
    return lookup_ops.DenseHashTable(tf.string, tf.float32, default, "<empty>", "<deleted>")


@pytest.mark.parametrize("default", [-1.0, [-1.0, -2.0]], ids=["scalar", "vector"])
@pytest.mark.parametrize("kind", [mutable, dense], ids=["mutable", "dense"])
def test_mutable_tables_are_read_at_each_save(kind, default, graph, clean, tmp_path):
    table = kind(default)
    if isinstance(default, list) and tf.__version__.startswith("1."):
        tf.identity(table.lookup(words()), name="y")
        with pytest.raises(fh.NotFreezableError, match="values of several elements"):
            fh.check(graph, ["y"])
        return
    tf.identity(table.lookup(words()), name="y")
    keys = tf.constant(["a", "b"])
    insert = table.insert(keys, tf.constant([default, default]) * 3.0)
    remove = table.remove(keys[:1])
    freezes = []
    with v1.Session() as session:
        for i, change in enumerate([tf.no_op(), insert, remove]):
            session.run(change)
            freezes.append((tmp_path / f"{i}.pb", frozen(session, tmp_path / f"{i}.pb")))
    for path, live in freezes:  # in the first, the table is empty
        (got,) = clean.run(path, {"x:0": WORDS}, ["y:0"])
        np.testing.assert_array_equal(got, live)
    assert [len(set(map(str, live.tolist()))) for _, live in freezes] == [1, 2, 2]


def test_two_files_in_one_session_do_not_mix(tmp_path):
    for scale in (1.0, 10.0):
        with tf.Graph().as_default(), v1.Session() as session:
            static_table(tmp_path, scale)
            session.run(v1.tables_initializer())
            frozen(session, tmp_path / f"{scale}.pb")
    with tf.Graph().as_default() as both:
        for i, scale in enumerate((1.0, 10.0)):
            tf.import_graph_def(read_graph_def(tmp_path / f"{scale}.pb"), name=f"net{i}")
        with v1.Session(graph=both) as session:
            feeds = {"net0/x:0": WORDS, "net1/x:0": WORDS}
            first, second = session.run(["net0/y:0", "net1/y:0"], feeds)
    assert first.tolist() == [2.0, 1.0, -1.0]
    assert second.tolist() == [20.0, 10.0, -1.0]


def test_a_missing_vocabulary_is_said_before_training(graph, tmp_path):
    vocabulary(tmp_path)
    (tmp_path / "words.txt").unlink()
    with pytest.raises(fh.NotFreezableError, match=r"lookup table .* cannot be made.*words\.txt"):
        fh.check(graph, ["y"])
