"""What the batches of fit tell about a model's inputs; looking at them does not change training."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of

import freeze_hooks as fh

pytestmark = pytest.mark.skipif(TF1, reason="Keras builds a graph there")
RNG = np.random.RandomState(0)
IMAGES = RNG.randint(0, 256, (8, 8, 8, 3)).astype("uint8")
ROWS, WANTED = RNG.rand(26, 3).astype("float32"), RNG.rand(26, 2).astype("float32")


@pytest.fixture(params=KERASES)
def keras(request):
    return keras_of(request.param)


def subclassed(keras, call, **layers):
    """Return a model with `call(self, x)` as its call and `layers` as its attributes."""
    net = type("Net", (keras.Model,), {"call": call})()
    for name, layer in layers.items():
        setattr(net, name, layer)
    return net


def fitted(model, path, x, width=2, **how):
    """Return the last artifact of a training on `x`, which is arrays or a dataset of batches."""
    model.compile("sgd", "mse")
    callback = fh.FreezeCallback(str(path), **dict({"verify": True, "strict": True}, **how))
    if isinstance(x, tf.data.Dataset):
        model.fit(x, epochs=2, verbose=0, callbacks=[callback])
    else:
        model.fit(x, np.zeros((len(x), width)), batch_size=4, verbose=0, callbacks=[callback])
    return callback.artifacts[-1]


def answer(clean, artifact, *values):
    feeds = {info.tensor: value for info, value in zip(artifact.signature.inputs, values)}
    return clean.run(artifact.path, feeds, [info.tensor for info in artifact.signature.outputs])[0]


def pictures(keras):
    """Return a model that answers 255 times as much to floats as to the same numbers in uint8."""

    def call(self, x):
        return self.pool(self.conv(tf.image.convert_image_dtype(x, tf.float32)))

    layers = keras.layers
    return subclassed(keras, call, conv=layers.Conv2D(2, 3), pool=layers.GlobalAveragePooling2D())


def test_images_of_bytes(keras, clean, tmp_path):
    model = pictures(keras)
    artifact = fitted(model, tmp_path / "m.pb", IMAGES)
    assert artifact.signature.inputs[0].dtype == "uint8"
    found = answer(clean, artifact, IMAGES)
    np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0), rtol=1e-4)


def test_ids_that_float32_would_round(keras, clean, tmp_path):
    known = [100000001, 100000002, 100000003]
    model = subclassed(
        keras,
        lambda self, x: self.rows(self.look(x)),
        look=keras.layers.IntegerLookup(vocabulary=known),
        rows=keras.layers.Embedding(4, 2),
    )
    ids = np.array([*known, 5])[:, None]
    artifact = fitted(model, tmp_path / "m.pb", ids)
    assert artifact.signature.inputs[0].dtype == "int64"
    np.testing.assert_array_equal(answer(clean, artifact, ids), model(ids).numpy())


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool", "float16", "float32"])
def test_dtypes_stay(keras, dtype, clean, tmp_path):
    def call(self, x):
        assert x.dtype in (dtype, tf.as_dtype(dtype))
        return self.dense(tf.cast(x, tf.float32))

    model = subclassed(keras, call, dense=keras.layers.Dense(2))
    if dtype == "float16":
        model._autocast = model.autocast = False
    x = (ROWS * 9).astype(dtype)
    data = tf.data.Dataset.from_tensor_slices((x, WANTED)).batch(4)
    artifact = fitted(model, tmp_path / "m.pb", data)
    assert [(i.dtype, i.shape) for i in artifact.signature.inputs] == [(dtype, (None, 3))]
    found = answer(clean, artifact, x)
    np.testing.assert_allclose(found, model(tf.constant(x)).numpy(), rtol=1e-5)


def test_double_precision_is_what_keras_casts_it_to(keras, clean, tmp_path):
    model = subclassed(keras, lambda self, x: self.dense(x), dense=keras.layers.Dense(2))
    x = RNG.rand(8, 3)
    data = tf.data.Dataset.from_tensor_slices((x, WANTED[:8])).batch(4)
    artifact = fitted(model, tmp_path / "m.pb", data)
    assert artifact.signature.inputs[0].dtype == "float32"
    found = answer(clean, artifact, x.astype("float32"))
    np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-5)


def test_texts(keras, clean, tmp_path):
    words = np.array([["a"], ["b"], ["?"], ["a"]])
    model = subclassed(
        keras,
        lambda self, x: self.rows(self.look(x)),
        look=keras.layers.StringLookup(vocabulary=["a", "b"]),
        rows=keras.layers.Embedding(3, 2),
    )
    data = tf.data.Dataset.from_tensor_slices((words, np.zeros((4, 1, 2)))).batch(2)
    artifact = fitted(model, tmp_path / "m.pb", data)
    assert artifact.signature.inputs[0].dtype == "string"
    found = answer(clean, artifact, words.astype("S"))
    np.testing.assert_array_equal(found, model(tf.constant(words)).numpy())


def together(keras, pick):
    def call(self, inputs):
        image, ids = pick(inputs)
        return self.dense(tf.image.convert_image_dtype(image, tf.float32)) + self.rows(ids)

    layers = keras.layers
    return subclassed(keras, call, dense=layers.Dense(2), rows=layers.Embedding(4, 2))


@pytest.mark.parametrize(
    "pack, pick, names",
    [
        (lambda i, k: {"image": i, "ids": k}, lambda x: (x["image"], x["ids"]), ["ids", "image"]),
        (lambda i, k: (i, k), lambda x: x, ["inputs_0", "inputs_1"]),
        (
            lambda i, k: {"all": (i, {"k": k})},
            lambda x: (x["all"][0], x["all"][1]["k"]),
            ["all_0", "all_1_k"],
        ),
    ],
    ids=["dict", "tuple", "nested"],
)
def test_structures(keras, pack, pick, names, clean, tmp_path):
    image = RNG.randint(0, 256, (8, 5)).astype("uint8")
    ids = RNG.randint(0, 4, 8).astype("int64")
    data = tf.data.Dataset.from_tensor_slices((pack(image, ids), np.zeros((8, 2)))).batch(3)
    model = together(keras, pick)
    artifact = fitted(model, tmp_path / "m.pb", data)
    found = [info.name for info in artifact.signature.inputs]
    assert found == names or found == ["input_1", "input_2"]  # the names that Keras 2 gives
    values = [image if info.dtype == "uint8" else ids for info in artifact.signature.inputs]
    wanted = model(pack(tf.constant(image), tf.constant(ids))).numpy()
    np.testing.assert_allclose(answer(clean, artifact, *values), wanted, rtol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_batches_that_are_not_dense(keras, sparse, clean, tmp_path):
    def call(self, x):
        if sparse:
            return self.dense(tf.ensure_shape(tf.sparse.to_dense(x), [None, 4]))
        return self.dense(tf.reduce_sum(x, axis=1)[:, None] * [[1.0, 2.0, 3.0, 4.0]])

    model = subclassed(keras, call, dense=keras.layers.Dense(2))
    if sparse:
        x = tf.sparse.from_dense(RNG.randint(0, 2, (6, 4)).astype("float32"))
    else:
        x = tf.ragged.constant([[1.0], [2.0, 3.0], [], [4.0], [5.0, 6.0, 7.0], [8.0]])
    data = tf.data.Dataset.from_tensor_slices((x, np.zeros((6, 2), "float32"))).batch(3)
    artifact = fitted(model, tmp_path / "m.pb", data)
    parts = [x.indices, x.values, x.dense_shape] if sparse else [x.values, x.row_splits]
    found = answer(clean, artifact, *(part.numpy() for part in parts))
    np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-5)


class TestSizes:
    def shapes(self, artifact):
        return [info.shape for info in artifact.signature.inputs]

    def test_images(self, keras, clean, tmp_path):
        model = subclassed(
            keras, lambda self, x: self.conv(x), conv=keras.layers.Conv2D(3, 3, padding="same")
        )
        model.compile("sgd", "mse")
        callback = fh.FreezeCallback(str(tmp_path / "m.pb"), verify=True, strict=True)
        model.fit(np.ones((4, 8, 8, 3)), np.ones((4, 8, 8, 3)), verbose=0, callbacks=[callback])
        (artifact,) = callback.artifacts
        assert self.shapes(artifact) == [(None, None, None, 3)]
        other = RNG.rand(2, 12, 10, 3).astype("float32")
        found = answer(clean, artifact, other)
        np.testing.assert_allclose(found, model.predict(other, verbose=0), atol=1e-5)

    def test_what_the_model_wants_stays_and_is_told(self, keras, warnings_logged, tmp_path):
        model = subclassed(
            keras,
            lambda self, x: self.dense(self.flat(x)),
            flat=keras.layers.Flatten(),
            dense=keras.layers.Dense(2),
        )
        artifact = fitted(model, tmp_path / "m.pb", RNG.rand(8, 5, 6, 1))
        assert self.shapes(artifact) == [(None, 5, 6, 1)]
        (told,) = [message for message in warnings_logged if "sizes" in message]
        assert "[None, 5, 6, 1]" in told and "input_signature=" in told
        assert "tf.TensorSpec([None, None, None, 1], tf.float32)" in told

    def test_lengths_of_texts(self, keras, clean, tmp_path):
        def call(self, x):
            return tf.reduce_mean(self.rows(x), axis=1)

        model = subclassed(keras, call, rows=keras.layers.Embedding(9, 2))
        artifact = fitted(model, tmp_path / "m.pb", RNG.randint(0, 9, (8, 5)))
        assert self.shapes(artifact) == [(None, None)]
        longer = RNG.randint(0, 9, (3, 11))
        found = answer(clean, artifact, longer)
        np.testing.assert_allclose(found, model(longer).numpy(), rtol=1e-5)

    def test_those_that_differ_between_batches(self, keras, clean, tmp_path):
        model = subclassed(
            keras,
            lambda self, x: tf.reduce_sum(self.dense(x), axis=1),
            dense=keras.layers.Dense(2),
        )

        def batches():
            for length in (3, 7, 5):
                yield RNG.rand(2, length, 4).astype("float32"), np.zeros((2, 2), "float32")

        spec = (tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, 2]))
        data = tf.data.Dataset.from_generator(batches, output_signature=spec)
        artifact = fitted(model, tmp_path / "m.pb", data)
        assert self.shapes(artifact) == [(None, None, 4)]

    def test_a_batch_size_that_is_dropped_to_is_not_wanted(self, keras, tmp_path):
        model = subclassed(keras, lambda self, x: self.dense(x), dense=keras.layers.Dense(2))
        data = tf.data.Dataset.from_tensor_slices((ROWS, WANTED)).batch(4, drop_remainder=True)
        assert self.shapes(fitted(model, tmp_path / "m.pb", data)) == [(None, 3)]

    def test_a_batch_size_that_the_model_wants(self, keras, warnings_logged, tmp_path):
        def call(self, x):
            return self.dense(tf.reshape(x, [int(x.shape[0]), 3]))  # an error if it is None

        model = subclassed(keras, call, dense=keras.layers.Dense(2))
        data = tf.data.Dataset.from_tensor_slices((ROWS, WANTED)).batch(4, drop_remainder=True)
        assert self.shapes(fitted(model, tmp_path / "m.pb", data)) == [(4, 3)]
        assert any("[4, 3]" in message for message in warnings_logged)


class TestTrainStep:
    """The file takes what train_step passes to the model, not the batch itself."""

    def net(self, keras, call, step):
        def train_step(self, data):
            with tf.GradientTape() as tape:
                answer, wanted = step(self, data)
                loss = tf.reduce_mean((answer - wanted) ** 2)
            slopes = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(slopes, self.trainable_variables))
            return {"loss": loss}

        methods = {"call": call, "train_step": train_step}
        net = type("Net", (keras.Model,), methods)()
        net.dense = keras.layers.Dense(2)
        return net

    def train(self, model, data, path):
        model.compile("sgd")
        callback = fh.FreezeCallback(str(path), verify=True, strict=True)
        data = tf.data.Dataset.from_tensor_slices(data).batch(4)
        model.fit(data, epochs=2, verbose=0, callbacks=[callback])
        return callback.artifacts[-1]

    def test_picks(self, keras, clean, tmp_path):
        model = self.net(
            keras,
            lambda self, x: self.dense(tf.image.convert_image_dtype(x, tf.float32)),
            lambda self, data: (self(data["image"]), data["label"]),
        )
        images = RNG.randint(0, 256, (8, 4)).astype("uint8")
        data = {"image": images, "label": WANTED[:8]}
        artifact = self.train(model, data, tmp_path / "m.pb")
        assert [i.dtype for i in artifact.signature.inputs] == ["uint8"]
        found = answer(clean, artifact, images)
        np.testing.assert_allclose(found, model(images).numpy(), rtol=1e-5)

    def test_scales(self, keras, clean, tmp_path):
        model = self.net(
            keras,
            lambda self, x: self.dense(tf.image.convert_image_dtype(x, tf.float32)),
            lambda self, data: (self(tf.cast(data[0], tf.float32) / 255), data[1]),
        )
        images = RNG.randint(0, 256, (8, 4)).astype("uint8")
        artifact = self.train(model, (images, WANTED[:8]), tmp_path / "m.pb")
        assert [i.dtype for i in artifact.signature.inputs] == ["float32"]
        scaled = images.astype("float32") / 255
        found = answer(clean, artifact, scaled)
        np.testing.assert_allclose(found, model(scaled).numpy(), rtol=1e-5)

    def test_calls_with_two(self, keras, clean, tmp_path):
        if not hasattr(keras, "ops"):
            pytest.skip("Keras 2's fit refuses a call of two arguments by position")
        model = self.net(
            keras,
            lambda self, a, b: (
                self.dense(tf.image.convert_image_dtype(a, tf.float32)) - self.dense(b)
            ),
            lambda self, data: (self(data[0][0], data[0][1]), data[1]),
        )
        images, rows = RNG.randint(0, 256, (8, 4)).astype("uint8"), RNG.rand(8, 4)
        rows = rows.astype("float32")
        artifact = self.train(model, ((images, rows), WANTED[:8]), tmp_path / "m.pb")
        assert [(i.name, i.dtype) for i in artifact.signature.inputs] == [
            ("a", "uint8"),
            ("b", "float32"),
        ]
        found = answer(clean, artifact, images, rows)
        np.testing.assert_allclose(found, model(images, rows).numpy(), rtol=1e-5, atol=1e-6)


def test_mixed_precision_takes_float32(keras, tmp_path):
    half = keras.mixed_precision.Policy("mixed_float16")
    model = type("Net", (keras.Model,), {"call": lambda self, x: self.dense(x)})(dtype=half)
    model.dense = keras.layers.Dense(2, dtype=half)
    artifact = fitted(model, tmp_path / "m.pb", ROWS, verify=fh.Verify(tolerance=1e-2))
    assert artifact.signature.inputs[0].dtype == "float32"


def counting(keras, traces, drop=True):
    """Return a model that adds each trace of its train_step to `traces`."""

    class Counting(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.norm = keras.layers.Dense(2), keras.layers.BatchNormalization()
            self.drop = keras.layers.Dropout(0.3 if drop else 0.0, seed=5)

        def call(self, x, training=None):
            return self.drop(self.norm(self.dense(x), training=training), training=training)

        def train_step(self, data):
            traces.append(data)
            return super().train_step(data)

    return Counting()


def generated():
    for i in range(7):
        yield ROWS[3 * i : 3 * i + 3], WANTED[3 * i : 3 * i + 3]


DATA = {
    "arrays": lambda: {"x": ROWS, "y": WANTED, "batch_size": 4, "shuffle": True},
    "weighted": lambda: {"x": ROWS, "y": WANTED, "sample_weight": WANTED[:, 0], "batch_size": 5},
    "generator": lambda: {"x": generated(), "steps_per_epoch": 3},
    "shuffled": lambda: {
        "x": tf.data.Dataset.from_tensor_slices((ROWS, WANTED)).shuffle(26, seed=3).batch(4)
    },
}
COMPILED = {
    "plain": {},
    "several": {"steps_per_execution": 3},
    "eager": {"run_eagerly": True},
    "compiled": {"jit_compile": True},
}


@pytest.mark.parametrize(
    "data, compiled",
    [
        ("arrays", "plain"),
        ("arrays", "several"),
        ("arrays", "eager"),
        ("shuffled", "compiled"),
        ("shuffled", "several"),
        ("weighted", "plain"),
        ("generator", "plain"),
    ],
)
def test_training_does_not_notice(keras, data, compiled, tmp_path):
    """Weights, history and traces are the same with and without the callback, bit for bit."""
    seen = []
    for callbacks in ([], [fh.FreezeCallback(str(tmp_path / "m.pb"), save_freq=2, verify=True)]):
        keras.utils.set_random_seed(3)
        traces = []
        model = counting(keras, traces, compiled != "compiled")  # XLA draws other random numbers
        model.compile(keras.optimizers.Adam(), "mse", **COMPILED[compiled])
        history = model.fit(**DATA[data](), epochs=2, verbose=0, callbacks=callbacks).history
        weights = [value.tobytes() for value in model.get_weights()]
        seen.append((weights, history, len(traces)))
        assert not callbacks or callbacks[0].artifacts
    assert seen[0] == seen[1]


def test_the_train_function_is_put_back(keras, tmp_path):
    model = counting(keras, [])
    model.compile("sgd", "mse")
    model.fit(ROWS, WANTED, verbose=0)
    before = model.train_function
    frozen = [fh.FreezeCallback(str(tmp_path / f"{i}.pb"), verify=True) for i in range(2)]
    model.fit(ROWS, WANTED, verbose=0, callbacks=frozen)
    assert model.train_function is before

    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyError("broken off")

    with pytest.raises(KeyError, match="broken off"):
        model.fit(ROWS, WANTED, verbose=0, callbacks=[*frozen, Fails()])
    model.fit(ROWS, WANTED, verbose=0, callbacks=[fh.FreezeCallback(str(tmp_path / "n.pb"))])
    assert model.train_function is before


def test_a_train_function_that_is_made_anew_in_training(keras, tmp_path):
    class Anew(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.make_train_function(force=True)

    model = counting(keras, [])
    model.compile("sgd", "mse")
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), verify=True, strict=True)
    model.fit(ROWS, WANTED, epochs=3, verbose=0, callbacks=[Anew(), callback])
    assert len(callback.artifacts) == 3


def test_a_loop_of_ones_own(keras, clean, tmp_path):
    """The user's loop calls on_train_begin and the other methods, around train_on_batch."""
    model = pictures(keras)
    model.compile("sgd", "mse")
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), verify=True, strict=True)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch in range(2):
        callback.on_train_batch_begin(batch)
        model.train_on_batch(IMAGES, np.zeros((8, 2)))
        callback.on_train_batch_end(batch)
    callback.on_epoch_end(0)
    callback.on_train_end()
    (artifact,) = callback.artifacts
    assert artifact.signature.inputs[0].dtype == "uint8"
    found = answer(clean, artifact, IMAGES)
    np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0), rtol=1e-4)
