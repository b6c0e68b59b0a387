"""What the inputs and outputs of a Keras model are called, and that each name is the right one."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of

import freeze_hooks as fh

ONE, TWO = np.array([[1.0, 2.0]], np.float32), np.array([[30.0, 70.0]], np.float32)


@pytest.fixture(params=KERASES)
def keras(request):
    found = keras_of(request.param)
    found.backend.clear_session()
    yield found
    found.backend.clear_session()


def is_keras_3(keras):
    return getattr(keras, "__version__", "2").startswith("3")


def difference(keras, a, b, turned):
    """Return a model of a - b."""
    return keras.Model([b, a] if turned else [a, b], keras.layers.Subtract(name="diff")([a, b]))


def inputs_of(artifact):
    return [tensor.name for tensor in artifact.signature.inputs]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("names", [("input_1", "input_2"), ("a", "input"), ("input", "input_1")])
def test_names_that_look_as_if_keras_gave_them(keras, turned, names, clean, tmp_path):
    a, b = (keras.Input((2,), name=name) for name in names)
    artifact = fh.freeze_keras_model(difference(keras, a, b, turned), str(tmp_path / "m.pb"))
    assert sorted(inputs_of(artifact)) == sorted(names)
    feeds = dict(zip((name + ":0" for name in names), (ONE, TWO)))
    np.testing.assert_array_equal(clean.run(tmp_path / "m.pb", feeds, ["diff:0"])[0], ONE - TWO)


@pytest.mark.parametrize("turned", [False, True])
def test_names_that_keras_gave(keras, turned, clean, tmp_path):
    for _ in range(3):
        keras.Input((2,))
    a, b = keras.Input((2,)), keras.Input((2,))
    artifact = fh.freeze_keras_model(difference(keras, a, b, turned), str(tmp_path / "m.pb"))
    first = ["input_layer", "input_layer_1"] if is_keras_3(keras) else ["input_1", "input_2"]
    assert sorted(inputs_of(artifact)) == first
    feeds = dict(zip((name + ":0" for name in first), (ONE, TWO)))
    np.testing.assert_array_equal(clean.run(tmp_path / "m.pb", feeds, ["diff:0"])[0], ONE - TWO)


def test_keras_3_gives_no_such_name(keras, tmp_path):
    if not is_keras_3(keras):
        pytest.skip("Keras 2 counts so itself")
    a, b = keras.Input((2,), name="input_7"), keras.Input((2,), name="input_3")
    artifact = fh.freeze_keras_model(difference(keras, a, b, False), str(tmp_path / "m.pb"))
    assert inputs_of(artifact) == ["input_7", "input_3"]


def answering(keras, composite, pack):
    """Return a model with two outputs, a composite tensor and a dense one."""

    class Answering(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return pack(composite(x), self.dense(x))

    return Answering()


def as_dict(tokens, z):
    return {"tokens": tokens, "state": None, "z": z}


def ragged(x):
    return tf.RaggedTensor.from_tensor(x, padding=0.0)


ENDS = [
    (ragged, as_dict, ["tokens/values", "tokens/row_splits", "z"]),
    (ragged, lambda *both: list(both), ["output_0/values", "output_0/row_splits", "output_1"]),
    (
        tf.sparse.from_dense,
        as_dict,
        ["tokens/indices", "tokens/values", "tokens/dense_shape", "z"],
    ),
]


@pytest.mark.skipif(TF1, reason="Keras builds a graph there")
@pytest.mark.parametrize("composite,pack,names", ENDS)
def test_composite_outputs_are_several(keras, composite, pack, names, clean, tmp_path):
    x = np.array([[1, 2], [3, 0], [0, 0]], np.float32)
    model = answering(keras, composite, pack)
    live = [t for t in tf.nest.flatten(model(x), expand_composites=True) if t is not None]
    specs = tf.TensorSpec([None, 2], tf.float32, name="x")
    path, feeds = tmp_path / "m.pb", {"x": x}
    fh.freeze_keras_model(model, str(path), input_signature=specs, verify=feeds)
    found = clean.run(path, {"x:0": x}, [name + ":0" for name in names])
    for tensor, answer in zip(live, found):
        np.testing.assert_array_equal(answer, tensor.numpy())


def test_the_ragged_output_of_a_layer(keras, clean, tmp_path):
    if TF1:
        pytest.skip("its TextVectorization gives no ragged tensors")
    layer = keras.layers.TextVectorization(ragged=True, name="tokens")
    layer.adapt(["a b c", "b c"])
    text = keras.Input((), dtype="string", name="text")
    model = keras.Model(
        text, [layer(text), keras.layers.Lambda(tf.strings.length, (), name="n")(text)]
    )
    fh.freeze_keras_model(model, str(tmp_path / "m.pb"))
    words = np.array([b"a b", b"c"])
    tokens, length = model(tf.constant(words))
    fetches = ["tokens/values:0", "tokens/row_splits:0", "n:0"]
    values, splits, n = clean.run(tmp_path / "m.pb", {"text:0": words}, fetches)
    assert values.tolist() == tokens.flat_values.numpy().tolist()
    assert splits.tolist() == tokens.row_splits.numpy().tolist()
    assert n.tolist() == length.numpy().tolist() == [3, 1]


@pytest.mark.skipif(TF1, reason="has no StringLookup")
def test_texts_of_a_subclassed_model(keras, clean, tmp_path):
    """Keras 3 remembers only shapes, no dtypes."""

    class Score(keras.Model):
        def __init__(self):
            super().__init__()
            self.encode = keras.layers.StringLookup(vocabulary=["a"], output_mode="one_hot")

        def call(self, inputs):
            return tf.cast(self.encode(inputs["word"]), tf.float32) * inputs["weight"]

    model = Score()
    weights = np.array([[2.0], [3.0]], np.float32)
    wanted = model({"word": tf.constant([["a"], ["?"]]), "weight": weights})
    artifact = fh.freeze_keras_model(model, str(tmp_path / "m.pb"))
    given = [(tensor.name, tensor.dtype) for tensor in artifact.signature.inputs]
    assert given == [("weight", "float32"), ("word", "string")]
    feeds = {"word:0": np.array([["a"], ["?"]], "S"), "weight:0": weights}
    (got,) = clean.run(artifact.path, feeds, ["output_0:0"])
    assert got.tolist() == np.asarray(wanted).tolist() == [[0, 2], [3, 0]]


@pytest.mark.skipif(TF1, reason="Keras builds a graph there")
def test_layers_over_time_are_right_or_refused(keras, clean, tmp_path):
    """Keras 3.15 confuses batch and time if a trace leaves both sizes open."""
    steps = keras.Input((None, 4), name="steps")
    layer = keras.layers.TimeDistributed(keras.layers.Dense(2), name="each")
    model, path = keras.Model(steps, layer(steps)), tmp_path / "m.pb"
    data = np.random.RandomState(0).randn(3, 5, 4).astype(np.float32)
    try:
        fh.freeze_keras_model(model, str(path))
    except fh.NotFreezableError as error:
        assert "'each'" in str(error) and is_keras_3(keras)
        five = tf.TensorSpec((None, 5, 4), tf.float32, "steps")
        fh.freeze_keras_model(model, str(path), input_signature=five)
    (found,) = clean.run(path, {"steps:0": data}, [fh.inspect(path).signature.outputs[0].tensor])
    np.testing.assert_allclose(found, model.predict(data, verbose=0), atol=1e-6)


def test_a_file_is_no_model(tmp_path):
    with pytest.raises(fh.FreezeError, match="not a Keras model"):
        fh.freeze_keras_model(str(tmp_path / "m.keras"), str(tmp_path / "m.pb"))
