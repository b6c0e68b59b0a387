"""Files with several signatures, of sessions, checkpoints, functions and SavedModels."""

import os

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
TF1 = tf.__version__.startswith("1.")
X = np.random.RandomState(0).randn(5, 4).astype(np.float32)
H = np.random.RandomState(1).randn(3, 6).astype(np.float32)
SIGNATURES = {"embed": ["hidden"], "head": ({"h": "hidden"}, {"probs": "probs"})}


@pytest.fixture
def session(graph):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    hidden = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [4, 6])), name="hidden")
    tf.nn.softmax(tf.matmul(hidden, v1.get_variable("v", [6, 3])), name="probs")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        yield live


def weights(path):
    """The shapes of all constants of two dimensions in a file."""
    with fh.load_frozen(path) as model:
        nodes = model.graph_def.node
    shapes = [[d.size for d in n.attr["value"].tensor.tensor_shape.dim] for n in nodes]
    return sorted(shape for shape in shapes if len(shape) == 2)


def assert_all_right(path, session):
    live = session.run(["hidden:0", "probs:0"], {"x:0": X})
    with fh.load_frozen(str(path)) as model:
        assert list(model.signatures) == ["serving_default", "embed", "head"]
        np.testing.assert_array_equal(model(x=X)["probs"], live[1])
        assert list(model.inputs) == ["x"] and list(model.outputs) == ["probs"]
        np.testing.assert_array_equal(model.signatures["embed"](X)["hidden"], live[0])
        head = model.signatures["head"]
        assert list(head.inputs) == ["h"]
        np.testing.assert_array_equal(head(h=H)["probs"], session.run("probs:0", {"hidden:0": H}))


@pytest.mark.parametrize("form", ["pb", "saved_model", fh.SavedModel(variables=True)], ids=str)
def test_a_session(session, tmp_path, form):
    path = str(tmp_path / "m.frozen")
    artifact = fh.freeze_session(
        session, path, ["probs"], signatures=SIGNATURES, format=form, verify=True
    )
    assert artifact.max_difference <= 1e-6
    assert list(artifact.signatures) == ["serving_default", "embed", "head"]
    assert artifact.signatures == fh.inspect(path).signatures
    assert_all_right(path, session)
    if form == "pb":
        assert weights(path) == [[4, 6], [6, 3]]


def test_what_signatures_share_is_one_node(session, tmp_path):
    path = str(tmp_path / "m.pb")
    ends = {"embed": ["hidden"], "again": {"features": "hidden", "answer": "probs"}}
    fh.freeze_session(session, path, ["probs"], signatures=ends)
    report = fh.inspect(path)
    assert report.ops["MatMul"] == 2 and report.ops["Relu"] == 1 and report.ops["Softmax"] == 1
    found = {key: each.outputs for key, each in report.signatures.items()}
    assert found["again"][0].name == "features" and found["again"][0].tensor == "hidden:0"
    assert found["again"][1].tensor == found["serving_default"][0].tensor == "probs:0"


def test_equal_names_of_different_tensors(session, tmp_path):
    path = str(tmp_path / "m.pb")
    ends = {"embed": ({"x": "hidden"}, {"probs": "probs"}), "swapped": {"probs": "hidden"}}
    fh.freeze_session(session, path, ["probs"], signatures=ends, verify=True)
    found = fh.inspect(path).signatures
    assert found["embed"].inputs[0].name == "x" and found["embed"].inputs[0].tensor == "embed/x:0"
    assert found["embed"].outputs[0].tensor == "embed/probs:0"
    with fh.load_frozen(path) as model:
        live = session.run("hidden:0", {"x:0": X})
        np.testing.assert_array_equal(model.signatures["swapped"](X)["probs"], live)
        live = session.run("probs:0", {"hidden:0": H})
        np.testing.assert_array_equal(model.signatures["embed"](x=H)["probs"], live)


def test_the_main_one_among_them(session, tmp_path):
    path = str(tmp_path / "m.pb")
    ends = {"embed": ["hidden"], "serving_default": ({"image": "x"}, {"p": "probs"})}
    fh.freeze_session(session, path, signatures=ends)
    with fh.load_frozen(path) as model:
        assert list(model.inputs) == ["image"] and list(model.outputs) == ["p"]
        live = session.run("hidden:0", {"x:0": X})
        np.testing.assert_array_equal(model.signatures["embed"](image=X)["hidden"], live)


@pytest.mark.parametrize(
    "signatures, said",
    [
        ({"embed": ["hiden"]}, "did you mean 'hidden'"),
        ({"embed": ({"h": "hiden"}, ["probs"])}, "did you mean 'hidden'"),
        ({"embed": []}, "'embed' has no outputs"),
        ({"embed": ("x", "hidden", "probs")}, "'embed' has 3 parts"),
        ({"em bed": ["hidden"]}, "'em bed' cannot be a signature's name"),
        (["hidden"], "signatures= is a dict"),
        ({"serving_default": ["hidden"]}, "stands in signatures= too"),
    ],
)
def test_mistakes_are_found_before_training(session, signatures, said):
    with pytest.raises(fh.FreezeError, match=said):
        hook = fh.FreezeHook(outputs=["probs"], signatures=signatures)
        hook.begin()


