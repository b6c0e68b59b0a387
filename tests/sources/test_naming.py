"""What the inputs and outputs of functions are called, and that each name is the right one."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import TF1

import freeze_hooks as fh

pytestmark = pytest.mark.skipif(TF1, reason="works eagerly")
X = np.array([[1, 2], [3, 0]], np.float32)
SPEC = tf.TensorSpec([None, 2], tf.float32, "x")


def names_of(plan):
    return [tensor.name for tensor in plan.signature.outputs]


def nested(x):
    inner = tf.RaggedTensor.from_row_splits(tf.reshape(x, [-1]), [0, 1, 4, 4])
    return tf.RaggedTensor.from_row_splits(inner, [0, 2, 3])


@pytest.mark.parametrize("verify", [None, True])
def test_composite_outputs_are_several_and_none_is_nothing(verify, clean, tmp_path):
    def answers(x):
        found = {"sparse": tf.sparse.from_dense(x), "nested": nested(x), "z": [None, x * 2.0]}
        return {**found, "state": None, "none": {"a": None}}

    plan = fh.plan_function(answers, input_signature=[SPEC], verify=verify)
    names = ["nested/values", "nested/row_splits", "nested/row_splits_1"]
    names += ["sparse/indices", "sparse/values", "sparse/dense_shape", "z_1"]
    assert names_of(plan) == names
    plan.write(str(tmp_path / "f.pb"))
    live = answers(tf.constant(X))
    splits = [tensor.numpy() for tensor in live["nested"].nested_row_splits]
    sparse = [live["sparse"].indices, live["sparse"].values, live["sparse"].dense_shape]
    expected = [live["nested"].flat_values, *splits, *sparse, live["z"][1]]
    found = clean.run(tmp_path / "f.pb", {"x:0": X}, [name + ":0" for name in names])
    for answer, tensor in zip(found, expected):
        np.testing.assert_array_equal(answer, np.asarray(tensor))


def test_outputs_by_position():
    plan = fh.plan_function(lambda x: (x + 1, None, nested(x)), input_signature=[SPEC])
    names = ["output_0", "output_1/values", "output_1/row_splits", "output_1/row_splits_1"]
    assert names_of(plan) == names


def test_names_that_are_given_are_as_many_as_there_are_tensors():
    def answers(x):
        return {"y": x * 2.0, "state": None}

    plan = fh.plan_function(answers, input_signature=[SPEC], outputs=["double"])
    assert names_of(plan) == ["double"]
    with pytest.raises(fh.FreezeError, match="outputs= names 2 tensors, but the function has 1"):
        fh.plan_function(answers, input_signature=[SPEC], outputs=["y", "state"])


def test_a_ragged_input(clean, tmp_path):
    specs, path = [tf.RaggedTensorSpec([None, None], tf.float32)], str(tmp_path / "f.pb")

    def summed(r):
        return tf.reduce_sum(r, axis=1)

    feeds = {"r/values": np.array([1, 2, 3], np.float32), "r/row_splits": np.array([0, 2, 3])}
    assert fh.freeze_function(summed, path, input_signature=specs, verify=feeds).max_difference == 0
    fed = {name + ":0": value for name, value in feeds.items()}
    assert clean.run(path, fed, ["output_0:0"])[0].tolist() == [3, 3]
    assert fh.freeze_function(summed, path, input_signature=specs, verify=True).max_difference == 0


class Doubling(tf.Module):
    @tf.function
    def double(self, x, times=2):
        return {"y": x * tf.cast(times, x.dtype)}


def test_a_variable_that_is_an_argument():
    function = tf.function(lambda x, w: x * w)
    concrete = function.get_concrete_function(SPEC, tf.Variable([1.0, 2.0], name="weight"))
    with pytest.raises(fh.NotFreezableError, match=r"is a resource.*without passing it"):
        fh.plan_function(concrete)


def test_the_only_trace_of_a_function_is_taken(clean, tmp_path):
    module = Doubling()
    with pytest.raises(fh.FreezeError, match="not clear, for it has none: give input_signature="):
        fh.plan_function(module.double)
    for _ in range(2):
        module.double(tf.constant(X))
    fh.freeze_function(module.double, str(tmp_path / "f.pb"), verify=True)
    np.testing.assert_array_equal(clean.run(tmp_path / "f.pb", {"x:0": X}, ["y:0"])[0], 2 * X)
    module.double(tf.constant(X), 3)
    with pytest.raises(fh.FreezeError, match="not clear, for it has 2: give input_signature="):
        fh.plan_function(module.double)


def test_a_function_that_makes_its_variable_at_the_first_call():
    made = []

    @tf.function
    def scaled(x):
        if not made:
            made.append(tf.Variable(3.0, name="scale"))
        return x * made[0]

    scaled(tf.constant(X))
    assert [tensor.name for tensor in fh.plan_function(scaled).signature.inputs] == ["x"]
