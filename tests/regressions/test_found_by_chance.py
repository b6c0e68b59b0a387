"""Bugs that random graphs (test_random_graphs.py) found, each as small as possible."""

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import read_graph_def

import freeze_hooks as fh

v1 = tf.compat.v1
LIMITED = v1.RunOptions(timeout_in_ms=20000)  # a wrong graph might never end
X = np.arange(4, dtype=np.float32).reshape(2, 2)


@pytest.mark.parametrize("chosen", [False, True])
def test_a_reference_that_a_decided_branch_asks_about(chosen, control_flow_v1, graph, tmp_path):
    """The folded RefSwitch must pass on the variable, not its value."""
    v = v1.get_variable("v", [3], use_resource=False, initializer=v1.ones_initializer())
    flag = v1.placeholder(tf.bool, [], "flag")
    tf.cond(flag, lambda: v1.is_variable_initialized(v), lambda: tf.size(v) > 5, name="y")
    with v1.Session() as session:
        session.run(v.initializer)
        path = str(tmp_path / "a.pb")
        fh.freeze_session(session, path, {"y": "y/Merge"}, bind={flag: chosen})
    assert fh.load_frozen(path)()["y"] == chosen


def test_a_second_output_that_is_cut_leaves_other_nodes_their_names(graph, clean, tmp_path):
    first = tf.split(v1.placeholder(tf.float32, [2, 4]), 2, axis=1, name="split")
    tf.split(first[1] + 1.0, 2, axis=1, name="split_1")
    path = str(tmp_path / "split.pb")
    with v1.Session() as session:
        outputs = ["split_1:0", "split_1:1"]
        (fed,) = fh.freeze_session(session, path, outputs, inputs=["split:1"]).signature.inputs
    left, right = clean.run(path, {fed.tensor: X}, outputs)
    np.testing.assert_array_equal(left, X[:, :1] + 1)
    np.testing.assert_array_equal(right, X[:, 1:] + 1)


def test_an_input_may_have_the_name_of_an_output(graph, tmp_path):
    x = v1.placeholder(tf.float32, [2, 4], name="x")
    tf.add(x, 1.0, name="y")
    path = str(tmp_path / "y.pb")
    with v1.Session() as session:
        fh.freeze_session(session, path, ["y"], inputs={"y": x})
    found = fh.load_frozen(path)(y=np.ones([2, 4], np.float32))
    np.testing.assert_array_equal(found["y"], np.full([2, 4], 2.0))


def test_a_tensor_that_is_input_and_output(graph, tmp_path):
    x = v1.placeholder(tf.float32, [2], "x")
    h = tf.multiply(x, v1.get_variable("v", [2]), name="h")
    tf.identity(h * 2.0, name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = str(tmp_path / "a.pb")
        fh.freeze_session(session, path, ["y", "h"], inputs=["h"])
    with fh.load_frozen(path) as model:
        got = model(h=np.array([1.0, 2.0], np.float32))
    assert got["h"].tolist() == [1.0, 2.0] and got["y"].tolist() == [2.0, 4.0]


def endless_unless_gated(kind, x, t):
    """A loop body that computes a loop variable's next value only from an invariant."""

    @tf.function(autograph=False)
    def same(t):
        return t

    @tf.function(autograph=False)
    def doubled(t):
        return 2.0 * t

    @tf.function(autograph=False)
    def second(x, t):
        return 2.0 * t

    made = {
        "call": lambda: doubled(t),
        "same": lambda: tf.negative(same(t)),
        "beside": lambda: second(x, t),
        "if": lambda: tf.raw_ops.StatelessIf(
            cond=tf.reduce_sum(t) > 0.0,
            input=[t],
            Tout=[tf.float32],
            output_shapes=[[2]],
            then_branch=doubled.get_concrete_function(tf.TensorSpec([2])),
            else_branch=same.get_concrete_function(tf.TensorSpec([2])),
        )[0],
    }
    return made[kind]()


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("kind", ["call", "same", "beside", "if"])
def test_calls_in_a_loop_with_its_invariants(kind, lower, control_flow_v1, graph, tmp_path):
    """A node that takes only invariants runs in each iteration, also after the last."""
    x, v = v1.placeholder(tf.float32, [2], "x"), v1.get_variable("v", [2])
    t = x + v
    tf.while_loop(
        lambda i, y: i < 3,
        lambda i, y: [i + 1, endless_unless_gated(kind, y, t)],
        [tf.constant(0), x],
        name="loop",
    )
    feed = np.array([3.0, 4.0], np.float32)
    path = str(tmp_path / "loop.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("loop/Exit_1:0", {x: feed}, options=LIMITED)
        fh.freeze_session(session, path, {"y": "loop/Exit_1"}, lower_control_flow=lower)
    graph_def = read_graph_def(path)
    with tf.Graph().as_default():
        v1.import_graph_def(graph_def, name="")
        with v1.Session() as session:
            got = session.run("y:0", {"x:0": feed}, options=LIMITED)
    np.testing.assert_array_equal(got, live)
