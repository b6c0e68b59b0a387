"""verify= for functions of ragged and sparse tensors, with random feeds and with a user's own."""

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

if tf.__version__.startswith("1."):
    pytest.skip("tf.function came with TensorFlow 2", allow_module_level=True)


class Bags(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable([1.0, 2.0, 3.0, 4.0])

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int64)])
    def ragged(self, x):
        return {"y": tf.reduce_sum(tf.gather(self.weights, x), axis=1)}

    @tf.function(
        input_signature=[
            tf.RaggedTensorSpec([None, None, None], tf.int64),
            tf.TensorSpec([None], tf.float32),
        ]
    )
    def ragged_twice(self, x, factor):
        rows = tf.reduce_sum(tf.gather(self.weights, x), axis=2)
        return {"y": tf.reduce_sum(rows, axis=1) * factor}

    @tf.function(input_signature=[tf.RaggedTensorSpec([3, None], tf.float32)])
    def of_three_rows(self, x):
        return {"y": x.to_tensor() * 2.0, "more": x + 1.0}

    @tf.function(input_signature=[tf.SparseTensorSpec([None, 4], tf.float32)])
    def sparse(self, x):
        return {"y": tf.sparse.sparse_dense_matmul(x, self.weights[:, None])}


RAGGED = tf.ragged.constant([[1, 2], [], [3]], dtype=tf.int64)
SPARSE = tf.sparse.from_dense([[1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 3.0, 0.0]])


@pytest.mark.parametrize("name", ["ragged", "ragged_twice", "of_three_rows", "sparse"])
def test_random_feeds_fit(name, tmp_path):
    bags = Bags()  # a bound tf.function keeps no strong reference to it
    artifact = fh.freeze_function(getattr(bags, name), str(tmp_path / "f.pb"), verify=True)
    assert artifact.max_difference <= 1e-5


@pytest.mark.parametrize("name, value", [("ragged", RAGGED), ("sparse", SPARSE)])
def test_a_whole_tensor_may_be_fed(name, value, tmp_path):
    bags, path = Bags(), str(tmp_path / "f.pb")
    artifact = fh.freeze_function(getattr(bags, name), path, verify={"x": value})
    assert artifact.max_difference <= 1e-5
    with fh.load_frozen(path) as model:
        np.testing.assert_allclose(model(x=value)["y"], getattr(bags, name)(value)["y"])


def test_a_name_that_is_none_of_them(tmp_path):
    bags = Bags()
    with pytest.raises(fh.UnknownNameError, match="x/values"):
        fh.freeze_function(bags.ragged, str(tmp_path / "f.pb"), verify={"z": RAGGED})
