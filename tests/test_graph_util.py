"""graph_util: TensorFlow's signatures, our conversion."""

import inspect
import json
import os

import numpy as np
import pytest
import started
import tensorflow as tf
from control_flow import control_flow
from places import PROGRAMS

import freeze_hooks as fh
from freeze_hooks import graph_util

v1 = tf.compat.v1
PROGRAM = os.path.join(PROGRAMS, "converted.py")
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def convert(session, outputs, **lists):
    return graph_util.convert_variables_to_constants(
        session, session.graph.as_graph_def(), outputs, **lists
    )


def run(graph_def, tensor, feeds=None, before=()):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.import_graph_def(graph_def, name="")
        session.run(list(before))
        return session.run(tensor, feeds)


def net(resource):
    """y = relu(x w) v + b, once trained."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    with v1.variable_scope("net", use_resource=resource):
        w, v = v1.get_variable("w", [3, 4]), v1.get_variable("v", [4, 2])
        b = v1.get_variable("b", [2])
    y = tf.add(tf.matmul(tf.nn.relu(tf.matmul(x, w)), v), b, name="y")
    train = v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(y**2))
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    session.run(train, {x: X})
    return session


def by_op(graph_def, *ops):
    return sorted(node.name for node in graph_def.node if node.op in ops)


@pytest.fixture(params=[False, True], ids=["ref", "resource"])
def session(graph, request):
    with net(request.param) as made:
        yield made


@pytest.mark.parametrize("finalized", [False, True])
def test_the_frozen_graph_answers_as_the_session_does(session, finalized):
    if finalized:
        session.graph.finalize()
    frozen = convert(session, ["y"])
    assert by_op(frozen, "Variable", "VariableV2", "VarHandleOp", "ReadVariableOp") == []
    assert {"net/w", "net/v", "net/b"} <= set(by_op(frozen, "Const"))
    live = session.run("y:0", {"x:0": X})
    np.testing.assert_array_equal(run(frozen, "y:0", {"x:0": X}), live)
    assert not any(key.startswith("_") for node in frozen.node for key in node.attr)


@pytest.mark.parametrize(
    "lists",
    [
        {"variable_names_whitelist": ["net/w"]},
        {"variable_names_blacklist": {"net/v", "net/b"}},
        {"variable_names_whitelist": ["net/w", "net/b"], "variable_names_blacklist": ["net/b"]},
    ],
)
def test_variables_that_stay(session, lists):
    """They keep their names, dtypes and shapes, so that a Saver or an assignment can fill them."""
    frozen = convert(session, ["y"], **lists)
    assert by_op(frozen, "VariableV2", "VarHandleOp") == ["net/b", "net/v"]
    assert "net/w" in by_op(frozen, "Const")
    live = session.run("y:0", {"x:0": X})
    values = session.run(
        {
            name: f"net/{name}/Read/ReadVariableOp:0" if _is_resource(session) else f"net/{name}:0"
            for name in "vb"
        }
    )
    with tf.Graph().as_default(), v1.Session() as fresh:
        v1.import_graph_def(frozen, name="")
        for name, value in values.items():
            handle = fresh.graph.get_tensor_by_name(f"net/{name}:0")
            if handle.dtype == tf.resource:
                assign = tf.raw_ops.AssignVariableOp(resource=handle, value=value)
            else:
                assign = tf.raw_ops.Assign(ref=handle, value=value)
            fresh.run(assign)
        np.testing.assert_array_equal(fresh.run("y:0", {"x:0": X}), live)


def _is_resource(session):
    return session.graph.get_tensor_by_name("net/w:0").dtype == tf.resource


@pytest.mark.parametrize("resource", [False, True])
def test_what_writes_a_variable_that_stays_goes_on_writing_it(graph, resource):
    """As TensorFlow's test_resource_variable_can_be_written_after_denylisting has it."""
    with v1.variable_scope("", use_resource=resource):
        v = v1.get_variable("v", initializer=1.0)
        w = v1.get_variable("w", initializer=2.0)
    with tf.control_dependencies([v1.assign(v, v + w)]):
        tf.identity(v, name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        frozen = convert(session, ["y", v.initializer.name], variable_names_blacklist=["v"])
    assert "w" in by_op(frozen, "Const")
    with tf.Graph().as_default(), v1.Session() as fresh:
        v1.import_graph_def(frozen, name="")
        fresh.run(v.initializer.name)
        assert [fresh.run("y:0") for _ in range(2)] == [3.0, 5.0]


def test_a_part_of_the_graph(session):
    """input_graph_def may be a sub-graph, as extract_sub_graph makes it."""
    part = v1.graph_util.extract_sub_graph(session.graph.as_graph_def(), ["y"])
    frozen = graph_util.convert_variables_to_constants(session, part, ("y", "x", "y"))
    live = session.run("y:0", {"x:0": X})
    np.testing.assert_array_equal(run(frozen, "y:0", {"x:0": X}), live)
    assert "x" in by_op(frozen, "Placeholder")


def test_errors_are_those_that_callers_catch(session):
    graph_def = session.graph.as_graph_def()
    with pytest.raises(AssertionError, match=r"'yy'.*'y'") as raised:
        graph_util.convert_variables_to_constants(session, graph_def, ["yy"])
    assert isinstance(raised.value, fh.FreezeError)
    with pytest.raises(TypeError, match="list of names"):
        graph_util.convert_variables_to_constants(session, graph_def, "y")
    with pytest.raises(TypeError, match="must be a GraphDef"):
        graph_util.convert_variables_to_constants(session, session.graph, ["y"])
    with v1.Session(graph=session.graph) as empty, pytest.raises(tf.errors.FailedPreconditionError):
        convert(empty, ["y"])
    with tf.Graph().as_default(), v1.Session() as other, pytest.raises(
        AssertionError, match=r"session's graph lacks.*net/"
    ):
        graph_util.convert_variables_to_constants(other, graph_def, ["y"])


@pytest.mark.parametrize("v2", [False, True])
def test_control_flow(graph, v2):
    """Also with a variable that stays, used within branches and loops."""
    with control_flow(v2), v1.variable_scope("", use_resource=True), v1.Session() as session:
        gone, stays = v1.get_variable("gone", [2]), v1.get_variable("stays", [2])
        on = v1.placeholder(tf.bool, [], "on")
        chosen = tf.cond(on, lambda: gone * stays, lambda: gone - stays)
        tf.identity(
            v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + stays), (0, chosen))[1],
            name="y",
        )
        session.run(v1.global_variables_initializer())
        value = session.run(stays)
        for on in (True, False):
            live = session.run("y:0", {"on:0": on})
            assert np.array_equal(run(convert(session, ["y"]), "y:0", {"on:0": on}), live)
        kept = convert(session, ["y"], variable_names_blacklist=["stays"])
    assert by_op(kept, "VarHandleOp") == ["stays"]
    with tf.Graph().as_default(), v1.Session() as fresh:
        v1.import_graph_def(kept, name="")
        handle = fresh.graph.get_tensor_by_name("stays:0")
        fresh.run(tf.raw_ops.AssignVariableOp(resource=handle, value=value))
        np.testing.assert_array_equal(fresh.run("y:0", {"on:0": False}), live)


