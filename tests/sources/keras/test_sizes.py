"""Which batch sizes the file of a Keras model takes."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of

import freeze_hooks as fh

pytestmark = pytest.mark.skipif(TF1, reason="Keras builds a graph there")
X = np.random.RandomState(0).randn(40, 3).astype(np.float32)


@pytest.fixture(params=KERASES)
def keras(request):
    return keras_of(request.param)


def deferred(keras):
    return keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2, name="out")])


def fitted(model):
    model.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensor_slices((X, X[:, :2])).batch(20, drop_remainder=True)
    model.fit(data, verbose=0)


def called(model):
    model(X[:3])


def predicted(model):
    model.predict(X[:5], verbose=0)


def shape_of(model, path, **how):
    artifact = fh.freeze_keras_model(model, str(path), **how)
    (only,) = artifact.signature.inputs
    return only.name, only.shape


@pytest.mark.parametrize("used", [fitted, called, predicted])
def test_a_sequential_without_an_input_takes_any(keras, used, clean, tmp_path):
    model = deferred(keras)
    used(model)
    name, shape = shape_of(model, tmp_path / "m.pb", verify=True)
    assert shape == (None, 3)
    found = clean.run(tmp_path / "m.pb", {name + ":0": X[:7]}, ["out:0"])[0]
    np.testing.assert_allclose(found, model(X[:7]), rtol=1e-5, atol=1e-6)


def test_one_inside_another(keras, tmp_path):
    model = keras.Sequential([deferred(keras), keras.layers.Dense(1)])
    model(X[:3])
    assert shape_of(model, tmp_path / "m.pb")[1] == (None, 3)


def test_layers_that_want_the_size_keep_it(keras, tmp_path):
    def flat(x):
        return tf.reshape(x, [int(x.shape[0]) * 3])  # an error if it is None

    model = keras.Sequential([keras.layers.Lambda(flat)])
    model(X[:4])
    assert shape_of(model, tmp_path / "m.pb")[1] == (4, 3)


@pytest.mark.parametrize("size", [{"shape": (3,), "batch_size": 4}, {"batch_shape": (4, 3)}])
@pytest.mark.parametrize("functional", [False, True])
def test_a_declared_size_stays(keras, functional, size, tmp_path):
    given = keras.Input(name="x", **size)
    dense = keras.layers.Dense(2)
    model = keras.Model(given, dense(given)) if functional else keras.Sequential([given, dense])
    assert shape_of(model, tmp_path / "m.pb") == ("x", (4, 3))


def test_the_declared_size_of_an_inner_model_stays(keras, tmp_path):
    given = keras.Input((3,), batch_size=4, name="x")
    inner = keras.Model(given, keras.layers.Dense(2)(given))
    model = keras.Sequential([inner, keras.layers.Dense(1)])
    model(X[:4])
    assert shape_of(model, tmp_path / "m.pb")[1] == (4, 3)
