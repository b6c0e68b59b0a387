"""Gradients of TensorFlow 1's loops pop from stacks what the loop pushed, so order matters."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import TF1
from frozen_files import read_graph_def

import freeze_hooks as fh
from freeze_hooks import graph_util

v1 = tf.compat.v1
pytestmark = pytest.mark.usefixtures("control_flow_v1")
X = np.random.RandomState(0).randn(4, 3).astype(np.float32)


def repeated(times, step, x):
    return v1.while_loop(lambda i, a: i < times, lambda i, a: (i + 1, step(i, a)), [0, x])[1]


def simple(x, w):
    return repeated(3, lambda i, a: tf.tanh(tf.matmul(a, w)), x)


def nested(x, w):
    def step(i, a):
        return repeated(i + 2, lambda j, b: tf.tanh(tf.matmul(b, w)), a) * 1.5

    return repeated(3, step, x)


def conditional_in_a_loop(x, w):
    def step(i, a):
        return tf.cond(i % 2 > 0, lambda: tf.sin(tf.matmul(a, w)), lambda: tf.tanh(a))

    return repeated(4, step, x)


def loop_in_a_conditional(x, w):
    return tf.cond(tf.reduce_sum(x) > -99.0, lambda: simple(x, w), lambda: x * 2.0)


def two_loops(x, w):
    return simple(tf.sin(simple(x, w)), w)


def mapped(x, w):
    return tf.map_fn(lambda row: tf.tanh(tf.reduce_sum(w * row, 1)), x)


def scanned(x, w):
    return tf.scan(lambda a, row: tf.tanh(a + tf.reduce_sum(w * row, 1)), x)


BUILDS = [
    simple,
    nested,
    conditional_in_a_loop,
    loop_in_a_conditional,
    two_loops,
    mapped,
    scanned,
]


def loop_and_gradients(build, resource):
    if resource and build is conditional_in_a_loop and TF1:
        pytest.skip("it has no gradients for a handle in there")
    x = v1.placeholder(tf.float32, [None, 3], "x")
    w = v1.get_variable("w", [3, 3], use_resource=resource)
    y = tf.identity(build(x, w), name="y")
    dx, dw = tf.gradients(tf.reduce_sum(y**2), [x, w])
    tf.identity(dx, name="dx")
    tf.identity(dw, name="dw")


@pytest.mark.parametrize("arguments", [{}, {"optimize": True}], ids=["plain", "optimized"])
@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_gradients(build, resource, arguments, graph, clean, tmp_path):
    path = str(tmp_path / "a.pb")
    with v1.Session() as session:
        loop_and_gradients(build, resource)
        session.run(v1.global_variables_initializer())
        for outputs in (["dx"], ["dw"], ["y", "dx", "dw"]):
            fetches = [name + ":0" for name in outputs]
            fh.freeze_session(session, path, outputs, **arguments)
            live = session.run(fetches, {"x:0": X})
            for ours, theirs in zip(clean.run(path, {"x:0": X}, fetches), live):
                np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_gradients_by_graph_util(build, graph, clean, tmp_path):
    path = tmp_path / "a.pb"
    with v1.Session() as session:
        loop_and_gradients(build, True)
        session.run(v1.global_variables_initializer())
        frozen = graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["dx"])
        path.write_bytes(frozen.SerializeToString())
        live = session.run("dx:0", {"x:0": X})
    np.testing.assert_allclose(clean.run(path, {"x:0": X}, ["dx:0"])[0], live, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_what_a_loop_gives_needs_no_stack(build, graph, tmp_path):
    path = str(tmp_path / "a.pb")
    with v1.Session() as session:
        loop_and_gradients(build, True)
        session.run(v1.global_variables_initializer())
        assert any(node.op.startswith("Stack") for node in graph.as_graph_def().node)
        fh.freeze_session(session, path, ["y"])
    assert [n.name for n in read_graph_def(path).node if n.op.startswith("Stack")] == []
