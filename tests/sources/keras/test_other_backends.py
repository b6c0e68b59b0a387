"""Keras 3 on JAX and PyTorch; run with KERAS_BACKEND=jax or KERAS_BACKEND=torch."""

import importlib
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from places import PROGRAMS

import freeze_hooks as fh
from freeze_hooks.training.background import held

keras = pytest.importorskip("keras", reason="needs Keras 3")
if keras.backend.backend() not in ("jax", "torch"):
    pytest.skip("Keras is on TensorFlow: set KERAS_BACKEND", allow_module_level=True)
backend_layers = importlib.import_module("backend_layers")

layers = keras.layers
digits = importlib.import_module("sklearn.datasets").load_digits()
IMAGES = (digits.images / 16).astype("float32")[..., None]
TOKENS = digits.images.reshape(-1, 64).astype("int32")
LABELS = digits.target


class Recorder(keras.callbacks.Callback):
    """A callback that records the weights at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(copies(self.model.weights))


def copies(variables):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def bits(arrays):
    return {(array.shape, array.tobytes()) for array in arrays}


def conv_net():
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.3)(layers.Flatten()(layers.MaxPooling2D()(x)))
    return keras.Model(image, layers.Dense(10, activation="softmax", name="probs")(x))


def transformer():
    tokens = keras.Input((64,), dtype="int32", name="tokens")
    x = layers.Embedding(17, 16)(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, "gelu")(x)))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, layers.Dense(10, activation="softmax", name="probs")(x))


def dense_net(dtype=None):
    return keras.Sequential(
        [
            keras.Input((64,), name="pixels"),
            layers.Dense(16, activation="relu", dtype=dtype),
            layers.Dense(10, dtype=dtype),
        ]
    )


def train(model, x, callbacks, optimizer="adam", epochs=2):
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, LABELS, 64, epochs, 0, callbacks, validation_split=0.2)


def assert_same(clean, artifact, model, x):
    """Assert that the file, in a clean process, answers as the model does."""
    (given,), (asked,) = artifact.signature.inputs, artifact.signature.outputs
    (found,) = clean.run(artifact.path, {given.tensor: x}, [asked.tensor])
    wanted = model.predict(x, verbose=0)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_conv_net_writes_each_epochs_weights(tmp_path, clean):
    model, recorder = conv_net(), Recorder()
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"))
    train(model, IMAGES, [callback, recorder])
    steps = -(-int(len(IMAGES) * 0.8) // 64)
    assert [a.step for a in callback.artifacts] == [steps, 2 * steps]
    assert [a.signature.inputs[0].name for a in callback.artifacts] == ["image", "image"]
    for artifact, weights in zip(callback.artifacts, recorder.epochs):
        assert bits(weights) <= bits(constants(artifact.path).values())
    assert_same(clean, callback.artifacts[-1], model, IMAGES[:100])


def test_metadata_and_assets(tmp_path):
    """They stay in this process: the one that plans could not take the function."""
    labels = tmp_path / "labels.txt"
    labels.write_bytes(b"a\n")
    callback = fh.FreezeCallback(
        str(tmp_path / "m.pb"),
        custom_metadata=lambda step, metrics: {"steps": int(step), "loss": metrics["loss"]},
        assets={"labels.txt": str(labels)},
    )
    train(dense_net(), TOKENS.astype("float32"), [callback], epochs=1)
    (artifact,) = callback.artifacts
    with fh.load_frozen(artifact.path) as model:
        assert dict(model.assets) == {"labels.txt": b"a\n"}
        wanted = {"steps": artifact.step, "loss": artifact.metrics["loss"]}
        assert model.custom_metadata == wanted


def test_transformer_keeps_the_best(tmp_path, clean):
    model, recorder = transformer(), Recorder()
    callback = fh.FreezeCallback(str(tmp_path / "best.pb"), save_best_only=True)
    train(model, TOKENS, [callback, recorder])
    history = model.history.history["val_loss"]
    best = int(np.argmin(history))  # the last epoch is not always the best
    assert callback.artifacts[-1].metrics["val_loss"] == pytest.approx(history[best])
    model.set_weights(recorder.epochs[best])
    assert_same(clean, callback.artifacts[-1], model, TOKENS[:100])


def test_averages_of_the_optimizer(tmp_path):
    model, path = dense_net(), str(tmp_path / "averaged.pb")
    optimizer = keras.optimizers.Adam(use_ema=True)
    callback, recorder = fh.FreezeCallback(path, ema="optimizer"), Recorder()
    train(model, TOKENS.astype("float32"), [callback, recorder], optimizer, epochs=1)
    averages = copies(optimizer._model_variables_moving_average)
    found = bits(constants(path).values())
    assert bits(averages) <= found
    assert not bits(recorder.epochs[0]) & found  # Keras replaces the weights only when fit ends


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_values_stay_as_they_are_while_training_goes_on(dtype):
    model = dense_net(dtype)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    plan = fh.plan_keras_model(model)
    x, y = np.ones((8, 64), "float32"), np.ones((8, 10), "float32")
    model.train_on_batch(x, y)
    before = sorted(array.tobytes() for array in copies(model.weights))
    values = held(plan.at_once)
    for _ in range(3):
        model.train_on_batch(x, y)
    assert sorted(b"".join(value.chunks) for value in values) == before
    assert sorted(array.tobytes() for array in copies(model.weights)) != before


@pytest.mark.parametrize("called", [False, True])
def test_subclassed_model_outside_fit(called, tmp_path, clean):
    model, path = backend_layers.Gated(5), str(tmp_path / "gated.pb")
    x = np.random.RandomState(0).randn(7, 6).astype("float32")
    spec = None if called else tf.TensorSpec([None, 6], tf.float32)
    if called:
        model(x)
    artifact = fh.freeze_keras_model(model, path, input_signature=spec)
    assert_same(clean, artifact, model, x)


def test_layer_that_computes_by_the_backend_itself(tmp_path):
    module = {"jax": "jax.numpy", "torch": "torch"}[keras.backend.backend()]
    model = keras.Sequential([keras.Input((4,)), backend_layers.Native(module, name="odd")])
    with pytest.raises(fh.NotFreezableError) as caught:
        fh.freeze_keras_model(model, str(tmp_path / "odd.pb"))
    assert not list(tmp_path.iterdir())
    first, rest = str(caught.value).split("\n", 1)
    assert re.fullmatch(r".*backend_layers\.py:\d+, in call: return importlib.*\.tanh\(x\)", first)
    assert re.match(r"\w*Error: .", rest)
    assert re.search(r"layer 'odd' \(Native\).*cannot run on TensorFlow", rest)
    assert "Traceback (most recent call last)" in str(caught.value.__cause__)


def wrapper():
    if keras.backend.backend() == "torch":
        import torch

        return layers.TorchModuleWrapper(torch.nn.Linear(4, 3), "odd", (None, 3))
    return layers.JaxLayer(
        lambda params, inputs: inputs @ params, params=np.ones((4, 3), "float32"), name="odd"
    )


def test_layer_that_wraps_the_backend():
    model = keras.Sequential([keras.Input((4,)), wrapper()])
    with pytest.raises(fh.NotFreezableError, match=r"layer 'odd' .* cannot run on TensorFlow"):
        fh.plan_keras_model(model)


def of_four(*inner):
    return keras.Sequential([keras.Input((4,)), *inner])


def test_what_no_other_process_can_import_is_sent_there(tmp_path, clean):
    own, act, shift = backend_layers.Locals(), backend_layers.act, 0.25
    model = of_four(
        own.Base(start=3.0),
        own.Derived(),
        layers.Lambda(lambda t: keras.ops.tanh(t) + shift),
        layers.Dense(4, activation=backend_layers.times(2.0), kernel_initializer=own.Start()),
        layers.Dense(3, activation=backend_layers.times(5.0)),
        layers.Lambda(lambda t: act(t) - shift),
    )
    names = [layer.activation.__name__ for layer in model.layers[3:5]]
    artifact = fh.freeze_keras_model(model, str(tmp_path / "own.pb"))
    assert_same(clean, artifact, model, np.random.RandomState(0).randn(7, 4).astype("float32"))
    assert [layer.activation.__name__ for layer in model.layers[3:5]] == names


def test_what_the_main_program_defines(tmp_path, clean):
    """A process that imports the main program would run its training again."""
    program = os.path.join(PROGRAMS, "own_code.py")
    run = [sys.executable, program, str(tmp_path / "main.pb"), str(tmp_path / "x.npy")]
    said = subprocess.run(run, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert said == "once\n"
    x, wanted = np.load(str(tmp_path / "x.npy")), np.load(str(tmp_path / "x.npy.out.npy"))
    ends = fh.inspect(str(tmp_path / "main.pb")).signature
    feeds, fetches = {ends.inputs[0].tensor: x}, [ends.outputs[0].tensor]
    (found,) = clean.run(tmp_path / "main.pb", feeds, fetches)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("registered", [False, True])
def test_without_cloudpickle_it_is_said_what_to_do(registered, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    own = backend_layers.Locals()
    model = of_four(own.Derived() if registered else own.Base())
    told = r"class Locals.*defined in a function.* pip install cloudpickle.* move it to the top"
    with pytest.raises(fh.NotFreezableError, match=told):
        fh.plan_keras_model(model)


def test_what_cannot_be_sent_is_said_with_the_reason():
    model = of_four(backend_layers.Locals(threading.Lock()).Locked())
    told = r"Locked is defined in a function.* nor can it be sent there: TypeError: .*lock.*; move"
    with pytest.raises(fh.NotFreezableError, match=told):
        fh.plan_keras_model(model)


def test_classes_that_share_a_name_are_told_apart():
    model = of_four(backend_layers.Locals().Base(), backend_layers.Locals().Base())
    with pytest.raises(fh.NotFreezableError, match=r"several classes are called 'Base'.*package"):
        fh.plan_keras_model(model)


def test_an_error_in_code_that_was_sent_is_told_with_its_line():
    with pytest.raises(fh.NotFreezableError) as caught:
        fh.plan_keras_model(of_four(backend_layers.Locals().Undefined(name="odd")))
    line, error, what = str(caught.value).split("\n")
    assert re.fullmatch(r".*backend_layers\.py:\d+, in call: return no_such_function\(x\).*", line)
    assert error == "NameError: name 'no_such_function' is not defined"
    assert what.startswith("layer 'odd' (Undefined)")


def test_a_process_that_crashes_is_told_with_the_line():
    with pytest.raises(fh.FreezeError) as caught:
        fh.plan_keras_model(of_four(backend_layers.Locals().Dying()))
    line, what = str(caught.value).split("\n", 1)
    assert re.fullmatch(r".*backend_layers\.py:\d+, in call: os\.abort\(\)", line)
    assert "was ended by SIGABRT: Fatal Python error" in what


def test_steps_and_metrics_are_numbers_of_the_backend(tmp_path):
    model = dense_net()
    train(model, TOKENS.astype("float32")[:320], [], epochs=1)
    plan, path = fh.plan_keras_model(model), str(tmp_path / "m.pb")
    one = keras.ops.convert_to_tensor(1.5, "bfloat16")
    metrics = {"tensor": one, "variable": keras.Variable([2.5]), "mean": keras.metrics.Mean()([3])}
    if keras.backend.backend() == "torch":
        import torch

        metrics["gradient"] = (torch.ones((), requires_grad=True) * 4).sum()
    plan.write(path, step=model.optimizer.iterations, metrics=metrics)
    noted = fh.inspect(path).metadata
    wanted = {"tensor": 1.5, "variable": 2.5, "mean": 3.0, "gradient": 4.0}
    assert noted["metrics"] == {name: wanted[name] for name in metrics}
    assert noted["step"] == 4


def test_unbuilt_model():
    with pytest.raises(fh.FreezeError, match="call it once, or give input_signature="):
        fh.plan_keras_model(backend_layers.Gated(5))


def test_a_sequential_without_an_input_takes_any_batch_size(tmp_path, clean):
    model = keras.Sequential([layers.Dense(4, "relu"), layers.Dense(3, name="out")])
    x = digits.data[:7].astype("float32")
    model(x[:2])
    (only,) = fh.freeze_keras_model(model, str(tmp_path / "m.pb")).signature.inputs
    assert only.shape == (None, 64)
    found = clean.run(tmp_path / "m.pb", {only.tensor: x}, ["out:0"])[0]
    np.testing.assert_allclose(found, copies([model(x)])[0], rtol=1e-4, atol=1e-4)


def test_a_number_that_is_annealed(tmp_path, clean, warnings_logged):
    """The model is planned again for each value, although the layer's config lacks the number."""
    pixels = keras.Input((64,), name="pixels")
    tempered = backend_layers.Tempered(name="probs")
    model, live = keras.Model(pixels, tempered(layers.Dense(10)(pixels))), []

    class Anneal(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            tempered.temperature, tempered.seen = 4.0 / (epoch + 1), epoch

        def on_epoch_end(self, epoch, logs=None):
            live.append(copies([self.model(TOKENS[:50].astype("float32"))])[0])

    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"))
    train(model, TOKENS.astype("float32"), [Anneal(), callback])
    for artifact, answers in zip(callback.artifacts, live):
        (asked,) = artifact.signature.outputs
        fed = {"pixels:0": TOKENS[:50].astype("float32")}
        (found,) = clean.run(artifact.path, fed, [asked.tensor])
        np.testing.assert_allclose(found, answers, atol=1e-5)
    (warned,) = [message for message in warnings_logged if "changed since" in message]
    assert "probs.temperature: 4.0 -> 2.0" in warned


def test_a_subclassed_model_on_bytes(tmp_path, clean):
    """The first batch gives the dtype and sizes; each file is verified against the live model."""
    model = backend_layers.Pictures()
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), verify=True, strict=True)
    images = digits.images[..., None].astype("uint8")
    train(model, images, [callback])
    assert [a.max_difference < 1e-5 for a in callback.artifacts] == [True, True]
    (given,) = callback.artifacts[-1].signature.inputs
    assert (given.dtype, given.shape) == ("uint8", (None, None, None, 1))
    assert_same(clean, callback.artifacts[-1], model, images[:50])
    larger = np.repeat(images[:5], 2, 1)
    assert_same(clean, callback.artifacts[-1], model, larger)


