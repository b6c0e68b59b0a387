"""On every route, a file has as many of each op as the files of TensorFlow's own converters."""

import collections
import json
import os

import numpy as np
import pytest
import started
import tensorflow as tf
from control_flow import control_flow
from fitting import DIGITS, KERASES, TF1, classifier, fit, keras_of
from frozen_files import read_graph_def
from places import PROGRAMS

import freeze_hooks as fh
from freeze_hooks import freeze_graph, graph_util

v1 = tf.compat.v1
PROGRAM = os.path.join(PROGRAMS, "counted.py")
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
HEAVY = frozenset(
    ("Conv2D", "MatMul", "BatchMatMulV2", "Einsum", "Softmax", "Tanh", "GatherV2", "GatherNd")
    + ("LookupTableFindV2", "While", "StatelessWhile", "If", "StatelessIf", "FusedBatchNormV3")
    + ("Sum", "Mul", "Range")
)


def assert_no_more(ops, theirs):
    """Assert equal counts of each op in HEAVY, and no more nodes in all than TensorFlow's file."""
    assert {op: ops.get(op, 0) for op in HEAVY} == {op: theirs.get(op, 0) for op in HEAVY}
    assert sum(ops.values()) <= sum(theirs.values())


def counted(graph_def):
    """Return how often each op occurs in a graph if each call is replaced by its function."""
    functions = {f.signature.name: f.node_def for f in graph_def.library.function}
    ops = collections.Counter()

    def count(nodes):
        for node in nodes:
            called = node.attr["f"].func.name if "f" in node.attr else node.op
            if called in functions:
                count(functions[called])
                continue
            ops[node.op] += 1
            for value in node.attr.values():
                for func in [value.func] if value.HasField("func") else value.list.func:
                    count(functions[func.name])

    count(graph_def.node)
    return ops


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("counted"))
    return json.loads(started.run([PROGRAM, directory]).stdout.splitlines()[-1])


CONVERTED = ["many outputs", "nested", "shared weight"]  # TensorFlow 1.15 can convert these
OTHERS = ["loop", "loop called twice", "calls in loops", "embedding", "same names", "branches"]


@pytest.mark.parametrize("name", CONVERTED + OTHERS)
def test_functions_and_saved_models(name, said):
    """Several outputs, signatures or calls of one function do not repeat any op."""
    assert len(said[name]) == 8
    for route, made in said[name].items():
        assert made["difference"] <= 1e-6, route
        if not TF1 or name in CONVERTED:
            assert_no_more(made["ops"], made["theirs"])


def rows():
    return v1.placeholder(tf.float32, [None, 4], "x")


def weights(*names):
    return [v1.get_variable(name, [4, 4]) for name in names]


def many_outputs():
    x, (w, a, b) = rows(), weights("w", "a", "b")
    h = tf.nn.softmax(tf.matmul(x, w), name="h")
    return [h, tf.matmul(h, a, name="a_out"), tf.matmul(h, b, name="b_out")]


def shared_weight():
    x, (w,) = rows(), weights("w")
    return [tf.matmul(tf.tanh(tf.matmul(x, w)), w, transpose_b=True, name="y")]


def nested_functions():
    x, (w, u) = rows(), weights("w", "u")

    @tf.function
    def inner(h):
        return tf.tanh(tf.matmul(h, w))

    @tf.function
    def outer(h):
        return tf.matmul(inner(inner(h)), u)

    return [tf.identity(outer(x) + inner(x), name="y"), tf.identity(outer(-x), name="z")]


def loop_of_matmuls():
    x, (w, u) = rows(), weights("w", "u")
    scale = tf.constant(0.5)
    step = lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w)) * scale)  # noqa: E731
    h = tf.while_loop(lambda i, h: i < 3, step, [tf.constant(0), x])[1]
    return [tf.matmul(h, u, name="y")]


def branches():
    x, (w, u) = rows(), weights("w", "u")
    y = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, w), lambda: tf.matmul(x, u))
    return [tf.identity(y, name="y")]


def gathers_in_branches():
    x, (w, u) = rows(), weights("w", "u")
    ids = tf.argmax(x, 1)
    looked = tf.nn.embedding_lookup
    y = tf.cond(tf.reduce_sum(x) > 0, lambda: looked(w, ids), lambda: looked(u, ids))
    return [tf.identity(y, name="y")]


