"""Graphs saved with strip_default_attrs: an attribute that a node lacks has its op's default."""

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def

import freeze_hooks as fh
from freeze_hooks import graph_util
from freeze_hooks.graph.passes.defaults import with_defaults

v1 = tf.compat.v1
NORMS = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
X = np.random.RandomState(0).randn(2, 6, 6, 2).astype(np.float32)
FETCHES = ["y:0", "label:0", "size:0"]


def net():
    """Build a net; each of its ops has default attributes that affect the answer."""
    x = v1.placeholder(tf.float32, [None, 6, 6, 2], "x")
    w = v1.get_variable("w", [3, 3, 2, 2])
    mean = v1.get_variable("mean", initializer=np.float32([0.1, 0.2]))
    variance = v1.get_variable("variance", initializer=np.float32([1e-4, 2e-4]))
    h = v1.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME")
    h = v1.nn.fused_batch_norm(
        h, [1.0, 1.0], [0.5, 0.0], mean, variance, epsilon=1e-4, is_training=False
    )[0]
    tf.identity(h, name="y")
    tf.argmax(tf.reduce_mean(h, [1, 2]), 1, name="label")
    tf.shape(h, name="size")


def saver(session, directory):
    path = str(directory / "model.ckpt")
    v1.train.Saver().save(session, path, strip_default_attrs=True)
    return lambda out, **more: fh.freeze_checkpoint(path, out, ["y", "label", "size"], **more)


def builder(session, directory):
    path = str(directory / "saved")
    info = v1.saved_model.utils.build_tensor_info
    named = {name: session.graph.get_tensor_by_name(name + ":0") for name in ("x", "y", "label")}
    named["size"] = session.graph.get_tensor_by_name("size:0")
    infos = {name: info(tensor) for name, tensor in named.items()}
    signature = v1.saved_model.signature_def_utils.build_signature_def({"x": infos.pop("x")}, infos)
    made = v1.saved_model.Builder(path)
    made.add_meta_graph_and_variables(
        session, ["serve"], {"serving_default": signature}, strip_default_attrs=True
    )
    made.save()
    return lambda out, **more: fh.freeze_saved_model(path, out, **more)


@pytest.mark.parametrize("optimize", [False, True], ids=["plain", "optimized"])
@pytest.mark.parametrize("save", [saver, builder], ids=["saver", "builder"])
def test_stored(save, optimize, graph, clean, tmp_path):
    net()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(FETCHES, {"x:0": X})
        freeze = save(session, tmp_path)
    path = str(tmp_path / "a.pb")
    made = freeze(path, optimize=optimize)
    dtypes = {output.name: output.dtype for output in made.signature.outputs}
    assert dtypes == {"y": "float32", "label": "int64", "size": "int32"}
    for ours, theirs in zip(clean.run(path, {"x:0": X}, FETCHES), live):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    nodes = read_graph_def(path).node
    assert any(node.op in NORMS for node in nodes) != optimize
    (convolution,) = (node for node in nodes if node.op == "Conv2D")
    assert convolution.attr["data_format"].s == b"NHWC"
    assert list(convolution.attr["dilations"].list.i) == [1, 1, 1, 1]
    assert fh.inspect(path).signature == made.signature


def stripped(graph_def):
    """Return a copy without the attributes that equal their op's default, in functions too."""
    copy = v1.GraphDef()
    copy.CopyFrom(graph_def)
    defaults = {}
    for nodes in [copy.node, *(f.node_def for f in copy.library.function)]:
        for node in nodes:
            if not defaults.get(node.op):
                fresh = v1.GraphDef(node=[v1.NodeDef(name="n", op=node.op)])
                filled = with_defaults(fresh).node[0].attr
                defaults[node.op] = {key: filled[key].SerializeToString() for key in filled}
            for key, value in defaults[node.op].items():
                if key in node.attr and node.attr[key].SerializeToString() == value:
                    del node.attr[key]
    return copy


def test_given_to_graph_util(graph, clean, tmp_path):
    """The given GraphDef is not changed."""
    net()
    given = stripped(graph.as_graph_def())
    before = given.SerializeToString(deterministic=True)
    assert len(before) < len(graph.as_graph_def().SerializeToString())
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(FETCHES, {"x:0": X})
        made = graph_util.convert_variables_to_constants(session, given, ["y", "label", "size"])
    assert given.SerializeToString(deterministic=True) == before
    path = tmp_path / "a.pb"
    path.write_bytes(made.SerializeToString())
    for ours, theirs in zip(clean.run(path, {"x:0": X}, FETCHES), live):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lower", [False, True], ids=["functional", "lowered"])
def test_in_functions(lower, graph, clean, tmp_path):
    with control_flow(v2=True):
        x, on = v1.placeholder(tf.float32, [None, 3], "x"), v1.placeholder(tf.bool, [], "on")
        w = v1.get_variable("w", [3, 3], use_resource=True)
        label = tf.cond(
            on,
            lambda: tf.argmax(tf.matmul(x, w), 1),
            lambda: tf.cast(tf.shape(tf.matmul(x, w)), tf.int64),
        )
        tf.identity(label, name="label")
    path, prefix = str(tmp_path / "a.pb"), str(tmp_path / "model.ckpt")
    values = {"x:0": X[0, 0, :, :1].repeat(3, 1)}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, prefix)
        live = [session.run("label:0", dict(values, **{"on:0": on})) for on in (True, False)]
    fh.freeze_checkpoint(
        prefix, path, ["label"], graph=stripped(graph.as_graph_def()), lower_control_flow=lower
    )
    for on, theirs in zip((True, False), live):
        (ours,) = clean.run(path, dict(values, **{"on:0": np.array(on)}), ["label:0"])
        assert ours.tolist() == theirs.tolist()


def test_in_functions_of_a_live_graph(clean, tmp_path):
    """TensorFlow adds defaults to the nodes of an imported graph, but not in its functions."""
    path = str(tmp_path / "a.pb")
    with control_flow(v2=True), tf.Graph().as_default() as graph:
        x, on = v1.placeholder(tf.float32, [None, 3], "x"), v1.placeholder(tf.bool, [], "on")
        label = tf.cond(on, lambda: tf.argmax(x, 1), lambda: tf.argmin(x, 1))
        tf.identity(label, name="label")
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(stripped(graph.as_graph_def()), name="")
        made = fh.freeze_session(session, path, ["label"], bind={"on:0": True})
        live = session.run("label:0", {"x:0": X[0, 0, :, :1].repeat(3, 1), "on:0": True})
    assert made.signature.outputs[0].dtype == "int64"
    (ours,) = clean.run(path, {"x:0": X[0, 0, :, :1].repeat(3, 1)}, ["label:0"])
    assert ours.tolist() == live.tolist()


def test_a_graph_that_lacks_nothing_is_not_copied(graph):
    net()
    graph_def = graph.as_graph_def()
    assert with_defaults(graph_def) is graph_def
    again = with_defaults(stripped(graph_def))
    assert [n.SerializeToString(deterministic=True) for n in again.node] == [
        n.SerializeToString(deterministic=True) for n in graph_def.node
    ]