def test_feeds_of_a_proof(session, tmp_path):
    path = str(tmp_path / "m.pb")

    def freeze(feeds):
        return fh.freeze_session(session, path, ["probs"], signatures=SIGNATURES, verify=feeds)

    assert freeze({"x": X, "h": H}).max_difference <= 1e-6
    assert freeze({"x": X}).max_difference <= 1e-6  # "head" gets random ones
    assert freeze({"serving_default": {"x": X}, "head": {"h": H}}).max_difference <= 1e-6
    with pytest.raises(fh.UnknownNameError, match="feeds 'z', which is not an input"):
        freeze({"x": X, "z": H})
    with pytest.raises(fh.UnknownNameError, match="feeds 'x', which is not an input"):
        freeze({"head": {"x": X}})


def test_a_loop_that_two_signatures_run(graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    w = v1.get_variable("w", [4, 4])
    state = v1.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, tf.matmul(s, w)), (0, x))[1]
    state = tf.identity(state, "state")
    tf.reduce_sum(state, 1, name="total")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        path = str(tmp_path / "m.pb")
        ends = {"state": ["state"], "late": ({"s": "state"}, {"total": "total"})}
        fh.freeze_session(
            live, path, ["total"], signatures=ends, lower_control_flow=True, verify=True
        )
        with fh.load_frozen(path) as model:
            answer = model.signatures["state"](X)["state"]
            np.testing.assert_array_equal(answer, live.run("state:0", {"x:0": X}))
            answer = model.signatures["late"](s=X)["total"]
            np.testing.assert_allclose(answer, X.sum(1), rtol=1e-6)


def test_a_loop_whose_input_one_signature_cuts(graph, tmp_path):
    """The same loop stands twice, so the two need names of their own."""
    v1.disable_control_flow_v2() if not TF1 else None
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    doubled = tf.multiply(x, 2.0, name="doubled")
    w = v1.get_variable("w", [4, 4])
    state = v1.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, tf.matmul(s, w)), (0, doubled))
    tf.identity(state[1], "state")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        path = str(tmp_path / "m.pb")
        ends = {"inner": ({"d": "doubled"}, {"state": "state"})}
        for lower in (False, True):
            fh.freeze_session(
                live, path, ["state"], signatures=ends, lower_control_flow=lower, verify=True
            )
            with fh.load_frozen(path) as model:
                live_state = live.run("state:0", {"x:0": X})
                np.testing.assert_array_equal(model(X)["state"], live_state)
                answer = model.signatures["inner"](d=2 * X)["state"]
                np.testing.assert_array_equal(answer, live_state)
    if not TF1:
        v1.enable_control_flow_v2()


def test_an_inference_graph_with_signatures(tmp_path):
    def build(training=False):
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        hidden = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [4, 6])))
        if training:
            hidden = tf.nn.dropout(hidden, rate=0.5)
        return x, hidden, tf.matmul(hidden, v1.get_variable("v", [6, 3]))

    def inference():
        x, hidden, logits = build()
        return {
            "serving_default": ({"x": x}, {"y": logits}),
            "embed": ({"x": x}, {"hidden": hidden}),
        }

    with tf.Graph().as_default():
        build(training=True)
        with v1.Session() as live:
            live.run(v1.global_variables_initializer())
            path = str(tmp_path / "m.pb")
            fh.freeze_session(live, path, inference_fn=inference, verify=True)
            w, v = live.run(v1.global_variables())
    with fh.load_frozen(path) as model:
        hidden = np.maximum(X @ w, 0)
        np.testing.assert_allclose(model.signatures["embed"](X)["hidden"], hidden, rtol=1e-5)
        np.testing.assert_allclose(model(X)["y"], hidden @ v, rtol=1e-4, atol=1e-5)


def test_a_checkpoint(session, tmp_path):
    prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    path = str(tmp_path / "m.pb")
    fh.freeze_checkpoint(prefix, path, ["probs"], signatures=SIGNATURES, verify=True)
    assert_all_right(path, session)
    report = fh.check(prefix, ["probs"], signatures=SIGNATURES)
    assert report.signatures == fh.inspect(path).signatures


def test_a_hook_and_a_saver(graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    hidden = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [4, 6])), name="hidden")
    loss = tf.reduce_sum(tf.matmul(hidden, v1.get_variable("v", [6, 3]), name="probs"))
    train = v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_or_create_global_step())
    saver = fh.FreezingSaver(
        ["probs"], signatures={"embed": ["hidden"]}, freeze_name="saver", verify=True, strict=True
    )
    hook = fh.FreezeHook(["probs"], signatures={"embed": ["hidden"]}, verify=True, strict=True)
    scaffold = v1.train.Scaffold(saver=saver)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=[hook], scaffold=scaffold
    ) as live:
        for _ in range(4):
            live.run(train, {x: X})
        wanted = live.run(hidden, {x: X})
    for artifact in (hook.artifacts[-1], saver.artifacts[-1]):
        with fh.load_frozen(artifact.path) as model:
            np.testing.assert_array_equal(model.signatures["embed"](X)["hidden"], wanted)


