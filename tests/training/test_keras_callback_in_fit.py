"""FreezeCallback with other features of fit: averages, strategies, compilers, interruptions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import started
from fitting import (
    DIGITS,
    HAS_KERAS_3,
    KERASES,
    LABELS,
    TF1,
    classifier,
    fit,
    keras_of,
    weights_of,
)
from frozen_files import constants
from places import PROGRAMS, PYTHONPATH

import freeze_hooks as fh

pytestmark = pytest.mark.parametrize("keras", KERASES, indirect=True)
only_tf2 = pytest.mark.skipif(TF1, reason="came with TensorFlow 2")
LEGACY = {"TF_USE_LEGACY_KERAS": "1"} if HAS_KERAS_3 else {}
PATHS = {"PYTHONPATH": PYTHONPATH}


@pytest.fixture
def keras(request):
    return keras_of(request.param)


def run(program, *arguments, fails=False):
    """Return the lines that a program prints."""
    command = [os.path.join(PROGRAMS, program), *arguments]
    done = started.run(command, env=dict(os.environ, **PATHS), fails=fails)
    return done.stdout.split("\n")


@only_tf2
@pytest.mark.parametrize(
    "compiled,arguments",
    [
        ({"jit_compile": True}, {}),
        ({"jit_compile": False}, {}),
        ({"run_eagerly": True}, {}),
        ({"steps_per_execution": 3}, {"save_freq": 3}),
    ],
)
def test_however_a_step_is_compiled(keras, tmp_path, clean, compiled, arguments):
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), strict=True, **arguments)
    model = classifier(keras)
    model.compile("adam", "sparse_categorical_crossentropy", **compiled)
    fit(model, callbacks=[callback], batches=6)
    assert callback.artifacts[-1].step == 6
    (probs,) = clean.run(tmp_path / "m.pb", {"pixels:0": DIGITS[:50]}, ["probs:0"])
    np.testing.assert_allclose(probs, model.predict(DIGITS[:50], verbose=0), atol=1e-6)


@only_tf2
def test_batches_of_several_steps_an_execution(keras, tmp_path):
    """Keras reports only the last batch of each execution."""
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}-{batch}.pb"), save_freq=3)
    model = classifier(keras)
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=2)
    fit(model, callbacks=[callback], batches=6, epochs=2)
    assert [a.step for a in callback.artifacts] == [4, 8, 12]


def test_an_embedding_whose_rows_training_changes_in_place(keras, tmp_path):
    """TensorFlow scatters into its memory; updates of other variables allocate new memory."""
    ids = np.random.RandomState(0).randint(0, 5000, [128, 4]).astype(np.int32)
    inputs = keras.Input((4,), dtype="int32", name="ids")
    rows = keras.layers.Embedding(5000, 100, name="rows")(inputs)
    mean = keras.layers.GlobalAveragePooling1D()(rows)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", name="probs")(mean))
    model.compile("sgd", "sparse_categorical_crossentropy")
    seen = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(weights_of(model)["rows/embeddings"].copy())

    callback = fh.FreezeCallback(str(tmp_path / "{epoch}-{batch}.pb"), save_freq=1, strict=True)
    model.fit(ids, LABELS[:128], batch_size=16, epochs=2, verbose=0, callbacks=[callback, Note()])
    assert len(callback.artifacts) == len(seen) == 16
    for artifact, rows in zip(callback.artifacts, seen):
        assert constants(artifact.path)["rows/embeddings"].tobytes() == rows.tobytes()
    assert not np.array_equal(seen[0], seen[-1])


@only_tf2
def test_mirrored_on_two_devices(keras, tmp_path):
    differences = run("mirrored.py", keras.__name__, tmp_path)[-3:-1]
    assert [float(difference) < 1e-6 for difference in differences] == [True, True]


@only_tf2
def test_the_optimizers_averages(keras, tmp_path):
    model = classifier(keras)
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    averaged = fh.FreezeCallback(str(tmp_path / "averaged.pb"), ema="optimizer", strict=True)
    plain = fh.FreezeCallback(str(tmp_path / "plain.pb"), strict=True)
    seen = []  # at its end, fit replaces the weights with the averages

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(weights_of(model))

    fit(model, callbacks=[averaged, plain, Note()])
    found, raw = constants(tmp_path / "averaged.pb"), constants(tmp_path / "plain.pb")
    for name in (v for v in raw if v.startswith(("hidden/", "probs/")) and v in seen[0]):
        average = optimizer_average(model, name)
        assert found[name].tobytes() == average.tobytes()
        assert raw[name].tobytes() == seen[0][name].tobytes()
        assert not np.array_equal(average, raw[name])
    for name in ("norm/moving_mean", "norm/moving_variance"):  # these have no averages
        assert found[name].tobytes() == seen[0][name].tobytes()


def optimizer_average(model, name):
    for variable, average in zip(
        model.trainable_variables, model.optimizer._model_variables_moving_average
    ):
        if (getattr(variable, "path", None) or variable.name).split(":")[0] == name:
            return average.numpy()
    raise KeyError(name)


def test_averages_that_nobody_keeps_are_an_error_before_training(keras, tmp_path):
    with pytest.raises(fh.FreezeError, match="use_ema=True"):
        fit(
            classifier(keras),
            callbacks=[fh.FreezeCallback(str(tmp_path / "m.pb"), ema="optimizer")],
        )


def test_weights_that_another_callback_swaps_in(keras, tmp_path):
    if not hasattr(keras.callbacks, "SwapEMAWeights"):
        pytest.skip("SwapEMAWeights came with Keras 3")
    model = classifier(keras)
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    seen = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(weights_of(model))

    frozen = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), strict=True)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(model, callbacks=[Note(), swap, frozen, Note()], epochs=2)
    for epoch in (1, 2):
        raw, swapped = seen[2 * epoch - 2 : 2 * epoch]
        found = constants(tmp_path / f"{epoch}.pb")
        assert found["hidden/kernel"].tobytes() == swapped["hidden/kernel"].tobytes()
        assert not np.array_equal(raw["hidden/kernel"], swapped["hidden/kernel"])


@only_tf2
def test_the_best_survives_an_interruption(keras, tmp_path):
    """Keras's own ModelCheckpoint forgets the best value, and a worse model replaces the best one
    (issue 17012 of Keras)."""
    run("interrupted.py", keras.__name__, tmp_path, 3, fails=True)
    whole = {f"{epoch}.pb" for epoch in (1, 2, 3)} | {"best.pb"}
    assert whole == {n for n in os.listdir(str(tmp_path)) if n.endswith(".pb")}
    best = constants(tmp_path / "best.pb")
    run("interrupted.py", keras.__name__, tmp_path, 9)
    with fh.load_frozen(str(tmp_path / "best.pb")) as frozen:
        assert frozen.metadata["metrics"]["score"] == 5.0
        assert frozen.metadata["step"] == 8
    kept = constants(tmp_path / "best.pb")
    assert all(kept[name].tobytes() == value.tobytes() for name, value in best.items())
    worse = keras.models.load_model(str(tmp_path / "best.h5"))
    fourth_or_fifth = [constants(tmp_path / f"{n}.pb")["hidden/kernel"] for n in (4, 5)]
    kernel = worse.get_layer("hidden").get_weights()[0]
    assert any(np.array_equal(kernel, other) for other in fourth_or_fifth)


def test_an_exception_leaves_whole_files(keras, tmp_path):
    """fit does not call on_train_end then, but the writing thread still finishes its work."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("stop")

    callback = fh.FreezeCallback(str(tmp_path / "m.pb"))
    with pytest.raises(RuntimeError, match="stop"):
        fit(classifier(keras), callbacks=[callback, Stop()])
    assert len(callback.artifacts) == 1
    with fh.load_frozen(str(tmp_path / "m.pb")) as frozen, open(
        str(tmp_path / "m.pb.json")
    ) as file:
        assert frozen.metadata["step"] == json.load(file)["step"] == 4
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith(".tmp")]


