"""SavedModels whose weights are variables."""

import os

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks.frozen import stored_variables
from freeze_hooks.plan import compiler

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(6, 4).astype(np.float32)
KEPT = fh.SavedModel(variables=True)
TF1 = tf.__version__.startswith("1.")


@pytest.fixture
def session(graph):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    w = v1.get_variable("w", [4, 3])
    parts = v1.get_variable("parts", [6, 3], partitioner=v1.fixed_size_partitioner(2))
    chosen = tf.nn.embedding_lookup(parts, tf.constant([0, 4]))
    unused = v1.get_variable("unused", [1000])
    tf.identity(tf.matmul(x, w) + tf.reduce_sum(chosen), "y")
    optimizer = v1.train.AdamOptimizer(0.1)
    train = optimizer.minimize(tf.reduce_sum(tf.matmul(x, w)) + tf.reduce_sum(unused))
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        live.run(train, {"x:0": X})
        yield live


def answer(path, x):
    with tf.Graph().as_default(), v1.Session() as live:
        ends = v1.saved_model.loader.load(live, ["serve"], str(path)).signature_def
        ends = ends["serving_default"]
        return live.run(ends.outputs["y"].name, {ends.inputs["x"].name: x})


def answer_of(path, x):
    with fh.load_frozen(path) as model:
        (found,) = model(x).values()
        return found


def names(path):
    return sorted(v1.train.NewCheckpointReader(str(path)).get_variable_to_shape_map())


def test_its_checkpoint_has_what_the_graph_uses_alone(session, tmp_path):
    path = tmp_path / "m"
    artifact = fh.freeze_session(session, str(path), ["y"], format=KEPT, verify=True)
    assert artifact.max_difference == 0
    assert names(path / "variables" / "variables") == ["parts/part_0", "parts/part_1", "w"]
    np.testing.assert_array_equal(answer(path, X), session.run("y:0", {"x:0": X}))
    files = [os.path.join(where, n) for where, _, found in os.walk(str(path)) for n in found]
    assert artifact.bytes == sum(map(os.path.getsize, files))


def test_it_is_read_as_a_frozen_file(session, tmp_path):
    fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=KEPT)
    fh.freeze_session(session, str(tmp_path / "m.pb"), ["y"])
    with fh.load_frozen(tmp_path / "m") as saved, fh.load_frozen(tmp_path / "m.pb") as file:
        np.testing.assert_array_equal(saved(X)["y"], file(X)["y"])
    kept, plain = (fh.inspect(tmp_path / name) for name in ("m", "m.pb"))
    assert kept.signature == plain.signature and kept.findings == plain.findings == ()
    assert kept.ops == plain.ops and kept.weight_bytes == plain.weight_bytes


def test_it_goes_back_in(session, tmp_path):
    path = tmp_path / "m"
    fh.freeze_session(session, str(path), ["y"], format=KEPT)
    fh.freeze_saved_model(str(path), str(tmp_path / "m.pb"), verify=True)
    with fh.load_frozen(tmp_path / "m.pb") as file:
        np.testing.assert_array_equal(file(X)["y"], session.run("y:0", {"x:0": X}))


def test_tensorflow_s_own_tool_freezes_it(session, tmp_path):
    """It looks for each variable's value at the name that TensorFlow's variables give it."""
    fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=KEPT)
    with tf.Graph().as_default() as graph, v1.Session() as live:
        v1.saved_model.loader.load(live, ["serve"], str(tmp_path / "m"))
        frozen = v1.graph_util.convert_variables_to_constants(live, graph.as_graph_def(), ["y"])
    assert not {"VarHandleOp", "ReadVariableOp"} & {node.op for node in frozen.node}
    with tf.Graph().as_default(), v1.Session() as live:
        tf.import_graph_def(frozen, name="")
        np.testing.assert_array_equal(live.run("y:0", {"x:0": X}), session.run("y:0", {"x:0": X}))


def test_later_proofs_read_the_later_values(session, tmp_path):
    saver = fh.FreezingSaver(outputs=["y"], format=KEPT, verify=True, strict=True)
    w = next(v for v in v1.global_variables() if v.op.name == "w")
    for value in (1.0, 2.0, 3.0):
        w.load(np.full([4, 3], value, np.float32), session)
        saver.save(session, str(tmp_path / "model"), int(value))
        artifact = saver.artifacts[-1]
        assert artifact.max_difference == 0
        np.testing.assert_array_equal(answer(artifact.path, X), session.run("y:0", {"x:0": X}))


def test_weights_are_narrowed(session, tmp_path):
    path = tmp_path / "m"
    fh.freeze_session(session, str(path), ["y"], format=KEPT, weights="float16", verify=True)
    reader = v1.train.NewCheckpointReader(str(path / "variables" / "variables"))
    assert set(reader.get_variable_to_dtype_map().values()) == {tf.float16}
    np.testing.assert_allclose(answer(path, X), session.run("y:0", {"x:0": X}), atol=0.02)


