"""A traced function that reads what it has assigned: frozen as its next call would answer."""

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

pytestmark = pytest.mark.skipif(tf.__version__.startswith("1."), reason="eager execution")


def function(body):
    return tf.function(body, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])


def test_reads_follow_the_assignments_before_them(clean, tmp_path):
    v, other = tf.Variable(3.0, name="v"), tf.Variable(5.0)

    @function
    def draw(x):
        first = v + 0.0
        v.assign(v * 2.0)
        second = v + other
        other.assign(x[0])
        v.assign(second + other)
        return {"all": tf.stack([first, second, v + 0.0, other + 0.0])}

    plan = fh.plan_function(draw)
    for _ in range(2):
        artifact = plan.write(str(tmp_path / "draw.pb"))
        x = np.array([7.0], np.float32)
        (got,) = clean.run(artifact.path, {"x:0": x}, ["all:0"])
        np.testing.assert_array_equal(got, draw(tf.constant(x))["all"])
    assert v.numpy() == 50.0  # each file is of what the call before it left


@pytest.mark.parametrize("change", ["add", "branch"])
def test_other_changes_are_refused(change):
    v = tf.Variable(3.0, name="v")

    @function
    def changed(x):
        if change == "add":
            v.assign_add(x[0])
        else:
            tf.cond(x[0] > 0.0, lambda: v.assign(x[0]), lambda: v.assign(-x[0]))
        return x * v

    with pytest.raises(fh.NotFreezableError, match=r"'v' after .* changed it"):
        fh.plan_function(changed)
