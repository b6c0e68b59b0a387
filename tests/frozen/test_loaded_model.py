"""Reading whole frozen files, ours and others': signatures, answers, feeds, findings."""

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def

import freeze_hooks as fh
from freeze_hooks import _tf

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(6, 4).astype(np.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return (file of a small trained graph, its session's answers, the answers with scale 3)."""
    path = tmp_path_factory.mktemp("trained") / "modèle.pb"
    with tf.Graph().as_default():
        v1.set_random_seed(7)
        x = v1.placeholder(tf.float32, [None, 4], name="in/x")
        labels = v1.placeholder(tf.int32, [None], name="labels")
        scale = v1.placeholder_with_default(1.0, [], name="scale")
        w = v1.get_variable("dense/w", [4, 3], use_resource=False)
        b = v1.get_variable("dense/b", [3], use_resource=True)
        logits = tf.multiply(tf.matmul(x, w) + b, scale, name="dense/logits")
        probs = tf.nn.softmax(logits)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        train = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_mean(losses))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(5):
                session.run(train, {x: X, labels: [0, 1, 2, 0, 1, 2]})
            outputs = {"out/probs": probs, "top": tf.argmax(probs, 1), "dense/logits": logits}
            fh.freeze_session(session, str(path), outputs)
            answers = [session.run(outputs, {x: X, scale: factor}) for factor in (1.0, 3.0)]
    return path, answers[0], answers[1]


def save(graph, directory):
    path = directory / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def same(got, expected):
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def info(end):
    return end.name, end.tensor, end.dtype, end.shape


SIGNATURE = (
    [("in/x", "in/x:0", "float32", (None, 4)), ("scale", "scale:0", "float32", ())],
    [
        ("out/probs", "out/probs:0", "float32", (None, 3)),
        ("top", "top:0", "int64", (None,)),
        ("dense/logits", "dense/logits:0", "float32", (None, 3)),
    ],
)


def test_round_trip(trained):
    path, plain, scaled = trained
    with fh.load_frozen(path) as model:
        same(model({"in/x": X}), plain)
        same(model({"in/x": X}, scale=3.0), scaled)
        same(model({"in/x": X.tolist(), "scale": 3}), scaled)
        one = model({"in/x": X[:1]})
        np.testing.assert_allclose(one["out/probs"], plain["out/probs"][:1], rtol=1e-6)
        assert sorted(map(info, model.inputs.values())) == SIGNATURE[0]
        assert [info(end) for end in model.outputs.values()] == SIGNATURE[1]
        assert list(model.outputs) == list(plain)
        assert {node.name for node in model.graph_def.node} >= {"out/probs", "top", "dense/w"}
        assert model.metadata["values"] == "live"
    with pytest.raises(RuntimeError, match="closed"):
        model({"in/x": X})


def test_inspect(trained):
    path = trained[0]
    report = fh.inspect(path)
    assert sorted(map(info, report.signature.inputs)) == SIGNATURE[0]
    assert [info(end) for end in report.signature.outputs] == SIGNATURE[1]
    assert report.bytes == path.stat().st_size
    nodes = read_graph_def(path).node
    assert sum(report.ops.values()) == len(nodes)
    assert [report.ops[op] for op in ("MatMul", "Placeholder", "Softmax", "ArgMax")] == [1] * 4
    assert not any("Variable" in op or "VarHandle" in op for op in report.ops)
    contents = [v1.make_ndarray(n.attr["value"].tensor).nbytes for n in nodes if n.op == "Const"]
    assert report.weight_bytes == sum(contents) == (4 * 3 + 3 + 1 + 1) * 4  # and two scalars
    assert report.findings == ()
    assert report.metadata["format"] == 1
    with fh.load_frozen(path) as model:
        assert report.metadata == model.metadata


def test_inspect_runs_nothing(trained, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("it runs something")

    for module in (v1, _tf.v1):  # after tf_keras is imported, tf.compat.v1 is another module
        monkeypatch.setattr(module, "Session", refuse)
        monkeypatch.setattr(module, "import_graph_def", refuse)
    monkeypatch.setattr(tf, "import_graph_def", refuse)
    default = v1.get_default_graph()
    before = len(default.get_operations())
    assert fh.inspect(trained[0]).ops["MatMul"] == 1
    assert len(default.get_operations()) == before
    with pytest.raises(AssertionError):
        fh.load_frozen(trained[0])


# feeds


@pytest.mark.parametrize(
    "feeds, said",
    [
        ({"x": X}, r"no input 'x': did you mean 'in/x'\?"),
        ({"in/X": X}, r"no input 'in/X': did you mean 'in/x'\?"),
        ({"in/x": X, "scales": 1.0}, r"no input 'scales': did you mean 'scale'\?"),
        ({"quite another": X}, r"did you mean 'in/x', 'scale'\?"),
        ({}, r"needs a value for in/x"),
        ({"scale": 2.0}, r"needs a value for in/x"),
    ],
)
def test_wrong_names(trained, feeds, said):
    with fh.load_frozen(trained[0]) as model, pytest.raises(fh.UnknownNameError, match=said):
        model(feeds)


@pytest.mark.parametrize(
    "value",
    [X[:, :3], X[0], X[None], "text", None, [[1, 2, 3, 4], [5]], [["a", "b", "c", "d"]], object()],
    ids=lambda value: str(np.shape(value)) if isinstance(value, np.ndarray) else str(value)[:20],
)
def test_values_that_do_not_fit(trained, value):
    with fh.load_frozen(trained[0]) as model:
        with pytest.raises(fh.FreezeError) as caught:
            model({"in/x": value})
        assert str(trained[0]) in str(caught.value)
        same(model({"in/x": X}), trained[1])


@pytest.mark.parametrize("feeds", [X, [X], "in/x"], ids=["array", "list", "name"])
def test_inputs_without_a_name(trained, feeds):
    with fh.load_frozen(trained[0]) as model, pytest.raises(fh.FreezeError, match=r"by name"):
        model(feeds)


@pytest.mark.parametrize(
    "dtype, good, bad",
    [
        ("int32", [1, True, 7.0, np.int64(-3)], [1.5, 2**31, np.nan, 2**70, "1", None]),
        ("uint8", [0, 255, np.float32(3)], [-1, 256, 0.1]),
        ("int64", [2**62, -(2**63)], [2**63, 1e30]),
        ("bool", [True, 0, 1.0], [2, -1, 0.5, "no"]),
    ],
)
def test_whole_numbers_are_never_cut(tmp_path, dtype, good, bad):
    """session.run turns 1.5 into 1 and 256 into 0; load_frozen refuses such values."""
    with tf.Graph().as_default() as graph:
        tf.identity(v1.placeholder(dtype, [], name="x"), name="y")
    with fh.load_frozen(save(graph, tmp_path)) as model:
        for value in good:
            assert model(x=value)["y"] == value
            assert model(x=np.asarray(value))["y"] == value
        for value in bad:
            with pytest.raises(fh.FreezeError):
                model(x=value)
            with pytest.raises(fh.FreezeError):
                model(x=np.asarray(value))


def test_shapes_that_only_the_ops_refuse(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.matmul(v1.placeholder(tf.float32, name="x"), X, name="y")
    with fh.load_frozen(save(graph, tmp_path)) as model:
        np.testing.assert_allclose(model(x=np.eye(6))["y"], X, rtol=1e-6)
        with pytest.raises(fh.FreezeError):
            model(x=np.eye(5))


def test_tensors_are_no_values(trained, tmp_path):
    with tf.Graph().as_default():
        tensors = {"in/x": tf.constant(X)}, {"in/x": X, "scale": tf.constant(1.0)}
        integer = v1.placeholder(tf.int32, [], name="i")
        tf.identity(integer, name="y")
    for feeds in tensors:
        with fh.load_frozen(trained[0]) as model, pytest.raises(fh.FreezeError):
            model(feeds)
    with fh.load_frozen(save(integer.graph, tmp_path)) as model, pytest.raises(fh.FreezeError):
        model(i=integer)


# files of other writers


def freeze_foreign(directory, build, outputs, feeds):
    """Return a file of TensorFlow's own converter, and the session's answers."""
    path = directory / "foreign.pb"
    with tf.Graph().as_default() as graph:
        build()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            answers = session.run([name + ":0" for name in outputs], feeds)
            graph_def = v1.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), outputs
            )
    path.write_bytes(graph_def.SerializeToString())
    return path, dict(zip(outputs, answers))


def build_foreign():
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    w = v1.get_variable("w", [4, 2], use_resource=False)
    bias = v1.placeholder_with_default([0.5, 0.25], [2], name="opt/bias")
    y = tf.nn.relu(tf.matmul(x, w) + bias, name="scope/y")
    tf.argmax(y, 1, name="top")
    tf.reduce_mean(y, name="score")


@pytest.mark.parametrize("stripped", [False, True])
def test_foreign_file(tmp_path, stripped):
    """Its signature is guessed; default attributes and the version may be missing."""
    outputs = ["top", "score"]
    path, expected = freeze_foreign(tmp_path, build_foreign, outputs, {"x:0": X})
    if stripped:
        graph_def = read_graph_def(path)
        graph_def.ClearField("versions")
        by_name = {n.name: n for n in graph_def.node}
        del by_name["top"].attr["output_type"]
        del by_name["x"].attr["shape"]
        path.write_bytes(graph_def.SerializeToString())
    with fh.load_frozen(path) as model:
        same({name: model(x=X)[name] for name in outputs}, expected)
        assert set(model.outputs) == set(outputs)
        assert model.outputs["top"].dtype == "int64"
        assert model.inputs["x"].shape == (None if stripped else (None, 4))
        assert set(model.inputs) == {"x", "opt/bias"}
        assert model.metadata == {}
        moved = model({"x": X, "opt/bias": [9.0, 9.0]})
        assert moved["score"] > expected["score"]
    report = fh.inspect(path)
    assert report.metadata == {}
    assert {end.name for end in report.signature.outputs} == set(outputs)
    assert report.bytes == path.stat().st_size


def build_loop():
    x = v1.placeholder(tf.float32, [], name="x")
    _, y = v1.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, y * x + v1.random_uniform([], 1.0, 1.0)), [0, x]
    )
    tf.identity(y, name="y")


