"""freeze_graph: TensorFlow's arguments and flags, without its session."""

import inspect
import os

import numpy as np
import pytest
import started
import tensorflow as tf
from frozen_files import read_graph_def
from google.protobuf import text_format
from places import ROOT
from small import X, build
from tensorflow.python.tools import freeze_graph as tensorflows

import freeze_hooks as fh
from freeze_hooks import freeze_graph, graph_util

v1 = tf.compat.v1
INPUT = {"net/x:0": X, "net/is_training:0": False}


class Run:
    """A training's files: checkpoint, GraphDef, SaverDef, and the classifier's answers."""

    def __init__(self, directory, **how):
        build(**how)
        self.saver = v1.train.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            self.checkpoint = self.saver.save(session, str(directory / "model.ckpt"))
            self.probs = session.run("probs:0", INPUT)
        self.graph_def = v1.get_default_graph().as_graph_def()
        self.text, self.binary = str(directory / "graph.pbtxt"), str(directory / "graph.pb")
        tf.io.write_graph(self.graph_def, str(directory), "graph.pbtxt")
        tf.io.write_graph(self.graph_def, str(directory), "graph.pb", as_text=False)
        self.saver_def = str(directory / "saver.pbtxt")
        with open(self.saver_def, "w") as file:
            file.write(text_format.MessageToString(self.saver.saver_def))
        self.out = str(directory / "frozen.pb")

    def freeze(self, graph=None, saver="", binary=False, outputs="probs", **more):
        return freeze_graph.freeze_graph(
            graph,
            saver,
            binary,
            self.checkpoint,
            outputs,
            "save/restore_all",
            "save/Const:0",
            self.out,
            True,
            "",
            **more,
        )

    def check(self, clean):
        (got,) = clean.run(self.out, INPUT, ["probs:0"])
        np.testing.assert_allclose(got, self.probs, atol=1e-6)


@pytest.fixture(params=[False, True], ids=["ref", "resource"])
def run(request, graph, tmp_path):
    return Run(tmp_path, resource=request.param)


def test_arguments_are_tensorflows():
    """In its order; TensorFlow 1.15 calls the denied variables a blacklist, which is taken too."""
    for name in ("freeze_graph", "freeze_graph_with_def_protos", "main"):
        ours = list(inspect.signature(getattr(freeze_graph, name)).parameters.values())
        theirs = list(inspect.signature(getattr(tensorflows, name)).parameters.values())
        for a, b in zip(ours, theirs):
            assert a.name == b.name.replace("blacklist", "denylist") and a.default == b.default
        assert len(theirs) <= len(ours)


@pytest.mark.parametrize("saver", [False, True])
@pytest.mark.parametrize("hint", [False, True])
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_graph_files(run, clean, kind, hint, saver):
    """The flag for binary files is a hint: what a file is shows."""
    returned = run.freeze(getattr(run, kind), run.saver_def if saver else "", hint)
    assert returned == read_graph_def(run.out)
    run.check(clean)
    assert not os.path.exists(run.out + ".json")  # as TensorFlow's: one file


def test_a_meta_graph(run, clean):
    run.freeze(binary=True, input_meta_graph=run.checkpoint + ".meta")
    run.check(clean)


def test_without_an_output_file(run):
    names = v1.get_default_graph().get_operations()
    run.out = ""
    frozen = run.freeze(run.binary, binary=True, outputs="probs, net/x")
    assert {"probs", "net/x", "net/w"} <= {node.name for node in frozen.node}
    assert len(v1.get_default_graph().get_operations()) == len(names)


def test_def_protos(run, clean):
    meta = v1.train.export_meta_graph()
    for given in ((run.graph_def, run.saver.saver_def, None), (None, None, meta)):
        freeze_graph.freeze_graph_with_def_protos(
            given[0],
            given[1],
            run.checkpoint,
            "probs",
            None,
            None,
            run.out,
            True,
            "",
            input_meta_graph_def=given[2],
        )
        run.check(clean)


@pytest.mark.parametrize("way", ["whitelist", "denylist", "blacklist"])
def test_variables_that_stay(run, way):
    listed = "net/w" if way == "whitelist" else "net/v"
    frozen = run.freeze(run.binary, **{"variable_names_" + way: listed})
    ops = {node.name: node.op for node in frozen.node}
    assert ops["net/w"] == "Const" and ops["net/v"] in ("VariableV2", "VarHandleOp")


