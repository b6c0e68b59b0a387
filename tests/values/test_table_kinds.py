"""Lookup tables of all kinds, and tables that training changes."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops

import freeze_hooks as fh

v1 = tf.compat.v1
WORDS = np.array(["b", "a", "zebra"])


def words():
    return v1.placeholder(tf.string, [None], name="x")


def types(**more):
    return dict(key_dtype=tf.string, value_dtype=tf.float32, **more)


def look_up(table):
    default = tf.constant(-1.0)
    y = tf.raw_ops.LookupTableFind(table_handle=table, keys=words(), default_value=default)
    tf.identity(y, name="y")


def static_reference(directory):
    """Build a table with TensorFlow's oldest ops, whose handles are references."""
    table = tf.raw_ops.HashTable(**types(shared_name="t"))
    init = tf.raw_ops.InitializeTable(
        table_handle=table, keys=tf.constant(["a", "b"]), values=tf.constant([1.0, 2.0])
    )
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, init)
    look_up(table)


def reference_of_a_file(directory):
    path = directory / "words.txt"
    path.write_text("a\nb\n")
    table = tf.raw_ops.HashTable(key_dtype=tf.string, value_dtype=tf.int64)
    init = tf.raw_ops.InitializeTableFromTextFile(
        table_handle=table, filename=str(path), key_index=-2, value_index=-1
    )
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, init)
    y = tf.raw_ops.LookupTableFind(
        table_handle=table, keys=words(), default_value=tf.constant(-1, tf.int64)
    )
    size = tf.raw_ops.LookupTableSize(table_handle=table)
    tf.add(y, size, name="y")


def mutable_reference(directory):
    table = tf.raw_ops.MutableHashTable(**types())
    insert = tf.raw_ops.LookupTableInsert(
        table_handle=table, keys=tf.constant(["a", "b"]), values=tf.constant([3.0, 4.0])
    )
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, insert)
    look_up(table)


def keys_given_twice(directory):
    init = tf.lookup.KeyValueTensorInitializer(["a", "b", "a"], [1.0, 2.0, 1.0])
    tf.identity(tf.lookup.StaticHashTable(init, -1.0).lookup(words()), name="y")


def static_vocabulary(directory):
    init = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    tf.identity(tf.lookup.StaticVocabularyTable(init, 3).lookup(words()), name="y")


def index_to_string(directory):
    """Look up back and forth, in two tables."""
    forth = lookup_ops.index_table_from_tensor(["a", "b"], num_oov_buckets=0)
    back = lookup_ops.index_to_string_table_from_tensor(["A", "B"], default_value="?")
    tf.identity(back.lookup(forth.lookup(words())), name="y")


def in_a_conditional(directory):
    init = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
    table, flag = tf.lookup.StaticHashTable(init, -1.0), v1.placeholder_with_default(True, [], "f")
    x = words()
    y = tf.cond(flag, lambda: table.lookup(x), lambda: tf.zeros([tf.size(x)]))
    tf.identity(y, name="y")


KINDS = [static_reference, reference_of_a_file, mutable_reference, keys_given_twice]
KINDS += [static_vocabulary, index_to_string, in_a_conditional]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_kinds(kind, graph, clean, tmp_path):
    kind(tmp_path)
    with v1.Session() as session:
        session.run(v1.tables_initializer())
        live = session.run("y:0", {"x:0": WORDS})
        fh.freeze_session(session, str(tmp_path / "a.pb"), ["y"])
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    if live.dtype == object:  # strings, which .npz files do not hold
        got = fh.load_frozen(str(tmp_path / "a.pb"))(x=WORDS)["y"]
    else:
        (got,) = clean.run(tmp_path / "a.pb", {"x:0": WORDS}, ["y:0"])
    assert got.tolist() == live.tolist()


def counted():
    """Return an op that fills a table with the words in the training data."""
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
    x = words()
    step = v1.train.get_or_create_global_step()
    w = v1.get_variable("w", [])
    tf.multiply(table.lookup(x), w, name="y")
    learnt = table.insert(x, tf.cast(tf.fill([tf.size(x)], step), tf.float32))
    with tf.control_dependencies([learnt]):
        return v1.assign_add(step, 1)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("values", ["live", "checkpoint"])
