"""Models that change while training runs: Python's values are constants of a trace, so each save
checks whether they have changed."""

import functools
import types

import keras_zoo as zoo
import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of

import freeze_hooks as fh
from freeze_hooks.plan.fingerprint.traced_from import TracedFrom

pytestmark = pytest.mark.skipif(
    TF1, reason="there Keras has one graph, in which Python's values are constants for itself too"
)
X = np.random.RandomState(3).randn(16, 4).astype(np.float32)
SCALE = 1.0

keras = pytest.fixture(params=KERASES)(lambda request: keras_of(request.param))


def half(x):
    return x * SCALE


class Settings:
    """An object of the user's own class, which a model has."""

    def __init__(self):
        self.scale = 1.0
        self.epoch = 0


def subclassed(keras):
    """Return a model whose call reads many kinds of values."""

    class Scale(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.alpha, self.epoch, self._power = 1.0, 0, 1

        def call(self, x):
            return self.alpha * x**self._power

    class Net(keras.Model):
        kind_scale = 1.0

        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, activation="tanh", name="dense")
            self.scale = Scale()
            self.temperature, self.sharp, self.steps = 4.0, False, 0
            self.settings, self.rates = Settings(), [1.0, 2.0]
            self.nested = {"a": {"b": (1.0, [3.0])}}
            self.mask = np.ones(3, np.float32)
            self.drop = keras.layers.Dropout(0.5)
            self.after = half

        def call(self, x, training=None):
            x = self.scale(self.drop(self.dense(x), training=training)) / self.temperature
            x = x * self.settings.scale * self.rates[1] * self.nested["a"]["b"][1][0]
            x = self.after(x) * self.mask * self.kind_scale
            return tf.nn.softmax(x) if self.sharp else x

        def train_step(self, data):
            self.steps += 1
            return super().train_step(data)

    model = Net()
    model.compile("sgd", "mse")
    model(X)
    return model


def answer(path, x=X):
    with fh.load_frozen(str(path)) as frozen:
        (found,) = frozen({frozen_input(frozen): x}).values()
    return found


def frozen_input(frozen):
    (name,) = frozen.inputs
    return name


def set_item(model):
    model.rates[1] = 5.0


def set_nested(model):
    model.nested["a"]["b"][1][0] = 7.0


def set_array(model):
    model.mask[1] = 0.0


def set_class(model):
    type(model).kind_scale = 3.0


def closure(model):
    factor = 6.0
    model.after = lambda x: x * factor


CHANGES = {
    "temperature: 4.0 -> 0.5": lambda m: setattr(m, "temperature", 0.5),
    "sharp: False -> True": lambda m: setattr(m, "sharp", True),
    "alpha: 1.0 -> 2.5": lambda m: setattr(m.scale, "alpha", 2.5),
    "_power: 1 -> 2": lambda m: setattr(m.scale, "_power", 2),
    "settings.scale: 1.0 -> 3.0": lambda m: setattr(m.settings, "scale", 3.0),
    "rates[1]: 2.0 -> 5.0": set_item,
    "[0]: 3.0 -> 7.0": set_nested,
    "mask: other numbers": set_array,
    "after: half -> <lambda>": closure,
    "kind_scale: 1.0 -> 3.0": set_class,
    "dense.activation: tanh -> relu": None,
}


@pytest.mark.parametrize("said", CHANGES)
def test_what_changed_is_traced_anew(keras, said, tmp_path, warnings_logged):
    model, path = subclassed(keras), str(tmp_path / "m.pb")
    plan = fh.plan_keras_model(model, input_signature=tf.TensorSpec([None, 4]))
    plan.write(path)
    np.testing.assert_allclose(answer(path), model(X).numpy(), atol=1e-6)
    if CHANGES[said] is None:
        model.dense.activation = keras.activations.relu
    else:
        CHANGES[said](model)
    for _ in range(2):
        plan.write(path)
        np.testing.assert_allclose(answer(path), model(X).numpy(), atol=1e-6)
    (warned,) = [message for message in warnings_logged if "changed since" in message]
    assert said in warned and "traced anew, which took " in warned


def test_what_a_call_does_not_read_may_change(keras, tmp_path, warnings_logged, monkeypatch):
    model = subclassed(keras)
    plan = fh.plan_keras_model(model, input_signature=tf.TensorSpec([None, 4]))
    model.steps, model.scale.epoch, model.settings.epoch, model.note = 7, 3, 4, "new"
    model.temperature = float("4.0")
    model.rates = [1.0, 2.0]
    monkeypatch.setitem(globals(), "temperature", 7.0)  # call reads an attribute of this name
    plan.write(str(tmp_path / "m.pb"))
    assert not warnings_logged
    model.rates[1] = 9.0  # an element of the new list
    plan.write(str(tmp_path / "m.pb"))
    np.testing.assert_allclose(answer(tmp_path / "m.pb"), model(X).numpy(), atol=1e-6)


