"""Ragged and sparse tensors, and nested structures: the file names each part, and
load_frozen takes and returns the whole."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from fitting import HAS_KERAS_3, TF1

import freeze_hooks as fh

v1 = tf.compat.v1
eager = pytest.mark.skipif(TF1, reason="works eagerly")
W = np.random.RandomState(0).randn(10, 3).astype(np.float32)
RAGGED = tf.RaggedTensorSpec([None, None], tf.int64)
DEEP = tf.RaggedTensorSpec([None, None, None], tf.int64, ragged_rank=2)
SPARSE = tf.SparseTensorSpec([None, 10], tf.float32)
DENSE = tf.TensorSpec([None], tf.float32)
Pair = collections.namedtuple("Pair", "left right")


def names(ends):
    return [info.name for info in ends]


def frozen(function, specs, tmp_path, **options):
    path = str(tmp_path / "f.pb")
    traced = tf.function(function, autograph=False)
    return fh.freeze_function(traced, path, input_signature=specs, **options)


def mean(x):
    return {"y": tf.reduce_mean(tf.gather(tf.constant(W), x), 1)}


@eager
def test_a_ragged_input(tmp_path, clean):
    artifact = frozen(mean, [RAGGED], tmp_path)
    parts = ["x/values", "x/row_splits"]
    assert names(artifact.signature.inputs) == parts
    assert names(fh.inspect(artifact.path).signature.inputs) == parts
    x = tf.ragged.constant([[1, 2, 9], [], [4]], tf.int64)[::2]  # its splits are not its own
    expected = mean(x)["y"].numpy()
    fed = {"x/values:0": x.flat_values.numpy(), "x/row_splits:0": x.row_splits.numpy()}
    np.testing.assert_array_equal(clean.run(artifact.path, fed, ["y:0"])[0], expected)
    value = v1.ragged.RaggedTensorValue(x.flat_values.numpy(), x.row_splits.numpy())
    with fh.load_frozen(artifact.path) as model:
        by_name = {"x/values": x.values, "x/row_splits": x.row_splits}
        for given in (x, value, x.to_list(), by_name, {"x": x}):
            np.testing.assert_array_equal(model(given)["y"], expected)
        np.testing.assert_array_equal(model(x=x)["y"], expected)
        small = x.with_row_splits_dtype(tf.int32)
        np.testing.assert_array_equal(model(x=small)["y"], expected)
        for wrong in (tf.ragged.constant([[[1], [2]]]), tf.sparse.eye(3), x.values, 3):
            with pytest.raises(fh.FreezeError, match=r"x is made of x/values, x/row_splits"):
                model(x=wrong)
        with pytest.raises(fh.FreezeError, match=r"x/values is int64, which cannot hold 0\.5"):
            model(x=[[0.5]])


@eager
def test_a_ragged_input_of_rank_2_and_its_answer(tmp_path):
    def doubled(x):
        return {"whole": x * 2, "rows": tf.reduce_sum(x, 2), "count": x.nrows()}

    artifact = frozen(doubled, [DEEP], tmp_path)
    assert names(artifact.signature.inputs) == ["x/values", "x/row_splits", "x/row_splits_1"]
    outputs = ["count", "rows/values", "rows/row_splits"]
    outputs += ["whole/values", "whole/row_splits", "whole/row_splits_1"]
    assert names(artifact.signature.outputs) == outputs
    x = tf.ragged.constant([[[1, 2], []], [[3]], []], tf.int64, ragged_rank=2)
    live = doubled(x)
    with fh.load_frozen(artifact.path) as model:
        answers = model(x=x)
        assert list(answers) == outputs
        for name in ("whole", "rows"):
            assert answers[name].to_list() == live[name].to_list()
        again = model(x=answers["whole"])  # an answer can be an input
        assert again["whole"].to_list() == (live["whole"] * 2).to_list()
        with pytest.raises(KeyError):
            answers["who"]
        with pytest.raises(fh.FreezeError, match="a ragged tensor of ragged rank 1 does not have"):
            model(x=tf.ragged.constant([[1]]))


@eager
def test_a_sparse_input_and_answer(tmp_path, clean):
    def product(x):
        return {"y": tf.sparse.sparse_dense_matmul(x, tf.constant(W)), "z": x * 2.0}

    artifact = frozen(product, [SPARSE], tmp_path)
    assert names(artifact.signature.inputs) == ["x/indices", "x/values", "x/dense_shape"]
    given = np.zeros([4, 10], np.float32)
    given[0, 3], given[2, 1], given[2, 9] = 1, 2, 3
    x = tf.sparse.from_dense(given)
    value = v1.SparseTensorValue(x.indices.numpy(), x.values.numpy(), x.dense_shape.numpy())
    fed = {"x/indices:0": x.indices, "x/values:0": x.values, "x/dense_shape:0": x.dense_shape}
    fed = {name: tensor.numpy() for name, tensor in fed.items()}
    expected = product(x)["y"].numpy()
    np.testing.assert_allclose(clean.run(artifact.path, fed, ["y:0"])[0], expected, 1e-6)
    with fh.load_frozen(artifact.path) as model:
        for sparse in (x, value):
            answers = model(sparse)
            np.testing.assert_allclose(answers["y"], given @ W, 1e-5, 1e-6)
            whole = answers["z"]
            assert isinstance(whole, v1.SparseTensorValue)
            dense = tf.sparse.to_dense(tf.SparseTensor(*whole)).numpy()
            np.testing.assert_array_equal(dense, 2 * given)
        with pytest.raises(fh.FreezeError, match="x is made of x/indices, x/values"):
            model(x=given)


@eager
def test_dense_inputs_take_no_composites(tmp_path):
    artifact = frozen(lambda x, y: {"z": x + y}, [DENSE, DENSE], tmp_path)
    said = "x is one dense tensor, not SparseTensor"
    with fh.load_frozen(artifact.path) as model, pytest.raises(fh.FreezeError, match=said):
        model(x=tf.sparse.eye(3), y=[1.0])


@eager
def test_parts_that_no_output_needs(tmp_path):
    artifact = frozen(lambda x: {"most": tf.reduce_max(x.values)}, [RAGGED], tmp_path)
    assert names(artifact.signature.inputs) == ["x/values"]
    with fh.load_frozen(artifact.path) as model:
        assert model(x=tf.ragged.constant([[1, 5], [3]]))["most"] == 5


def test_a_dense_input_that_is_called_as_a_part(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="my/values")
        fh.freeze_session(session, str(tmp_path / "m.pb"), {"y": x * 2.0})
    with fh.load_frozen(tmp_path / "m.pb") as model:
        for given in ([1.0], {"my/values": [1.0]}):
            assert model(given)["y"].tolist() == [2]


def features(d, pair, rest):
    total = tf.reduce_sum(d["age"]) + tf.reduce_sum(tf.cast(d["words"].values, tf.float32))
    total += tf.reduce_sum(pair.left) + tf.reduce_sum(pair.right) + tf.sparse.reduce_sum(rest[1])
    return Pair(total + tf.reduce_sum(tf.cast(d["words"].row_splits, tf.float32)), {"n": rest[0]})


@eager
def test_nested_structures(tmp_path):
    given = tf.TensorSpec([None], tf.float32, "given")
    specs = [{"words": RAGGED, "age": DENSE}, Pair(DENSE, given), [DENSE, SPARSE]]
    artifact = frozen(features, specs, tmp_path)
    inputs = ["d_age", "d_words/values", "d_words/row_splits", "pair_left", "given"]
    inputs += ["rest_0", "rest_1/indices", "rest_1/values", "rest_1/dense_shape"]
    assert names(artifact.signature.inputs) == inputs
    assert names(artifact.signature.outputs) == ["left", "right_n"]
    words, sparse = tf.ragged.constant([[1, 2], [3]], tf.int64), tf.sparse.eye(4, 10)
    ones = tf.ones([2])
    live = features({"words": words, "age": ones}, Pair(ones, ones * 2), [ones * 3, sparse])
    feeds = {"d_age": ones, "d_words": words, "pair_left": ones, "given": ones * 2}
    with fh.load_frozen(artifact.path) as model:
        answers = model(feeds, rest_0=ones * 3, rest_1=sparse)
    assert answers["left"] == live.left.numpy() == 6 + 2 + 2 + 4 + 5 + 4
    assert answers["right_n"].tolist() == [3, 3]


@eager
def test_outputs_with_and_without_keys(tmp_path):
    artifact = frozen(lambda x: (x, {"a": x + 1, "b": [x + 2]}, x + 3), [DENSE], tmp_path)
    outputs = ["output_0", "output_1_a", "output_1_b_0", "output_3"]
    assert names(artifact.signature.outputs) == outputs
    with fh.load_frozen(artifact.path) as model:
        answers = model([0.0])
    assert [answers[name].tolist() for name in outputs] == [[0], [1], [2], [3]]


@eager
@pytest.mark.skipif(not HAS_KERAS_3, reason="older TensorFlow takes no dataclasses")
def test_dataclasses_and_extension_types(tmp_path):
    @dataclasses.dataclass
    class Record:
        ids: object
        age: object

        def __tf_flatten__(self):
            return (), (self.ids, self.age)

        @classmethod
        def __tf_unflatten__(cls, _, components):
            return cls(*components)

    class Masked(tf.experimental.ExtensionType):
        rows: tf.RaggedTensor
        scale: tf.Tensor

    def summed(r, m):
        total = tf.reduce_sum(r.ids.values) + tf.reduce_sum(m.rows.values)
        return {"sum": tf.cast(total, tf.float32) * m.scale + r.age}

    masked = Masked.Spec(rows=RAGGED, scale=tf.TensorSpec([], tf.float32))
    artifact = frozen(summed, [Record(RAGGED, tf.TensorSpec([], tf.float32)), masked], tmp_path)
    assert names(artifact.signature.inputs) == ["r_ids/values", "r_age", "m_rows/values", "m_scale"]
    rows = tf.ragged.constant([[1, 2], [3]], tf.int64)
    with fh.load_frozen(artifact.path) as model:
        assert model(r_ids=rows, r_age=1, m_rows=rows, m_scale=2)["sum"] == 25


@eager
def test_a_saved_model_answers_with_composites(tmp_path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def answers(x):
        return {"y": tf.sparse.from_dense(x), "r": tf.RaggedTensor.from_tensor(x, padding=0)}

    directory = str(tmp_path / "saved")
    tf.saved_model.save(module, directory, signatures=answers)
    artifact = fh.freeze_saved_model(directory, str(tmp_path / "m.pb"))
    outputs = ["r/values", "r/row_splits", "y/indices", "y/values", "y/dense_shape"]
    assert names(artifact.signature.outputs) == outputs
    x = np.array([[1, 2], [3, 0], [0, 0]], np.float32)
    with fh.load_frozen(artifact.path) as model:
        found = model(x)
    assert found["r"].to_list() == answers(x)["r"].to_list()
    np.testing.assert_array_equal(tf.sparse.to_dense(tf.SparseTensor(*found["y"])), x)


def test_sparse_placeholders_of_a_session(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.sparse_placeholder(tf.float32, name="x")
        r = v1.ragged.placeholder(tf.int64, 1, name="r")
        ends = {"y": tf.sparse.sparse_dense_matmul(x, W), "sums": tf.reduce_sum(r, 1)}
        given = v1.SparseTensorValue(np.array([[0, 3], [2, 9]]), np.float32([1, 2]), [3, 10])
        rows = v1.ragged.RaggedTensorValue(np.array([1, 2, 3]), np.array([0, 1, 3]))
        live = session.run(ends, {x: given, r: rows})
        artifact = fh.freeze_session(session, str(tmp_path / "m.pb"), ends)
    assert {"x/indices", "x/values"} <= set(names(artifact.signature.inputs))
    with fh.load_frozen(artifact.path) as model:
        for feeds in ({"x": given, "r": rows}, {"x": given, "r": [[1], [2, 3]]}):
            answers = model(feeds)
            np.testing.assert_array_equal(answers["y"], live["y"])
            np.testing.assert_array_equal(answers["sums"], live["sums"])


def test_a_sparse_signature_of_tensorflow_1(tmp_path):
    directory = str(tmp_path / "saved")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.sparse_placeholder(tf.float32, name="placeholder")
        w = v1.get_variable("w", [10, 3])
        ends = {"y": tf.sparse.sparse_dense_matmul(x, w), "z": tf.sparse.reorder(x)}
        session.run(v1.global_variables_initializer())
        given = v1.SparseTensorValue(np.array([[2, 9], [0, 3]]), np.float32([2, 1]), [3, 10])
        live = session.run(ends, {x: given})
        v1.saved_model.simple_save(session, directory, {"x": x}, ends)
    artifact = fh.freeze_saved_model(directory, str(tmp_path / "m.pb"))
    assert names(artifact.signature.inputs) == ["x/indices", "x/values", "x/dense_shape"]
    with fh.load_frozen(artifact.path) as model:
        answers = model(given)
        np.testing.assert_array_equal(answers["y"], live["y"])
        for part, value in zip(("indices", "values", "dense_shape"), live["z"]):
            np.testing.assert_array_equal(getattr(answers["z"], part), value)


@pytest.mark.skipif(not HAS_KERAS_3, reason="Keras 3 has ragged Input layers since 3.13")
def test_keras_inputs(tmp_path):
    import keras

    path = str(tmp_path / "m.pb")
    start = keras.Input((10,), sparse=True, name="s")
    model = keras.Model(start, keras.layers.Dense(3)(start))
    given = tf.sparse.from_dense(np.eye(4, 10, dtype=np.float32) * 2)
    artifact = fh.freeze_keras_model(model, path)
    assert names(artifact.signature.inputs) == ["s/indices", "s/values", "s/dense_shape"]
    (answer,) = fh.load_frozen(path)(given).values()
    np.testing.assert_allclose(answer, model(given), 1e-6, 1e-6)

    class Sums(keras.Model):
        def call(self, x):
            return {"sum": tf.reduce_sum(x["r"], 1) + tf.sparse.reduce_sum(x["s"], 1)}

    specs = {"r": tf.RaggedTensorSpec([None, None], tf.float32), "s": SPARSE}
    x = {"r": tf.ragged.constant([[1.0, 2.0], [3.0]]), "s": tf.sparse.eye(2, 10)}
    artifact = fh.freeze_keras_model(Sums(), path, input_signature=specs)
    parts = ["r/values", "r/row_splits", "s/indices", "s/values", "s/dense_shape"]
    assert names(artifact.signature.inputs) == parts
    assert fh.load_frozen(path)(x)["sum"].tolist() == [4, 4]