GRAPHS = [many_outputs, shared_weight, nested_functions, loop_of_matmuls, branches]
GRAPHS.append(gathers_in_branches)


def routes(session, names, directory):
    """Return {route: the GraphDef of its file}."""
    made = {}
    prefix = v1.train.Saver().save(session, str(directory / "model.ckpt"))
    fh.freeze_session(session, str(directory / "session.pb"), names)
    fh.freeze_checkpoint(prefix, str(directory / "checkpoint.pb"), names)
    saver = fh.FreezingSaver(names, output_dir=str(directory), name="saver")
    saver.save(session, str(directory / "saved"))
    freeze_graph.freeze_graph(
        "",
        "",
        True,
        prefix,
        ",".join(names),
        "",
        "",
        str(directory / "drop-in.pb"),
        True,
        "",
        input_meta_graph=prefix + ".meta",
    )
    saved = str(directory / "saved_model")
    graph = session.graph
    ends = {name: graph.get_tensor_by_name(name + ":0") for name in names}
    v1.saved_model.simple_save(session, saved, {"x": graph.get_tensor_by_name("x:0")}, ends)
    fh.freeze_saved_model(saved, str(directory / "of_saved_model.pb"))
    for path in directory.glob("*.pb"):
        made[path.name] = read_graph_def(path)
    definition = graph.as_graph_def()
    made["graph_util"] = graph_util.convert_variables_to_constants(session, definition, names)
    return made


def answers_of(graph_def, names):
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run([name + ":0" for name in names], {"x:0": X})


@pytest.mark.parametrize("v2", [False, True], ids=["dataflow", "functional"])
@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize("make", GRAPHS)
def test_sessions(make, resource, v2, graph, tmp_path):
    with control_flow(v2), v1.variable_scope("", use_resource=resource), v1.Session() as session:
        names = [tensor.op.name for tensor in make()]
        session.run(v1.global_variables_initializer())
        live = session.run([name + ":0" for name in names], {"x:0": X})
        made = routes(session, names, tmp_path)
        definition = graph.as_graph_def()
        theirs = v1.graph_util.convert_variables_to_constants(session, definition, names)
    assert len(made) == 6
    for route, graph_def in made.items():
        found = answers_of(graph_def, names)
        assert all(np.max(np.abs(a - b)) <= 1e-6 for a, b in zip(found, live)), route
        if make is not gathers_in_branches or not (v2 and resource):  # TensorFlow's is broken there
            assert_no_more(counted(graph_def), counted(theirs))


def test_a_hook(graph, tmp_path):
    with v1.variable_scope("", use_resource=True):
        names = [tensor.op.name for tensor in nested_functions()]
    step = v1.train.get_or_create_global_step()
    train = v1.assign_add(step, 1)
    hook = fh.FreezeHook(names, output_dir=str(tmp_path), save_steps=1, name="hook")
    with v1.train.MonitoredSession(hooks=[hook]) as session:
        session.run(train)
        definition = graph.as_graph_def()
        theirs = v1.graph_util.convert_variables_to_constants(session._tf_sess(), definition, names)
    assert_no_more(counted(read_graph_def(hook.artifacts[-1].path)), counted(theirs))


@pytest.mark.parametrize("name", KERASES)
def test_keras(name, tmp_path):
    """In TensorFlow 1, the converter for graphs gets the graph that Keras works on."""
    keras = keras_of(name)
    model = classifier(keras)
    path = str(tmp_path / "model.pb")
    fit(model, callbacks=[fh.FreezeCallback(path)])
    answer = model.predict(DIGITS[:5], verbose=0)
    if TF1:
        session = tf.keras.backend.get_session()
        output = model.output.op.name
        theirs = v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), [output]
        )
    else:
        from tensorflow.python.framework import convert_to_constants

        call = tf.function(lambda pixels: model(pixels, training=False))
        concrete = call.get_concrete_function(tf.TensorSpec([None, 64]))
        theirs = convert_to_constants.convert_variables_to_constants_v2(concrete)
        theirs = theirs.graph.as_graph_def()
    ops = counted(read_graph_def(path))
    assert ops["MatMul"] == counted(theirs)["MatMul"] == 2
    assert sum(ops.values()) <= sum(counted(theirs).values())
    found = fh.load_frozen(path)(pixels=DIGITS[:5])
    assert np.max(np.abs(found["probs"] - answer)) <= 1e-6