def test_an_annealed_number_while_fit_runs(keras, tmp_path, warnings_logged):
    model, live = subclassed(keras), []

    class Anneal(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.temperature = 4.0 / (epoch + 1)

        def on_epoch_end(self, epoch, logs=None):
            live.append(self.model(X).numpy())

    saves = fh.FreezeCallback(
        str(tmp_path / "{epoch}.pb"), input_signature=tf.TensorSpec([None, 4]), verify=True
    )
    model.fit(X, np.zeros((16, 3)), epochs=3, verbose=0, callbacks=[Anneal(), saves])
    assert len(saves.artifacts) == 3
    for artifact, answers in zip(saves.artifacts, live):
        np.testing.assert_allclose(answer(artifact.path), answers, atol=1e-6)
    (warned,) = [message for message in warnings_logged if "changed since" in message]
    assert "temperature: 4.0 -> 2.0" in warned


def functional(keras):
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    outputs = keras.layers.Dense(3, name="y")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    return model


def enable_lora(model):
    layer = model.get_layer("hidden")
    if not hasattr(layer, "enable_lora"):
        pytest.skip("came with Keras 3")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))


def quantize(model):
    if not hasattr(model, "quantize"):
        pytest.skip("came with Keras 3")
    model.quantize("int8")


def set_epsilon(model):
    model.get_layer("norm").epsilon = 0.5


def swap_activation(model):
    model.get_layer("hidden").activation = tf.nn.silu


@pytest.mark.parametrize("change", [enable_lora, quantize, set_epsilon, swap_activation])
def test_layers_of_kerases_own(keras, change, tmp_path):
    model, path = functional(keras), str(tmp_path / "m.pb")
    plan = fh.plan_keras_model(model)
    model.fit(X, np.zeros((16, 3)), verbose=0)
    before = model(X).numpy()
    change(model)
    assert np.abs(model(X).numpy() - before).max() > 1e-4
    plan.write(path)
    np.testing.assert_allclose(answer(path), model(X).numpy(), atol=1e-5)


def test_unfrozen_and_trained_once_more(keras, tmp_path, warnings_logged):
    """`trainable` is not read when Keras's layers run in inference."""
    model = functional(keras)
    model.get_layer("norm").trainable = False
    plan = fh.plan_keras_model(model)
    saves = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), strict=True)
    model.fit(X, np.zeros((16, 3)), verbose=0, callbacks=[saves])
    model.get_layer("norm").trainable = True
    model.compile("adam", "mse")
    model.fit(X, np.zeros((16, 3)), verbose=0, epochs=3, initial_epoch=1, callbacks=[saves])
    plan.write(str(tmp_path / "own.pb"))
    for name in ("3.pb", "own.pb"):
        np.testing.assert_allclose(answer(tmp_path / name), model(X).numpy(), atol=1e-6)
    assert not warnings_logged


def test_layers_that_are_added_and_taken_away(keras, tmp_path):
    layers, path = keras.layers, str(tmp_path / "m.pb")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    plan = fh.plan_keras_model(model)
    for change in (lambda: model.add(layers.Dense(2)), model.pop, model.pop):
        change()
        if not model.layers:
            break
        plan.write(path)
        np.testing.assert_allclose(answer(path), model(X).numpy(), atol=1e-6)


def test_a_layer_that_takes_the_place_of_another(tmp_path):
    keras, path = keras_of("tf_keras" if "tf_keras" in KERASES else "tf.keras"), tmp_path / "m.pb"
    model = subclassed(keras)
    plan = fh.plan_keras_model(model, input_signature=tf.TensorSpec([None, 4]))
    model.dense = keras.layers.Dense(3)
    model(X)
    plan.write(str(path))
    np.testing.assert_allclose(answer(path), model(X).numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["StringLookup", "TextVectorization"])
def test_a_vocabulary_that_is_set_later(keras, kind, tmp_path):
    path, texts = str(tmp_path / "m.pb"), np.array([["a"], ["b"], ["c"], ["zebra"]])
    layer = getattr(keras.layers, kind)(vocabulary=["a", "b"])
    inputs = keras.Input((1,), dtype="string", name="x")
    model = keras.Model(inputs, layer(inputs))
    plan = fh.plan_keras_model(model)
    plan.write(path)
    for words in (["zebra", "c", "a"], ["b", "c"]):
        layer.set_vocabulary(words)
        plan.write(path)
        live = layer(tf.constant(texts)).numpy()
        np.testing.assert_array_equal(answer(path, texts), live)


