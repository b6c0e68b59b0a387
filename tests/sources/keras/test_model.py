"""weights= and optimize= for Keras models."""

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants, read_graph_def

import freeze_hooks as fh

RNG = np.random.RandomState(0)
X, Y = RNG.rand(64, 8, 8, 1).astype(np.float32), RNG.randint(0, 3, 64)


@pytest.fixture
def model():
    layers = tf.keras.layers
    made = tf.keras.Sequential(
        [
            layers.Conv2D(4, 3, input_shape=(8, 8, 1), name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="probs"),
        ]
    )
    made.compile("adam", "sparse_categorical_crossentropy")
    yield made
    tf.keras.backend.clear_session()


def frozen_answer(clean, path):
    signature = fh.inspect(path).signature
    (given,), (answer,) = signature.inputs, signature.outputs
    return clean.run(path, {given.tensor: X}, [answer.tensor])[0]


@pytest.mark.parametrize("weights", ["float16", "bfloat16"])
def test_small_weights_at_each_epoch(weights, model, clean, tmp_path):
    path = str(tmp_path / "{epoch}.pb")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[fh.FreezeCallback(path, weights=weights)])
    path = str(tmp_path / "2.pb")
    small = tf.as_dtype(weights).as_numpy_dtype
    values = model.get_weights()
    model.set_weights([value.astype(small).astype(np.float32) for value in values])
    want = model.predict(X, verbose=0)
    np.testing.assert_allclose(frozen_answer(clean, path), want, atol=1e-6)
    held = constants(path)["conv/kernel/" + weights]
    np.testing.assert_array_equal(held.astype(np.float32), model.get_weights()[0])


def test_optimized(model, clean, tmp_path):
    model.fit(X, Y, epochs=2, verbose=0)
    path = str(tmp_path / "a.pb")
    fh.freeze_keras_model(model, path, optimize=True)
    np.testing.assert_allclose(frozen_answer(clean, path), model.predict(X, verbose=0), atol=1e-5)
    assert not any(node.op.startswith("FusedBatchNorm") for node in read_graph_def(path).node)