def test_partitioned_variables(graph, clean, tmp_path):
    """Which TensorFlow's tool refuses."""
    run = Run(tmp_path, partitioner=v1.fixed_size_partitioner(3))
    run.freeze(run.binary, binary=True)
    run.check(clean)


@pytest.mark.parametrize("ending", ["", ":0"])
def test_an_initializer(ending, graph, clean, tmp_path):
    """Ops to run once the checkpoint is restored: here one that changes a variable."""
    run = Run(tmp_path)
    w = next(v for v in v1.global_variables() if v.op.name == "net/w")
    tf.identity(v1.assign(w, tf.zeros_like(w)), name="forget")
    run.graph_def = v1.get_default_graph().as_graph_def()
    freeze_graph.freeze_graph_with_def_protos(
        run.graph_def,
        None,
        run.checkpoint,
        "net/MatMul",
        None,
        None,
        run.out,
        True,
        "forget" + ending,
    )
    (got,) = clean.run(run.out, {"net/x:0": X}, ["net/MatMul:0"])
    np.testing.assert_array_equal(got, np.zeros([16, 6]))


def test_a_saver_that_restores_in_its_own_way(graph, clean, tmp_path):
    """Keys cannot be read from such restore ops, so they are run."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    w = v1.get_variable("w", [3])
    tf.multiply(x, w, name="y")
    path = v1.placeholder_with_default("", [], name="path")
    (stored,) = tf.raw_ops.RestoreV2(
        prefix=path, tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32]
    )
    v1.assign(w, stored * 2, name="restore_twice_as_much")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        checkpoint = v1.train.Saver([w]).save(session, str(tmp_path / "c"))
        value = session.run(w)
    own = v1.train.SaverDef(
        filename_tensor_name="path:0", restore_op_name="restore_twice_as_much", version=2
    )
    out = str(tmp_path / "out.pb")
    graph_def = v1.get_default_graph().as_graph_def()
    freeze_graph.freeze_graph_with_def_protos(
        graph_def, own, checkpoint, "y", None, None, out, True, ""
    )
    (got,) = clean.run(out, {"x:0": X[:, :3]}, ["y:0"])
    np.testing.assert_allclose(got, X[:, :3] * value * 2, rtol=1e-6)


def test_a_meta_graph_whose_saver_restores_in_its_own_way(graph, clean, tmp_path):
    """Some variables as they are, one computed: the ops of the file are run for it."""
    w, b = v1.get_variable("w", [3]), v1.get_variable("b", [3])
    tf.add(w, b, name="y")
    path = v1.placeholder_with_default("", [], name="path")
    stored = tf.raw_ops.RestoreV2(
        prefix=path,
        tensor_names=["w", "b"],
        shape_and_slices=["", ""],
        dtypes=[tf.float32, tf.float32],
    )
    restore = tf.group(v1.assign(w, stored[0] * 2), v1.assign(b, stored[1]), name="restore")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        checkpoint = v1.train.Saver([w, b]).save(session, str(tmp_path / "c"))
        values = session.run([w, b])
    own = v1.train.SaverDef(
        filename_tensor_name="path:0",
        save_tensor_name="path:0",
        restore_op_name=restore.name,
        version=2,
    )
    meta, out = v1.train.export_meta_graph(saver_def=own), str(tmp_path / "out.pb")
    expected = values[0] * 2 + values[1]
    for module in (tensorflows, freeze_graph):
        with tf.Graph().as_default():
            module.freeze_graph_with_def_protos(
                None, None, checkpoint, "y", None, None, out, True, "", input_meta_graph_def=meta
            )
        np.testing.assert_allclose(clean.run(out, {}, ["y:0"])[0], expected, rtol=1e-6)


@pytest.mark.parametrize("clear", [True, False])
def test_devices(clear, graph, tmp_path):
    """They stay if clear_devices is false, as in TensorFlow's."""
    with tf.device("/device:CPU:0"):
        x = v1.placeholder(tf.float32, [3], "x")
        tf.multiply(x, v1.get_variable("w", [3], use_resource=False), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        checkpoint = v1.train.Saver().save(session, str(tmp_path / "c"))
    found = []
    for module in (tensorflows, freeze_graph):
        with tf.Graph().as_default():
            frozen = module.freeze_graph_with_def_protos(
                graph.as_graph_def(), None, checkpoint, "y", None, None, "", clear, ""
            )
        found.append({node.name: node.device for node in frozen.node})
    assert found[0] == found[1]
    assert any(found[1].values()) is not clear


def test_freezing_twice(run, clean, warnings_logged):
    run.freeze(run.binary)
    again = run.out.replace("frozen", "again")
    os.rename(run.out, run.binary)
    run.out = again
    run.freeze(run.binary)
    run.check(clean)
    assert any("frozen already" in message for message in warnings_logged)


def with_a_call():
    """A function of three results, as what it is called by stands in SavedModels; its node."""
    x = v1.placeholder(tf.float32, [None, 2], "x")
    w = v1.get_variable("w", [2, 2], use_resource=True)
    called = tf.function(lambda x: (x @ w, x - w[0], 2 * x), autograph=False)
    return called(x)[0].op


@pytest.mark.parametrize("drop_in", ["freeze_graph", "convert_variables_to_constants"])
def test_all_results_of_a_call(drop_in, graph, clean, tmp_path):
    """The node is named, so all of its tensors are wanted."""
    node, prefix, out = with_a_call(), str(tmp_path / "model.ckpt"), str(tmp_path / "frozen.pb")
    while node.type == "Identity":
        node = node.inputs[0].op
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        x = np.float32([[1, 2], [3, 4]])
        live = session.run(list(node.outputs), {"x:0": x})
        if drop_in == "freeze_graph":
            v1.train.Saver().save(session, prefix)
            freeze_graph.freeze_graph(
                "", "", True, prefix, node.name, "", "", out, True, "", "", "", prefix + ".meta"
            )
        else:
            frozen = graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), [node.name]
            )
            with open(out, "wb") as file:
                file.write(frozen.SerializeToString())
    got = clean.run(out, {"x:0": x}, [f"{node.name}:{i}" for i in range(3)])
    assert len(live) >= 3
    for one, other in zip(got, live):
        np.testing.assert_array_equal(one, other)