@pytest.mark.parametrize("v2", [False, True])
def test_foreign_loop(tmp_path, v2):
    """The cycle of a loop is not an error, and findings name nodes in its body."""
    with control_flow(v2):
        path, expected = freeze_foreign(tmp_path, build_loop, ["y"], {"x:0": 3.0})
    with fh.load_frozen(path) as model:
        assert model(x=3.0)["y"] == expected["y"]
    report = fh.inspect(path)
    assert report.ops["RandomUniform"] == 1
    assert report.ops.get("NextIteration", 0) == (0 if v2 else 2)
    (finding,) = report.findings
    assert finding.kind == "random"
    assert len(finding.nodes) == 1


def test_findings(tmp_path):
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 2, 2, 3], name="x")
        ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
        for training in (True, False):
            moving = {} if training else {"mean": zeros, "variance": ones}
            v1.nn.fused_batch_norm(
                x, ones, zeros, is_training=training, name=f"norm_{training}", **moving
            )
        tf.nn.dropout(x, rate=0.5, name="dropout")
        v1.py_func(lambda a: a, [x], tf.float32, name="python")
        v1.data.make_one_shot_iterator(tf.data.Dataset.range(3)).get_next("element")
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1, name="table"
        )
        table.lookup(tf.constant(["a"]), name="looked_up")
        tf.raw_ops.BoostedTreesEnsembleResourceHandleOp(name="trees")
    path = save(graph, tmp_path)
    nodes = {finding.kind: finding.nodes for finding in fh.inspect(path).findings}
    assert nodes["training_batch_norm"] == ("norm_True",)
    assert [name.split("/")[0] for name in nodes["random"]] == ["dropout"]
    assert nodes["python"] == ("python",)
    assert "element" in nodes["pipeline"]
    assert "table" in nodes["table"]
    assert nodes["resource"] == ("trees",)
    assert set(nodes) == {
        "training_batch_norm",
        "random",
        "python",
        "pipeline",
        "table",
        "resource",
    }


def test_training_is_the_default_of_batch_norm(tmp_path):
    """Files whose defaults were stripped have the same findings, in functions too."""
    ones = np.ones(3, np.float32)

    def norm(x):
        return v1.nn.fused_batch_norm(x, ones, ones, name="norm")[0]

    with control_flow(v2=True), tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [1, 2, 2, 3], name="x")
        tf.identity(v1.while_loop(lambda y: y[0, 0, 0, 0] < 3, norm, [norm(x)]), name="y")
    graph_def = graph.as_graph_def()
    for nodes in [graph_def.node] + [f.node_def for f in graph_def.library.function]:
        for made in nodes:
            if made.op.startswith("FusedBatchNorm"):
                del made.attr["is_training"]
    path = tmp_path / "stripped.pb"
    path.write_bytes(graph_def.SerializeToString())
    (finding,) = fh.inspect(path).findings
    assert finding.kind == "training_batch_norm"
    assert len(finding.nodes) == 2
