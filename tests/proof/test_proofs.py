"""verify= asks for the live answers in the user's way, and reports how a file differs.

The user's way is the graph's own tensors, TensorFlow's Saver and loaders, or the Python function.
"""

import os

import numpy as np
import pytest
import tensorflow as tf
from small import FREEZE, X, build

import freeze_hooks as fh
from freeze_hooks.proof.fit import held

v1 = tf.compat.v1
TF1 = tf.__version__.startswith("1.")
EAGER = pytest.mark.skipif(TF1, reason="tf.function came with TensorFlow 2")
KEYS, VALUES = [2**25 + 1, 2**25 + 3, 7], [1.0, 2.0, 3.0]


@pytest.fixture(params=[False, True], ids=["ref", "resource"])
def model(request, graph):
    """A session of a graph with uint8 images, large ids in a table, and averages."""
    images = v1.placeholder(tf.uint8, [None, 4], "images")
    ids = v1.placeholder(tf.int64, [None], "ids")
    keys, values = tf.constant(KEYS, tf.int64), tf.constant(VALUES)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1.0)
    weights = v1.get_variable("weights", [4, 2], use_resource=request.param)
    hidden = tf.image.convert_image_dtype(images, tf.float32) @ weights
    tf.add(hidden, tf.expand_dims(table.lookup(ids), 1), name="y")
    tf.identity(ids + 1, name="next")
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        yield session


def path_in(directory):
    return str(directory / "m.pb")


def proved(artifact):
    return artifact.max_difference is not None and artifact.max_difference < 1e-5


OUTPUTS = ["y", "next"]


def test_a_session(model, tmp_path):
    one = {"images": np.full([1, 4], 200, np.uint8), "ids": np.array(KEYS[:1])}
    for verify in (True, one, fh.Verify(one, own_process=True)):
        assert proved(fh.freeze_session(model, path_in(tmp_path), OUTPUTS, verify=verify))
    names = {"inputs": {"i": "ids", "p": "images"}, "outputs": {"b": "y", "a": "next"}}
    assert proved(fh.freeze_session(model, path_in(tmp_path), verify=True, **names))


def test_a_session_looks_at_every_entry_of_a_table(model, tmp_path, monkeypatch):
    """verify=True feeds the table's own keys."""
    fed = []
    run = v1.Session.run

    def noted(self, fetches, feed_dict=None, *more):
        fed.extend((feed_dict or {}).values())
        return run(self, fetches, feed_dict, *more)

    monkeypatch.setattr(v1.Session, "run", noted)
    fh.freeze_session(model, path_in(tmp_path), ["y"], verify=True)
    whole = [value for value in fed if getattr(value, "dtype", None) == np.int64]
    assert any(set(value.tolist()) >= set(KEYS) for value in whole)


@pytest.mark.parametrize(
    "feeds, said",
    [
        ({"ids": np.array([2.5])}, "'ids' cannot take .*: int64 cannot hold 2.5"),
        ({"images": np.full([1, 4], 300)}, "'images' cannot take .*: uint8 cannot hold 300"),
        ({"images": np.full([1, 4], -1)}, "uint8 cannot hold -1"),
    ],
    ids=["fraction", "too large", "negative"],
)
def test_what_an_input_cannot_hold(feeds, said, model, tmp_path):
    fed = {"images": np.ones([1, 4], np.uint8), "ids": np.array([7]), **feeds}
    with pytest.raises(fh.NotVerifiedError, match=said):
        fh.freeze_session(model, path_in(tmp_path), OUTPUTS, verify=fed)
    assert os.listdir(str(tmp_path)) == []


def test_floats_are_rounded_as_the_session_does(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for array in (X.astype(np.float64), X.tolist(), np.ones([2, 8], np.int64)):
            verify = {"net/x": array}
            assert proved(fh.freeze_session(session, path_in(tmp_path), verify=verify, **FREEZE))
        for array in ([[1e300] * 8], [[2**24 + 1] * 8]):
            with pytest.raises(fh.NotVerifiedError, match="float32 cannot hold"):
                verify = {"net/x": array}
                fh.freeze_session(session, path_in(tmp_path), verify=verify, **FREEZE)


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_checkpoint(partitioned, graph, tmp_path):
    """With a meta graph, its Saver's ops restore; with the graph alone, names are matched."""
    partitioner = v1.fixed_size_partitioner(2) if partitioned else None
    train_op = build(partitioner=partitioner)
    ema = tf.train.ExponentialMovingAverage(0.5)
    with tf.control_dependencies([train_op]):
        averaging = ema.apply(v1.trainable_variables())
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        feeds = {"net/x:0": X, "net/y:0": np.zeros(16), "net/is_training:0": True}
        session.run(averaging, feeds)
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), 1)
    for how in ({}, {"ema": ema}, {"graph": graph}, {"graph": graph.as_graph_def(), "ema": ema}):
        found = fh.freeze_checkpoint(
            str(tmp_path), path_in(tmp_path), verify=True, **dict(FREEZE, **how)
        )
        assert proved(found)