def test_with_validation_the_default_is_the_best_val_loss(keras, tmp_path):
    callback = fh.FreezeCallback(str(tmp_path / "best.pb"), save_best_only=True)
    validation = (DIGITS[500:700], LABELS[500:700])
    history = fit(classifier(keras), callbacks=[callback], epochs=4, validation_data=validation)
    (artifact,) = callback.artifacts
    assert artifact.metrics["val_loss"] == pytest.approx(min(history["val_loss"]))


@pytest.fixture(scope="module")
def other_mode(tmp_path_factory):
    """Return what eager_keras.py prints; TensorFlow reads TF_USE_LEGACY_KERAS at its import."""
    program = os.path.join(PROGRAMS, "eager_keras.py")
    command = [sys.executable, program, str(tmp_path_factory.mktemp("other_mode"))]
    return subprocess.check_output(command, env=dict(os.environ, **PATHS, **LEGACY)).decode()


def test_the_other_mode_of_tf_keras(keras, other_mode):
    """It is eager mode on TensorFlow 1.15, and Keras 2 as tf.keras on TensorFlow 2."""
    lines = [line.split() for line in other_mode.splitlines() if line]
    assert [(step, float(difference) < 1e-6) for step, difference in lines[-2:]] == [
        ("8", True)
    ] * 2


@pytest.mark.skipif(not TF1, reason="graph mode is Keras's own mode on TensorFlow 1 alone")
def test_graph_mode_has_no_averages(keras):
    with pytest.raises(fh.FreezeError, match="leave out ema="):
        fh.plan_keras_model(classifier(keras), ema="optimizer")


@pytest.mark.skipif(not TF1, reason="graph mode is Keras's own mode on TensorFlow 1 alone")
def test_graph_mode_while_the_learning_phase_is_set(keras):
    """tf.distribute sets it to training."""
    model = classifier(keras)
    keras.backend.set_learning_phase(1)
    plan = fh.plan_keras_model(model)
    keras.backend.clear_session()
    assert not plan.findings
    assert [info.name for info in plan.signature.inputs] == ["pixels"]