def test_arguments_are_tensorflows():
    """In its order, so that positional calls mean the same."""
    for name in ("convert_variables_to_constants", "convert_variables_to_constants_v2"):
        ours = inspect.signature(getattr(graph_util, name)).parameters
        from tensorflow.python.framework import convert_to_constants, graph_util_impl

        theirs = getattr(convert_to_constants, name, None) or getattr(graph_util_impl, name)
        theirs = inspect.signature(theirs).parameters
        both = list(zip(ours.values(), theirs.values()))  # TensorFlow 1.15 has fewer
        assert all(a.name == b.name and a.default == b.default for a, b in both)
        assert 2 <= len(theirs) <= len(ours)


@pytest.fixture(scope="module")
def converted():
    return json.loads(started.run([PROGRAM]).stdout.splitlines()[-1])


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize(
    "name",
    ["plain", "many", "branches", "loop", "another_loop", "nested", "dtypes", "loaded", "placed"]
    + ["ported"],
)
def test_concrete_functions(converted, name, lower):
    said = converted[f"{name} {lower}"]
    assert said["result"] == said["live"]
    captured = len(said["before"]) - len(said["inputs"])
    assert captured == {"loaded": 1}.get(name, captured) > 0  # and one that has no handle
    assert said["inputs"] == said["before"][: len(said["inputs"])]
    assert [dtype for _, dtype in said["outputs"]] == [d for _, d in said["outputs before"]]
    assert said["outputs"] == said["outputs before"]
    assert said["theirs"] in (None, said["outputs"])
    assert said["captures"] == 0
    ops = set(said["ops"])
    assert not ops & {
        "VarHandleOp",
        "ReadVariableOp",
        "ResourceGather",
        "StatefulPartitionedCall",
        "VariableV2",
    }
    functional = {"If", "StatelessIf", "While", "StatelessWhile"}
    if name in ("branches", "loop", "another_loop"):
        assert bool(ops & functional) is not lower
        assert bool(ops & {"Switch", "RefSwitch"}) is lower
    theirs = {
        "Exp": "/device:CPU:0",
        "Sin": "/device:CPU:0",
        "Mul": "/job:localhost/device:CPU:0",
        "Relu": "/job:localhost/device:CPU:0",
    }
    said["devices"].pop("Identity", None)  # TensorFlow 1.15 places what a function returns
    assert said["devices"] == (theirs if name == "placed" else {})