def test_a_checkpoint_of_objects(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        held = {f"v{i}": v for i, v in enumerate(v1.trainable_variables())}
        tf.train.Checkpoint(**held).save(str(tmp_path / "c"))
    found = fh.freeze_checkpoint(
        str(tmp_path), path_in(tmp_path), graph=graph, verify={"net/x": X}, **FREEZE
    )
    assert proved(found)


def test_a_saved_model_of_a_graph(model, tmp_path):
    get, directory = model.graph.get_tensor_by_name, str(tmp_path / "saved")
    inputs = {"images": get("images:0"), "ids": get("ids:0")}
    outputs = {"y": get("y:0"), "next": get("next:0")}
    v1.saved_model.simple_save(
        model, directory, inputs, outputs, legacy_init_op=v1.tables_initializer()
    )
    path = path_in(tmp_path)
    assert proved(fh.freeze_saved_model(directory, path, verify=True))
    bound = {"ids": [7]}
    for more in ({}, {"bind": bound}, {"bind": bound, "inputs": {"pixels": "images"}}):
        assert proved(fh.freeze_files(directory, path, ["y"], verify=True, **more))


def test_another_value_is_found(graph, tmp_path, monkeypatch):
    """The proof does not use the values that freezing read from the checkpoint."""
    from freeze_hooks.sources.checkpoint_index import Checkpoint

    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), 1)
    read = Checkpoint.values
    assert proved(fh.freeze_checkpoint(str(tmp_path), path_in(tmp_path), verify=True, **FREEZE))
    monkeypatch.setattr(Checkpoint, "values", lambda self, places: _shifted(read(self, places)))
    with pytest.raises(fh.FreezeError, match="differs from the live model's"):
        fh.freeze_checkpoint(str(tmp_path), path_in(tmp_path), verify=True, **FREEZE)


def _shifted(values):
    from freeze_hooks.values.session_reads import as_value

    for value in values:
        array = np.frombuffer(b"".join(map(bytes, value.chunks)), np.float32)
        yield as_value(array.reshape(value.shape) + 1)


@EAGER
def test_a_python_function_is_called(tmp_path):
    """The proof calls the Python function, not its trace, which keeps old numbers."""
    weights = tf.Variable([[1.0], [2.0]])
    scale = [3.0]

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def predict(x):
        return {"y": x @ weights * scale[0], "sum": tf.reduce_sum(x)}

    plan = fh.plan_function(predict, verify=True)
    assert proved(plan.write(path_in(tmp_path)))
    scale[0] = 4.0
    with pytest.raises(fh.NotVerifiedError, match="'y' differs"):
        plan.write(path_in(tmp_path))


@EAGER
def test_a_function_that_changes_its_state(tmp_path):
    count = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def counted(x):
        before = x + count
        count.assign_add(1.0)
        return {"y": before}

    assert proved(fh.freeze_function(counted, path_in(tmp_path), verify=True))
    assert count.numpy() == 0.0