@pytest.mark.parametrize("kind", ["StringLookup", "TextVectorization"])
def test_a_vocabulary_that_is_adapted_later(keras, kind, tmp_path):
    path, texts = str(tmp_path / "m.pb"), np.array([["a"], ["b"], ["c"], ["zebra"]])
    layer = getattr(keras.layers, kind)()
    layer.adapt(tf.constant([["a"], ["b"]]))
    inputs = keras.Input((1,), dtype="string", name="x")
    model = keras.Model(inputs, layer(inputs))
    plan = fh.plan_keras_model(model)
    layer.adapt(tf.constant([["c"], ["c"], ["d"]]))
    plan.write(path)
    np.testing.assert_array_equal(answer(path, texts), layer(tf.constant(texts)).numpy())


def test_statistics_that_are_adapted_later(keras, tmp_path):
    path, layer = str(tmp_path / "m.pb"), keras.layers.Normalization()
    layer.adapt(X)
    model = keras.Sequential([keras.Input((4,)), layer])
    plan = fh.plan_keras_model(model)
    layer.adapt(5 * X + 3)
    plan.write(path)
    np.testing.assert_allclose(answer(path), layer(X).numpy(), atol=1e-5)


class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.temperature = tf.Variable(tf.ones([4, 2])), 1.0
        self.calls = 0

    def predict(self, x):
        self.calls += 1
        return half(x @ self.weight / self.temperature)

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def traced(self, x):
        return x @ self.weight / self.temperature


def test_methods_of_modules(tmp_path, monkeypatch, warnings_logged):
    module, path = Module(), str(tmp_path / "m.pb")
    plan = fh.plan_function(module.predict, input_signature=[tf.TensorSpec([None, 4])])
    module.temperature = 4.0
    plan.write(path)
    np.testing.assert_allclose(answer(path), module.predict(tf.constant(X)), rtol=1e-5)
    module.weight = tf.Variable(2 * tf.ones([4, 2]))
    plan.write(path)
    np.testing.assert_allclose(answer(path), module.predict(tf.constant(X)), rtol=1e-5)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    plan.write(path)
    np.testing.assert_allclose(answer(path), module.predict(tf.constant(X)), rtol=1e-5)
    assert "Module.temperature: 1.0 -> 4.0" in warnings_logged[0]
    assert "test_traced_from.SCALE: 1.0 -> 3.0" in warnings_logged[-1]


def test_a_function_that_tensorflow_has_traced(tmp_path, warnings_logged):
    """It answers as it was traced, whatever Python's values are now; so does its file."""
    module, path = Module(), str(tmp_path / "m.pb")
    plan = fh.plan_function(module.traced)
    module.temperature = 4.0
    for _ in range(2):
        plan.write(path)
    np.testing.assert_allclose(answer(path), module.traced(X), rtol=1e-5)
    (warned,) = warnings_logged
    assert "Module.temperature: 1.0 -> 4.0" in warned and "traced once" in warned


def test_what_functions_enclose(tmp_path):
    path, factor, table = str(tmp_path / "m.pb"), 1.0, {"offset": 2.0}

    def predict(x, power):
        return factor * x**power + table["offset"]

    plan = fh.plan_function(
        functools.partial(predict, power=2), input_signature=[tf.TensorSpec([None, 4])]
    )
    factor = 3.0
    plan.write(path)
    np.testing.assert_allclose(answer(path), predict(X, 2), rtol=1e-5)
    table["offset"] = 5.0
    plan.write(path)
    np.testing.assert_allclose(answer(path), predict(X, 2), rtol=1e-5)


def test_a_change_that_cannot_be_frozen_is_told(tmp_path):
    settings = types.SimpleNamespace(axis=1)

    def predict(x):
        return tf.reduce_sum(x, settings.axis)

    path = str(tmp_path / "m.pb")
    plan = fh.plan_function(predict, input_signature=[tf.TensorSpec([None, 4])])
    settings.axis = 7
    for _ in range(2):
        with pytest.raises(fh.FreezeError, match=r"settings\.axis: 1 -> 7"):
            plan.write(path)
    settings.axis = 0
    plan.write(path)
    np.testing.assert_allclose(answer(path), X.sum(0), rtol=1e-5)


NAMES = sorted({name for keras in KERASES for name in zoo.names(keras_of(keras))})
NAMES = [name for name in NAMES if name not in zoo.APPLICATIONS or name == "mobilenet_v3"]


@pytest.mark.parametrize("name", NAMES)
def test_training_and_calls_alone_change_nothing(keras, name):
    """Steps, masks, states and other values that Keras itself changes do not cause a new trace."""
    if name not in zoo.names(keras):
        pytest.skip("this Keras has no such layer")
    model, inputs, _ = zoo.build(keras, name)
    targets = tf.nest.map_structure(np.asarray, model(inputs))
    traced = TracedFrom(model)
    model.compile("sgd", lambda true, found: tf.reduce_mean(tf.cast(found, tf.float32)))
    model.fit(inputs, targets, epochs=2, verbose=0)
    model.run_eagerly = True  # traces of these, too, would take half of the test's time
    model.evaluate(inputs, targets, verbose=0)
    model.predict(inputs, verbose=0)
    assert not traced.changes()