def test_errors_are_those_that_callers_catch(run, tmp_path):
    with pytest.raises(OSError, match=r"nothing\.pb' does not exist"):
        run.freeze(str(tmp_path / "nothing.pb"))
    with pytest.raises(OSError, match="does not exist"):
        run.freeze(input_meta_graph=str(tmp_path / "nothing.meta"))
    with pytest.raises(OSError, match="does not exist"):
        run.freeze(run.text, str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="output_node_names"):
        run.freeze(run.text, outputs="")
    with pytest.raises(ValueError, match=r"'prob'[\s\S]*'probs'"):
        run.freeze(run.text, outputs="prob")
    with pytest.raises(ValueError, match="supply a graph"):
        run.freeze()
    with pytest.raises(fh.InvalidFileError, match="not a MetaGraphDef"):
        run.freeze(input_meta_graph=run.binary)
    run.checkpoint += "-7"
    with pytest.raises(ValueError, match=r"model\.ckpt-7' doesn't exist"):
        run.freeze(run.text)
    with pytest.raises(OSError, match="SavedModel file does not exist"):
        run.freeze(input_saved_model_dir=str(tmp_path))
    assert not os.path.exists(run.out)


def command(*flags, fails=False):
    environment = dict(os.environ, PYTHONPATH=ROOT)
    return started.run(["-m", "freeze_hooks.freeze_graph", *flags], env=environment, fails=fails)


def test_the_command(run, clean):
    files = ["--input_checkpoint=" + run.checkpoint, "--output_graph=" + run.out]
    command("--input_graph=" + run.text, "--output_node_names=probs", *files)
    run.check(clean)
    os.remove(run.out)
    command(
        "--input_meta_graph",
        run.checkpoint + ".meta",
        "--input_binary",
        "--variable_names_blacklist=net/v",
        "--output_node_names=probs",
        *files,
    )
    assert {n.op for n in read_graph_def(run.out).node} & {"VariableV2", "VarHandleOp"}
    done = command("--input_graph=" + run.text, "--output_node_names=prob", *files, fails=True)
    assert "'probs'" in done.stderr
    done = command("--checkpoint_version=3", *files, fails=True)
    assert "version" in done.stderr