def test_large_graphs_keep_variables_by_themselves(graph, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "LIMIT", compiler._DESCRIPTION + 20_000)
    w = v1.get_variable("w", [4, 2500])
    tf.matmul(v1.placeholder(tf.float32, [None, 4], name="x"), w, name="y")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        with pytest.raises(fh.TooLargeError, match='format="saved_model"'):
            fh.freeze_session(live, str(tmp_path / "m.pb"), ["y"])
        with pytest.raises(fh.TooLargeError, match="or variables=True"):
            constants = fh.SavedModel(variables=False)
            fh.freeze_session(live, str(tmp_path / "m"), ["y"], format=constants)
        fh.freeze_session(live, str(tmp_path / "m"), ["y"], format="saved_model", verify=True)
        wanted = live.run("y:0", {"x:0": X})
    assert names(tmp_path / "m" / "variables" / "variables") == ["w"]
    np.testing.assert_array_equal(answer(tmp_path / "m", X), wanted)


def test_what_passes_the_limit_of_a_graph_is_run_and_inspected(session, tmp_path, monkeypatch):
    path = tmp_path / "m"
    fh.freeze_session(session, str(path), ["y"], format=KEPT)
    monkeypatch.setattr(stored_variables, "LIMIT", 4 * (4 * 3 + 6 * 3) - 1)
    with fh.load_frozen(path) as model:
        np.testing.assert_array_equal(model(X)["y"], session.run("y:0", {"x:0": X}))
    assert 120 <= fh.inspect(path).weight_bytes < 200
    artifact = fh.Artifact(str(path), None, fh.inspect(path).signature, {}, 0, 0.0, "")
    with pytest.raises(fh.FreezeError, match=r"has variables of .* of one graph"):
        fh.to_tflite()(artifact)
    monkeypatch.setattr(stored_variables, "LIMIT", 4 * (4 * 3 + 6 * 3))
    if TF1:  # whose converter knows no lookup in a partitioned table: the model has reached it
        with pytest.raises(fh.ConversionError, match="TensorFlow Lite's converter cannot convert"):
            fh.to_tflite()(artifact)
    else:
        assert fh.to_tflite()(artifact)


def test_constants_of_the_graph_that_pass_the_limit(graph, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "LIMIT", compiler._DESCRIPTION + 20_000)
    fixed = tf.constant(np.random.RandomState(0).randn(4, 2500).astype(np.float32))
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    tf.add(tf.matmul(x, fixed), v1.get_variable("b", [2500]), name="y")
    for form in ("pb", "saved_model", KEPT):
        with pytest.raises(fh.TooLargeError, match="its own constants have"):
            hook = fh.FreezeHook(outputs=["y"], format=form, output_dir=str(tmp_path))
            hook.begin()


def test_what_folds_constants_is_refused():
    with pytest.raises(fh.FreezeError, match="optimize= folds constants, and variables=True"):
        fh.FreezeHook(outputs=["y"], format=KEPT, optimize=True)


def test_averages(session, tmp_path):
    w = next(v for v in v1.global_variables() if v.op.name == "w")
    average = tf.train.ExponentialMovingAverage(0.5)
    follow = average.apply([w])
    session.run(v1.variables_initializer([average.average(w)]))
    w.load(np.ones([4, 3], np.float32), session)
    session.run(follow)
    fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=KEPT, ema=average, verify=True)
    shadow = session.run(average.average(w))
    assert np.abs(shadow - 1).max() > 0.01
    reader = v1.train.NewCheckpointReader(str(tmp_path / "m" / "variables" / "variables"))
    np.testing.assert_array_equal(reader.get_tensor("w"), shadow)


def test_a_graph_of_its_own(session, tmp_path):
    w = next(v for v in v1.global_variables() if v.op.name == "w")

    def inference():
        x = v1.placeholder(tf.float32, [None, 4], name="given")
        return {"given": x}, {"y": tf.matmul(x, v1.get_variable("w", [4, 3]))}

    fh.freeze_session(
        session, str(tmp_path / "m"), inference_fn=inference, format=KEPT, verify=True
    )
    with fh.load_frozen(tmp_path / "m") as model:
        np.testing.assert_allclose(model(X)["y"], X @ session.run(w), 1e-5)


def test_a_keras_model(tmp_path):
    with tf.init_scope():
        model = tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=(4,))])
        plan = fh.plan_keras_model(model, format=KEPT, verify=True)
        plan.write(str(tmp_path / "m"))
        np.testing.assert_allclose(answer_of(tmp_path / "m", X), model.predict(X), 1e-5)


def test_other_values_of_variables_are_refused():
    with pytest.raises(fh.FreezeError, match="variables= is True, False, None or"):
        fh.SavedModel(variables="all")
