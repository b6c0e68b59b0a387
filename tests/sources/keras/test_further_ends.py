"""Further signatures of Keras models: layers, tensors and functions."""

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

keras = tf.keras
TF1 = tf.__version__.startswith("1.")
X = np.random.RandomState(0).rand(8, 64).astype(np.float32)
Y = np.random.RandomState(1).randint(0, 10, 8)


def digits(name="digits"):
    inputs = keras.Input([64], name="pixels")
    hidden = keras.layers.Dense(16, activation="relu", name="hidden")(inputs)
    pooled = keras.layers.Dropout(0.5, name="dropped")(hidden)
    outputs = keras.layers.Dense(10, activation="softmax", name="probs")(pooled)
    model = keras.Model(inputs, outputs, name=name)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def part(model, layer):
    return keras.Model(model.inputs, model.get_layer(layer).output)


@pytest.mark.parametrize("form", ["pb", "saved_model"])
def test_the_callback(tmp_path, form):
    model = digits()
    path = str(tmp_path / ("m.pb" if form == "pb" else "m"))
    callback = fh.FreezeCallback(
        path, signatures={"embed": "hidden"}, verify=True, strict=True, format=form
    )
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    with fh.load_frozen(path) as frozen:
        assert frozen.signatures["embed"].inputs.keys() == frozen.inputs.keys() == {"pixels"}
        wanted = part(model, "hidden").predict(X, verbose=0)
        got = frozen.signatures["embed"](X)["hidden"]
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            frozen(X)["probs"], model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
        )
        nodes = frozen.graph_def.node
    kernels = [n for n in nodes if n.op == "Const" and n.name.endswith("kernel")]
    assert len(kernels) == 2  # each once
    assert sum(node.op == "MatMul" for node in nodes) == 2  # what they share is computed once
    assert callback.artifacts[-1].max_difference <= 1e-5


def test_tensors_lists_dicts_and_inputs(tmp_path):
    model, path = digits(), str(tmp_path / "m.pb")
    signatures = {
        "tensor": model.get_layer("hidden").output,
        "both": {"h": "hidden", "p": model.outputs[0]},
        "listed": ["hidden", "probs"],
        "head": ("dropped", {"p": "probs"}),
    }
    fh.freeze_keras_model(model, path, signatures=signatures, verify=True)
    hidden = part(model, "hidden").predict(X, verbose=0)
    probs = model.predict(X, verbose=0)
    with fh.load_frozen(path) as frozen:
        close = {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(frozen.signatures["tensor"](X)["hidden"], hidden, **close)
        both = frozen.signatures["both"](X)
        np.testing.assert_allclose(both["h"], hidden, **close)
        np.testing.assert_allclose(both["p"], probs, **close)
        listed = frozen.signatures["listed"](X)
        assert list(listed) == ["hidden", "probs"]
        head = frozen.signatures["head"]
        assert list(head.inputs) == ["dropped"]
        np.testing.assert_allclose(head(hidden)["p"], probs, **close)


def test_a_sequential_model(tmp_path):
    model = keras.Sequential(
        [
            keras.layers.Dense(16, activation="relu", name="hidden", input_shape=[64]),
            keras.layers.Dense(10, name="logits"),
        ]
    )
    path = str(tmp_path / "m.pb")
    fh.freeze_keras_model(model, path, signatures={"embed": "hidden"}, verify=True)
    kernel, bias = model.layers[0].get_weights()
    with fh.load_frozen(path) as frozen:
        wanted = np.maximum(X @ kernel + bias, 0)
        np.testing.assert_allclose(frozen.signatures["embed"](X)["hidden"], wanted, rtol=1e-4)


@pytest.mark.skipif(TF1, reason="in graph mode, a function has no variables of Keras")
def test_a_function(tmp_path):
    model, path = digits(), str(tmp_path / "m.pb")

    @tf.function(input_signature=[tf.TensorSpec([None, 64], name="pixels")])
    def best(pixels):
        return {"best": tf.argmax(model(pixels, training=False), 1)}

    fh.freeze_keras_model(model, path, signatures={"best": best}, verify=True)
    with fh.load_frozen(path) as frozen:
        wanted = model.predict(X, verbose=0).argmax(1)
        np.testing.assert_array_equal(frozen.signatures["best"](X)["best"], wanted)
        kernels = [n for n in frozen.graph_def.node if n.name.endswith("kernel")]
    assert len(kernels) == 2


@pytest.mark.parametrize(
    "signatures, said",
    [
        ({"embed": "hiden"}, "'embed': 'digits' has no layer 'hiden': did you mean 'hidden'"),
        ({"embed": 3}, "'embed': 3 is no layer's name"),
        ({"serving_default": "hidden"}, "leave it out"),
        (
            {"head": ("probs", "hidden")},
            "'head': its outputs cannot be computed from its inputs|inputs= leaves out: pixels",
        ),
    ],
)
def test_mistakes_are_found_before_training(tmp_path, signatures, said):
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), signatures=signatures, strict=True)
    with pytest.raises(fh.FreezeError, match=said):
        digits().fit(X, Y, verbose=0, callbacks=[callback])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(TF1, reason="a subclassed model in graph mode has no layers with tensors")
def test_a_subclassed_model_says_what_to_do(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(X)
    with pytest.raises(fh.FreezeError, match=r"'embed': .* give a tf\.function"):
        fh.freeze_keras_model(model, str(tmp_path / "m.pb"), signatures={"embed": "dense"})