@EAGER
def test_a_function_that_works_in_traces_alone(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def slope(x):
        return tf.gradients(x * x, x)[0]

    assert proved(fh.freeze_function(slope, path_in(tmp_path), verify=True))


@EAGER
@pytest.mark.parametrize(
    "dtype, array, said",
    [
        (tf.float32, np.array([2**24 + 1]), "float32 cannot hold 16777217"),
        (tf.int32, np.array([2**40]), "int32 cannot hold 1099511627776"),
        (tf.int32, np.array([1.5]), "int32 cannot hold 1.5"),
    ],
    ids=["rounded", "overflow", "fraction"],
)
def test_what_a_function_cannot_take(dtype, array, said, tmp_path):
    spec = tf.TensorSpec([None], dtype, name="x")
    with pytest.raises(fh.NotVerifiedError, match=said):
        fh.freeze_function(
            lambda x: x + x, path_in(tmp_path), input_signature=[spec], verify={"x": array}
        )


@EAGER
def test_a_saved_model_of_a_module(tmp_path):
    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = tf.Variable(np.arange(16, dtype=np.float32).reshape(4, 4) / 16)

        @tf.function(
            input_signature=[tf.TensorSpec([None, 4], name="x"), tf.TensorSpec([], tf.int32, "n")]
        )
        def run(self, x, n):
            for _ in tf.range(n):
                x = tf.tanh(x @ self.weights)
            return {"last": x, "sum": tf.reduce_sum(x, 1)}

    net, directory = Net(), str(tmp_path / "saved")
    tf.saved_model.save(net, directory, signatures=net.run)
    feeds = {"x": np.random.randn(3, 4), "n": 3}
    for verify in (True, feeds):
        assert proved(fh.freeze_function(net.run, path_in(tmp_path), verify=verify))
        assert proved(fh.freeze_saved_model(directory, path_in(tmp_path), verify=verify))
    assert proved(fh.freeze_files(directory, path_in(tmp_path), ["sum"], verify=feeds))


def test_the_command(graph, tmp_path):
    from click.testing import CliRunner

    from freeze_hooks.cli.group import commands

    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), 1)
    np.savez(str(tmp_path / "feeds.npz"), **{"net/x": X})
    np.savez(str(tmp_path / "others.npz"), x=X)
    asked = ["freeze", str(tmp_path), "-o", path_in(tmp_path), "--outputs", "probs"]
    asked += ["--bind", "net/is_training=false"]
    for more in (["--verify"], ["--feeds", str(tmp_path / "feeds.npz")]):
        said = CliRunner().invoke(commands, asked + more)
        assert said.exit_code == 0 and "max diff" in said.output, said.output
    said = CliRunner().invoke(commands, asked + ["--feeds", str(tmp_path / "others.npz")])
    assert said.exit_code == 2 and "'net/x'" in said.output


@pytest.mark.parametrize(
    "value, dtype, kept",
    [
        (np.array([2**63 - 1]), tf.int64, True),
        (np.array([2**63], np.uint64), tf.int64, False),
        (np.array([-1]), tf.uint64, False),
        ([True], tf.float32, True),
        (np.array([1.0]), tf.bool, True),
        (np.array([2.0]), tf.bool, False),
        (np.nan, tf.float32, True),
        (np.nan, tf.int32, False),
        (1 + 2j, tf.float32, False),
        (b"a\0", tf.string, True),
        (1, tf.string, False),
        (np.array([7e4]), tf.float16, False),
        (np.array([np.inf]), tf.float16, True),
    ],
)
def test_what_a_dtype_can_hold(value, dtype, kept):
    if kept:
        found = held(value, dtype)
        assert dtype == tf.string or found.dtype == dtype.as_numpy_dtype
        np.testing.assert_array_equal(
            found, np.array(value, object if dtype == tf.string else None)
        )
        return
    with pytest.raises(ValueError):
        held(value, dtype)


@pytest.mark.parametrize("kind", ["bfloat16", "complex64", "qint8", "string"])
def test_answers_of_rare_dtypes(kind, graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 3], "x")
    if kind == "qint8":
        y = tf.quantization.quantize(x, -1.0, 1.0, tf.qint8).output
    else:
        y = tf.as_string(x) if kind == "string" else tf.cast(x, kind)
    tf.identity(y, name="y")
    with v1.Session() as session:
        assert proved(fh.freeze_session(session, path_in(tmp_path), ["y"], verify=True))
        apart = fh.Verify(own_process=True)
        if kind == "bfloat16":  # NumPy's files cannot hold it
            assert proved(fh.freeze_session(session, path_in(tmp_path), ["y"], verify=apart))


def test_a_dense_table_of_a_graph_that_must_not_run(graph, tmp_path):
    """The graph's copy in another session gets the table's own buckets."""
    from tensorflow.python.ops import lookup_ops

    kind = getattr(lookup_ops, "DenseHashTable", None) or lookup_ops.MutableDenseHashTable
    table = kind(tf.int64, tf.float32, -1.0, empty_key=-1, deleted_key=-2)
    fill = table.insert(tf.constant([1, 2], tf.int64), tf.constant([5.0, 6.0]))
    count = v1.get_variable("count", [], initializer=tf.zeros_initializer())
    with tf.control_dependencies([v1.assign_add(count, 1.0)]):
        tf.identity(table.lookup(v1.placeholder(tf.int64, [None], "x")), name="y")
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), fill])
        verify = {"x": np.array([1, 2, 3])}
        assert proved(fh.freeze_session(session, path_in(tmp_path), ["y"], verify=verify))
        assert session.run(count) == 0.0
