"""The file of a function that reads what it has assigned answers as its next call would."""

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
    assert v.numpy() == 50.0  # each file has the values that the call before it left


def test_reads_follow_what_is_added(clean, tmp_path):
    v, count = tf.Variable([3.0, 4.0], name="v"), tf.Variable(0.0, name="count")

    @function
    def added(x):
        count.assign_add(1.0)
        v.assign_sub(x)
        first = v + 0.0
        v.assign(v * 2.0)
        v.assign_add([1.0, count])
        return {"first": first, "v": v + 0.0, "count": count + 0.0}

    plan = fh.plan_function(added)
    (finding,) = plan.findings
    assert finding.kind == "state" and finding.nodes == ("count", "v")
    assert "argument" in finding.remedy
    for step in range(3):
        artifact = plan.write(str(tmp_path / "added.pb"))
        x = np.array([7.0, step], np.float32)
        got = clean.run(artifact.path, {"x:0": x}, ["first:0", "v:0", "count:0"])
        live = added(tf.constant(x))
        for name, array in zip(("first", "v", "count"), got):
            np.testing.assert_array_equal(array, live[name])


def test_other_changes_are_refused():
    v = tf.Variable(3.0, name="v")

    @function
    def changed(x):
        tf.cond(x[0] > 0.0, lambda: v.assign(x[0]), lambda: v.assign(-x[0]))
        return x * v

    with pytest.raises(fh.NotFreezableError, match=r"'v' after .* changed it"):
        fh.plan_function(changed)


def test_state_that_a_module_assigns_is_told_of(tmp_path, warnings_logged):
    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.ones([2, 2]), name="w")
            self.state = tf.Variable(tf.zeros([2]), name="state")
            self.seen = tf.Variable(0.0, name="seen")

        @tf.function(input_signature=[tf.TensorSpec([2], name="x")])
        def __call__(self, x):
            y = tf.linalg.matvec(self.w, x) + self.state
            self.state.assign(y)
            self.seen.assign_add(1.0)  # no answer reads this
            return y

    net = Net()
    (finding,) = fh.plan_function(net.__call__).findings
    assert finding.kind == "state" and finding.nodes == ("state",)
    tf.saved_model.save(net, str(tmp_path / "saved"))
    fh.freeze_saved_model(str(tmp_path / "saved"), str(tmp_path / "saved.pb"))
    (said,) = [m for m in warnings_logged if "state" in m]
    assert "its new value" in said