def test_further_signatures(tmp_path):
    model, path = conv_net(), str(tmp_path / "m.pb")
    model.compile("adam", "sparse_categorical_crossentropy")
    flat = next(layer for layer in model.layers if isinstance(layer, layers.Flatten))
    pooled = next(layer for layer in model.layers if isinstance(layer, layers.MaxPooling2D))
    signatures = {"embed": {"features": flat.name}, "head": (pooled.name, ["probs"])}
    callback = fh.FreezeCallback(path, signatures=signatures, verify=True, strict=True)
    model.fit(IMAGES[:64], LABELS[:64], verbose=0, callbacks=[callback])
    assert callback.artifacts[-1].max_difference < 1e-4
    with fh.load_frozen(path) as frozen:
        wanted = keras.Model(model.inputs, flat.output).predict(IMAGES[:8], verbose=0)
        found = frozen.signatures["embed"](IMAGES[:8])["features"]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        inner = keras.Model(model.inputs, pooled.output).predict(IMAGES[:8], verbose=0)
        found = frozen.signatures["head"](inner)["probs"]
        wanted = model.predict(IMAGES[:8], verbose=0)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    function = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None])])
    with pytest.raises(fh.FreezeError, match="'f' is a function of TensorFlow"):
        fh.freeze_keras_model(model, path, signatures={"f": function})
