"""Models whose call takes several arguments, by position or by name, and how a plan learns them."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import HAS_KERAS_3, KERASES, TF1, keras_of

import freeze_hooks as fh

pytestmark = pytest.mark.skipif(TF1, reason="Keras builds a graph there")
A, B = np.array([[1.0, 2.0]], np.float32), np.array([[30.0, 70.0]], np.float32)
SPEC = tf.TensorSpec([None, 2], tf.float32)


@pytest.fixture(params=KERASES)
def keras(request):
    return keras_of(request.param)


def model_of(keras, call, **methods):
    net = type("Net", (keras.Model,), dict(methods, call=call))()
    net.dense, net.norm = keras.layers.Dense(2), keras.layers.BatchNormalization()
    return net


def two(self, a, b):
    return self.dense(a) - self.dense(b)


def training_between(self, a, training, b):
    return self.norm(self.dense(a), training=training) - self.dense(b)


def by_name_alone(self, a, *, b):
    return self.dense(a) - self.dense(b)


def left_out(self, a, b=None, scale=2.0, mask=None, training=False):
    y = self.norm(self.dense(a), training=training) * scale
    return y if b is None else y - self.dense(b)


def any_number(self, *given):
    return sum(self.dense(x) * (i + 1) for i, x in enumerate(given))


def any_names(self, a, **more):
    return self.dense(a) - (self.dense(more["b"]) if "b" in more else 0.0)


def nested(self, a, b):
    return self.dense(a["x"]) - self.dense(b[0])


FORMS = [
    (two, [SPEC, SPEC], ["a", "b"], lambda m: m(A, B)),
    (two, {"b": SPEC, "a": SPEC}, ["a", "b"], lambda m: m(A, B)),
    (training_between, [SPEC, SPEC], ["a", "b"], lambda m: m(A, b=B, training=False)),
    (by_name_alone, {"a": SPEC, "b": SPEC}, ["a", "b"], lambda m: m(A, b=B)),
    (left_out, SPEC, ["inputs"], lambda m: m(A)),
    (left_out, {"a": SPEC, "b": SPEC}, ["a", "b"], lambda m: m(A, b=B)),
    (left_out, {"a": SPEC, "b": None}, ["a"], lambda m: m(A)),
    (left_out, {"a": SPEC}, ["a"], lambda m: m(A)),
    (two, [tf.TensorSpec([None, 2], name="x"), SPEC], ["x", "b"], lambda m: m(A, B)),
    (any_number, [SPEC, SPEC], ["args_0", "args_1"], lambda m: m(A, B)),
    (any_names, SPEC, ["inputs"], lambda m: m(A)),
    (any_names, {"a": SPEC, "b": SPEC}, ["a", "b"], lambda m: m(A, b=B)),
    (nested, [{"x": SPEC}, [SPEC]], ["a_x", "b_0"], lambda m: m({"x": A}, [B])),
    (nested, {"a": {"x": SPEC}, "b": (SPEC,)}, ["a_x", "b_0"], lambda m: m({"x": A}, [B])),
]


@pytest.mark.parametrize("call, given, names, own", FORMS)
def test_told_by_a_signature(keras, call, given, names, own, clean, tmp_path):
    model = model_of(keras, call)
    wanted = own(model)
    path = tmp_path / "m.pb"
    artifact = fh.freeze_keras_model(model, str(path), input_signature=given, verify=True)
    assert [info.name for info in artifact.signature.inputs] == names
    assert artifact.max_difference < 1e-5
    (output,) = artifact.signature.outputs
    feeds = dict(zip([name + ":0" for name in names], (A, B)))
    found = clean.run(path, feeds, [output.tensor])[0]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5)


def test_told_by_a_call(keras, clean, tmp_path):
    """tf_keras keeps the specs of all arguments; Keras 3, by default, the shapes of the first."""
    model, path = model_of(keras, two), tmp_path / "m.pb"
    wanted = model(A, B)
    if HAS_KERAS_3 and keras.__name__ == "keras":
        with pytest.raises(fh.FreezeError, match=r"not kept all .* give input_signature="):
            fh.freeze_keras_model(model, str(path))

        def build(self, a_shape, b_shape):
            self.dense.build(a_shape)

        model = model_of(keras, two, build=build)
        wanted = model(A, B)
    artifact = fh.freeze_keras_model(model, str(path), verify=True)
    assert [info.name for info in artifact.signature.inputs] == ["a", "b"]
    found = clean.run(path, {"a:0": A, "b:0": B}, ["output_0:0"])[0]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5)


def test_training_of_a_model_with_any_names(keras, clean, tmp_path):
    """Keras 3 keeps no record of the arguments that such a model was called with."""
    model = model_of(keras, lambda self, x, **more: self.norm(self.dense(x), **more))
    model.compile("sgd", "mse")
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), verify=True, strict=True)
    model.fit(np.repeat(A, 8, 0), np.zeros((8, 2)), verbose=0, callbacks=[callback])
    (artifact,) = callback.artifacts
    ends = artifact.signature.inputs[0].tensor, artifact.signature.outputs[0].tensor
    found = clean.run(artifact.path, {ends[0]: A}, [ends[1]])[0]
    np.testing.assert_allclose(found, model.predict(A, verbose=0), rtol=1e-5)


@pytest.mark.parametrize(
    "given, said",
    [
        (SPEC, r"takes a, b, .* gives one alone: give a list"),
        ([SPEC], r"takes a, b, .* gives 1 by position"),
        ([SPEC] * 3, r"gives 3 by position"),
        ({"first": SPEC, "b": SPEC}, r"gives 'first', 'b': .*by their names, \{'a': tf.Tensor"),
        ({"a_": SPEC, "b": SPEC}, r"'a_', 'b' \('a_': did you mean 'a'\?\)"),
    ],
)
def test_a_signature_that_does_not_fit(keras, given, said, tmp_path):
    model = model_of(keras, two)
    model(A, B)
    with pytest.raises(fh.FreezeError, match=said):
        fh.freeze_keras_model(model, str(tmp_path / "m.pb"), input_signature=given)


def test_what_depends_on_a_dtype_that_keras_forgets(keras, tmp_path):
    """A file with a float32 input would return values 255 times too large."""
    model = model_of(keras, lambda self, x: self.dense(tf.image.convert_image_dtype(x, tf.float32)))
    pixels, path = np.array([[100, 200]], "uint8"), str(tmp_path / "m.pb")
    wanted = model(pixels).numpy()
    if HAS_KERAS_3 and keras.__name__ == "keras":
        with pytest.raises(fh.FreezeError, match=r"remembers no dtypes.*tf\.uint8"):
            fh.freeze_keras_model(model, path)
    told = tf.TensorSpec([None, 2], tf.uint8)
    fh.freeze_keras_model(model, path, input_signature=told, verify=pixels)
    with fh.load_frozen(path) as frozen:
        np.testing.assert_allclose(frozen(inputs=pixels)["output_0"], wanted, rtol=1e-5)


def test_a_batch_that_shows_a_wrong_signature(keras, tmp_path):
    model = model_of(keras, lambda self, x: self.dense(tf.image.convert_image_dtype(x, tf.float32)))
    pixels, path = np.array([[100, 200]], "uint8"), str(tmp_path / "m.pb")
    model(pixels)
    for batch in (pixels, {"inputs": pixels}):
        with pytest.raises(fh.NotVerifiedError, match="differs from the live"):
            fh.freeze_keras_model(model, path, input_signature=SPEC, verify=batch)


def test_numbers_that_a_file_would_round(keras, tmp_path):
    model = model_of(keras, lambda self, x: self.dense(tf.cast(x % 7, tf.float32)))
    ids, path = np.array([[2**24 + 1, 2**24 + 3]]), str(tmp_path / "m.pb")
    model(ids)
    with pytest.raises(fh.NotVerifiedError, match=r"float32 cannot hold 16777217"):
        fh.freeze_keras_model(model, path, input_signature=SPEC, verify=ids)
