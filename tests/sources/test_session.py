"""Graphs that people train, frozen from a live session: the file answers as the session did."""

import re

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def
from graph_zoo import (
    GRAPHS,
    batch_norm_updates,
    case_bound,
    conditional_bound_true,
    functions_bound,
    switch_case_bound,
    v1,
)

import freeze_hooks as fh

GONE = re.compile(r"Variable|VarHandle|Assign|Resource|^Ref|^Var")


@pytest.fixture(params=["control_flow_v1", "control_flow_v2"])
def flow(request):
    with control_flow(request.param.endswith("v2")):
        yield request.param


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_file_answers_as_the_session(build, resource, flow, graph, clean, tmp_path):
    with v1.variable_scope("", use_resource=resource):
        arguments, feeds, *more = build()
    fixed, live_names = (more + [{}, None][len(more) :])[:2]
    path = str(tmp_path / "frozen.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        outputs = [getattr(o, "name", o) for o in arguments["outputs"]]
        fetches = [o if ":" in o else o + ":0" for o in outputs]
        live = [session.run(live_names or fetches, dict(feed, **fixed)) for feed in feeds]
        fh.freeze_session(session, path, **arguments)
    for feed, values in zip(feeds, live):
        for name, ours, theirs in zip(fetches, clean.run(path, feed, fetches), values):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6, err_msg=name)
    assert_only_plain_ops(path)


def assert_only_plain_ops(path):
    graph_def = read_graph_def(path)
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes += function.node_def
    assert [n.op for n in nodes if GONE.search(n.op)] == []
    assert [n.name for n in nodes if n.device or "_class" in n.attr] == []


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize(
    "build",
    [conditional_bound_true, case_bound, switch_case_bound, functions_bound, batch_norm_updates],
    ids=lambda build: build.__name__,
)
def test_bound_conditionals_leave_no_control_flow(build, resource, flow, graph, tmp_path):
    with v1.variable_scope("", use_resource=resource):
        arguments = build()[0]
    ops = fh.check(graph, **arguments).ops
    assert not {"Switch", "Merge", "If", "StatelessIf", "Case", "PartitionedCall"} & set(ops)


@pytest.mark.skipif(tf.__version__.startswith("1."), reason="it lacks the attribute")
def test_attributes_that_older_versions_lack(graph, tmp_path):
    """These attributes are written only if their values are not the defaults."""
    x, w = v1.placeholder(tf.float32, [1, 4, 4, 1], "x"), v1.get_variable("w", [1, 3])
    windows = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1]}
    same = tf.raw_ops.MaxPool(input=x, padding="SAME", name="same", **windows)
    paddings = [0, 0, 1, 1, 1, 1, 0, 0]
    explicit = tf.raw_ops.MaxPool(
        input=same, padding="EXPLICIT", explicit_paddings=paddings, name="explicit", **windows
    )
    tf.matmul(tf.reshape(explicit, [4, 1]), w, name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, str(tmp_path / "a.pb"), ["y"])
    nodes = {node.name: node.attr for node in read_graph_def(tmp_path / "a.pb").node}
    assert "explicit_paddings" not in nodes["same"] and "grad_a" not in nodes["y"]
    assert list(nodes["explicit"]["explicit_paddings"].list.i) == paddings
