"""Outputs that use the result of an assignment to a reference variable."""

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import read_graph_def
from tensorflow.python.training.moving_averages import assign_moving_average

import freeze_hooks as fh

v1 = tf.compat.v1
pytestmark = pytest.mark.usefixtures("control_flow_v1")
X = np.random.RandomState(0).randn(6, 4).astype(np.float32)


def variable(name="v", shape=(4,)):
    return v1.get_variable(name, list(shape), use_resource=False)


def moving_average(x):
    """Return x minus the new mean, as in tf.contrib's batch norm without UPDATE_OPS."""
    mean = assign_moving_average(variable(), tf.reduce_mean(x, 0), 0.9, zero_debias=False)
    return x - mean


def added(x):
    return x * v1.assign_add(variable(), tf.reduce_sum(x, 0))


def replaced(x):
    return x + v1.assign(variable(), tf.reduce_max(x, 0)) * 2.0


def of_its_own_value(x):
    v = variable()
    return x * v1.assign(v, tf.nn.softmax(v + tf.reduce_mean(x, 0)))


def two_variables(x):
    return x * v1.assign_sub(variable(), tf.reduce_sum(x, 0)) + v1.assign_add(
        variable("w"), tf.ones([4])
    )


def in_a_branch(x):
    """The flag is not bound: the file still chooses the branch."""
    v, flag = variable(), v1.placeholder_with_default(True, [], "flag")
    return x + tf.cond(flag, lambda: v1.assign_add(v, tf.ones([4])), lambda: tf.zeros([4]))


CASES = [moving_average, added, replaced, of_its_own_value, two_variables, in_a_branch]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_file_answers_as_the_next_step(case, graph, clean, tmp_path, warnings_logged):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    tf.identity(case(x), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for _ in range(2):
            session.run("y:0", {"x:0": X[:3]})
        fh.freeze_session(session, str(tmp_path / "a.pb"), ["y"])
        live = session.run("y:0", {"x:0": X})
    for _ in range(2):  # the file has no state
        (got,) = clean.run(tmp_path / "a.pb", {"x:0": X}, ["y:0"])
        np.testing.assert_allclose(got, live, rtol=1e-6, atol=1e-6)
    assert not any("Assign" in n.op or n.op.startswith("Ref") for n in read_nodes(tmp_path))
    assert any("updates of variables go into the outputs" in m for m in warnings_logged)


def read_nodes(directory):
    return read_graph_def(directory / "a.pb").node


def two_assignments(x):
    v = variable()
    return v1.assign_add(v1.assign(v, tf.ones([4])), tf.reduce_sum(x, 0))


def read_beside(x):
    v = variable()
    return v1.assign_add(v, tf.reduce_sum(x, 0)) * v


def read_again(x):
    """The first read shares the variable's memory, which the assignment changes."""
    v = variable()
    read = tf.identity(v)
    return v1.assign_add(v, read + tf.reduce_sum(x, 0)) * tf.reshape(read, [4])


def given_as_well(x):
    v = variable()
    tf.identity(v, name="also")
    return v1.assign_add(v, tf.reduce_sum(x, 0))


def in_a_loop(x):
    v = variable()
    return v1.while_loop(lambda i, t: i < 3, lambda i, t: [i + 1, v1.assign_add(v, t)], [0, x[0]])[
        1
    ]


@pytest.mark.parametrize(
    "case, named",
    [
        (two_assignments, "AssignAdd.*'Assign|Assign.*'AssignAdd'"),
        (read_beside, "AssignAdd.*Mul 'mul'"),
        (read_again, "AssignAdd.*Mul 'mul'"),
        (given_as_well, "AssignAdd.*Identity 'also'"),
        (in_a_loop, "AssignAdd 'while/AssignAdd'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_unclear_orders_are_refused(case, named, graph):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    tf.identity(case(x), name="y")
    outputs = ["y", "also"] if case is given_as_well else ["y"]
    with pytest.raises(fh.NotFreezableError, match=named) as raised:
        fh.check(graph, outputs)
    assert "variable 'v'" in str(raised.value)


@pytest.mark.parametrize("kind", ["branch", "loop", "called"])
def test_reads_after_updates_that_no_output_of_a_branch_needs(kind, graph, tmp_path):
    """The later read waits for a conditional or loop that only changes the variable."""
    x = v1.placeholder(tf.float32, [2], "x")
    with v1.variable_scope("", use_resource=True):
        v = v1.get_variable("v", initializer=[1.0, 2.0])

    @tf.function
    def add():
        v.assign_add([5.0, 5.0])

    @tf.function
    def serve(x):
        if kind == "branch":
            if tf.reduce_sum(x) < 100:
                v.assign_add([5.0, 5.0])
        elif kind == "loop":
            for _ in tf.range(3):
                v.assign_add([5.0, 5.0])
        elif tf.reduce_sum(x) < 100:
            add()
        return x * v

    y = tf.identity(serve(x), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        assert session.run(y, {x: [1, 1]}).tolist() != [1, 2]
        with pytest.raises(fh.NotFreezableError, match=r"reads variable 'v' after .*(If|While)"):
            fh.freeze_session(session, str(tmp_path / "a.pb"), ["y"])