def test_a_saved_model_is_read_by_tensorflow(session, tmp_path):
    path = str(tmp_path / "m")
    fh.freeze_session(session, path, ["probs"], signatures=SIGNATURES, format="saved_model")
    with tf.Graph().as_default(), v1.Session() as other:
        ends = v1.saved_model.loader.load(other, ["serve"], path).signature_def
        assert sorted(ends) == ["embed", "head", "serving_default"]
        head = ends["head"]
        fed = {head.inputs["h"].name: H}
        answer = other.run(head.outputs["probs"].name, fed)
    np.testing.assert_array_equal(answer, session.run("probs:0", {"hidden:0": H}))


@pytest.mark.skipif(TF1, reason="functions with input signatures that share variables are TF 2's")
def test_functions_over_the_same_variables(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(np.random.RandomState(2).randn(4, 6).astype(np.float32), name="w")
            self.v = tf.Variable(np.random.RandomState(3).randn(6, 3).astype(np.float32), name="w")

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def predict(self, x):
            return {"logits": tf.matmul(tf.nn.relu(tf.matmul(x, self.w)), self.v)}

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def embed(self, x):
            return {"hidden": tf.nn.relu(tf.matmul(x, self.w))}

        def head(self, h):
            return {"logits": tf.matmul(h, self.v)}

    module, path = Module(), str(tmp_path / "m.pb")
    signatures = {
        "embed": module.embed,
        "head": (module.head, [tf.TensorSpec([None, 6], name="h")]),
    }
    plan = fh.plan_function(module.predict, signatures=signatures, verify=True)
    for _ in range(2):
        module.w.assign(module.w + 1)
        plan.write(path)
        with fh.load_frozen(path) as model:
            for name, feeds in (("embed", X), ("head", H)):
                answer = model.signatures[name](feeds)
                live = getattr(module, name)(tf.constant(feeds))
                assert list(answer) == list(live)
                for key, value in live.items():
                    np.testing.assert_allclose(answer[key], value.numpy(), rtol=1e-5, atol=1e-5)
            live = module.predict(tf.constant(X))["logits"].numpy()
            np.testing.assert_allclose(model(X)["logits"], live, rtol=1e-5, atol=1e-5)
    assert weights(path) == [[4, 6], [6, 3]]  # though both variables are called "w"


@pytest.mark.skipif(TF1, reason="tf.saved_model.save with signatures is TF 2's")
@pytest.mark.parametrize("bind", [None, {}])
def test_signatures_of_a_saved_model(tmp_path, bind):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(np.random.RandomState(2).randn(4, 6).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def embed(self, x):
            return {"hidden": tf.matmul(x, self.w)}

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def total(self, x):
            return {"total": tf.reduce_sum(tf.matmul(x, self.w), 1)}

    module, path = Module(), str(tmp_path / "m.pb")
    tf.saved_model.save(
        module,
        str(tmp_path / "saved"),
        {"serving_default": module.total, "embed": module.embed},
    )
    fh.freeze_saved_model(tmp_path / "saved", path, signatures=["embed"], verify=True)
    with fh.load_frozen(path) as model:
        wanted = module.embed(tf.constant(X))["hidden"].numpy()
        np.testing.assert_allclose(model.signatures["embed"](X)["hidden"], wanted, rtol=1e-6)
        wanted = module.total(tf.constant(X))["total"].numpy()
        np.testing.assert_allclose(model(X)["total"], wanted, rtol=1e-5, atol=1e-5)
    assert weights(path) == [[4, 6]]
    with pytest.raises(fh.UnknownNameError, match="no signature 'embd'"):
        fh.freeze_saved_model(tmp_path / "saved", path, signatures=["embd"])


def test_a_saved_model_of_tensorflow_1(session, tmp_path):
    tensor = session.graph.get_tensor_by_name
    predict = v1.saved_model.predict_signature_def
    builder = v1.saved_model.Builder(str(tmp_path / "saved"))
    with session.graph.as_default():
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": predict({"x": tensor("x:0")}, {"p": tensor("probs:0")}),
                "embed": predict({"x": tensor("x:0")}, {"hidden": tensor("hidden:0")}),
            },
        )
    builder.save()
    path = str(tmp_path / "m.pb")
    for freeze in (fh.freeze_saved_model, fh.freeze_files):
        freeze(tmp_path / "saved", path, signatures=["embed"], verify=True)
        with fh.load_frozen(path) as model:
            answer = model.signatures["embed"](X)["hidden"]
            np.testing.assert_array_equal(answer, session.run("hidden:0", {"x:0": X}))
    assert os.path.exists(path)