def test_a_table_that_training_fills(values, background, graph, clean, tmp_path):
    """Each file has the table's content at its save; the checkpoint has no such table."""
    train_op = counted()
    hook = fh.FreezeHook(outputs=["y"], values=values, save_on_background=background)
    live = []
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=1, hooks=[hook], log_step_count_steps=0
    ) as session:
        for word in ("a", "b", "zebra"):
            session.run(train_op, {"x:0": [word]})
            live.append(session.run("y:0", {"x:0": WORDS}))
    steps = {artifact.step: artifact.path for artifact in hook.artifacts}
    for step, want in enumerate(live, 1):
        (got,) = clean.run(steps[step], {"x:0": WORDS}, ["y:0"])
        np.testing.assert_array_equal(got, want)
    assert len({tuple(want) for want in live}) == 3


def test_an_inference_graph_s_table(graph, clean, tmp_path):
    """inference_fn= builds a table of the same name; the file has the training table's content."""
    train_op = counted()

    def inference():
        table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
        x = v1.placeholder(tf.string, [None], "text")
        return {"text": x}, {"found": table.lookup(x) + v1.get_variable("w", [])}

    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(train_op, {"x:0": ["a"]})
        session.run(train_op, {"x:0": ["b"]})
        w = session.run(v1.trainable_variables()[0])
        fh.freeze_session(session, str(tmp_path / "a.pb"), inference_fn=inference)
    (got,) = clean.run(tmp_path / "a.pb", {"text:0": WORDS}, ["found:0"])
    np.testing.assert_allclose(got, np.array([1.0, 0.0, -1.0], np.float32) + w)


@pytest.mark.parametrize("saved", [False, True])
def test_a_finalized_graph(saved, graph, clean, tmp_path):
    """The checkpoint's export op is used; if there is none, an error says so."""
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0, checkpoint=saved)
    tf.identity(table.lookup(words()), name="y")
    path = str(tmp_path / "a.pb")
    with v1.Session() as session:
        session.run(table.insert(tf.constant(["a"]), tf.constant([7.0])))
        graph.finalize()
        if saved:
            fh.freeze_session(session, path, ["y"])
            (got,) = clean.run(path, {"x:0": WORDS}, ["y:0"])
            assert got.tolist() == [-1.0, 7.0, -1.0]
            return
        with pytest.raises(fh.FreezeError, match="not exported anywhere"):
            fh.freeze_session(session, path, ["y"])


def test_a_look_up_after_an_insertion_is_refused(graph):
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
    x = words()
    with tf.control_dependencies([table.insert(x, tf.zeros([tf.size(x)]))]):
        tf.identity(table.lookup(x), name="y")
    with pytest.raises(fh.NotFreezableError, match=r"uses lookup table .* after LookupTableInsert"):
        fh.check(graph, ["y"])


def test_an_insertion_that_is_bound_away(control_flow_v1, graph, clean, tmp_path):
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
    x, training = words(), v1.placeholder(tf.bool, [], "training")
    insert = table.insert(x, tf.zeros([tf.size(x)]))
    with tf.control_dependencies([tf.cond(training, lambda: learn(table, x), lambda: False)]):
        tf.identity(table.lookup(x), name="y")
    with v1.Session() as session:
        session.run(insert, {x: ["a"]})
        path = str(tmp_path / "a.pb")
        fh.freeze_session(session, path, ["y"], bind={training: False})
        with pytest.raises(fh.NotFreezableError, match="after LookupTableInsert"):
            fh.freeze_session(session, path, ["y"])
    (got,) = clean.run(path, {"x:0": WORDS}, ["y:0"])
    assert got.tolist() == [-1.0, 0.0, -1.0]


def learn(table, x):
    with tf.control_dependencies([table.insert(x, tf.ones([tf.size(x)]))]):
        return tf.constant(True)
