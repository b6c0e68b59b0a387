"""FreezeCallback in fit of every Keras: when it writes, the file's name and contents."""

import math
import os

import numpy as np
import pytest
import tensorflow as tf
from fitting import DIGITS, KERASES, LABELS, Scores, classifier, fit, keras_of, weights_of
from frozen_files import constants, read_graph_def

import freeze_hooks as fh

pytestmark = pytest.mark.parametrize("keras", KERASES, indirect=True)


@pytest.fixture
def keras(request):
    return keras_of(request.param)


class Watch:
    """A callback that notes the weights, and the predictions if asked, after each epoch."""

    def __new__(cls, keras, predict=True):
        class Noting(keras.callbacks.Callback):
            def __init__(self):
                super().__init__()
                self.weights, self.answers = [], []

            def on_epoch_end(self, epoch, logs=None):
                self.weights.append(weights_of(self.model))
                if predict:
                    self.answers.append(self.model.predict(DIGITS[:50], verbose=0))

        return Noting()


def assert_holds(path, weights):
    """Each of the given weights is in the file, bit for bit."""
    found = constants(path)
    for name, value in weights.items():
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("background", [True, False])
def test_each_epoch_has_a_file_of_its_weights(keras, tmp_path, clean, background):
    watch = Watch(keras)
    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch:02d}-{loss:.2f}.pb"), save_on_background=background, strict=True
    )
    model = classifier(keras)
    history = fit(model, callbacks=[callback, watch], epochs=3)
    paths = [tmp_path / f"{e + 1:02d}-{loss:.2f}.pb" for e, loss in enumerate(history["loss"])]
    assert [a.path for a in callback.artifacts] == [str(path) for path in paths]
    assert [a.step for a in callback.artifacts] == [4, 8, 12]
    for path, weights, answers, loss in zip(paths, watch.weights, watch.answers, history["loss"]):
        assert_holds(path, weights)
        (probs,) = clean.run(path, {"pixels:0": DIGITS[:50]}, ["probs:0"])
        np.testing.assert_allclose(probs, answers, atol=1e-6)
        with fh.load_frozen(str(path)) as frozen:
            assert frozen.metadata["metrics"]["loss"] == pytest.approx(loss)
            assert list(frozen.inputs) == ["pixels"] and list(frozen.outputs) == ["probs"]
            assert frozen.inputs["pixels"].shape == (None, 64)


def scored(keras, directory, scores, **options):
    """Return the epoch whose weights best.pb holds after one epoch per score; None if no file."""
    watch = Watch(keras, predict=False)
    options = dict({"monitor": "score", "mode": "max", "save_best_only": True}, **options)
    callback = fh.FreezeCallback(str(directory / "best.pb"), **options)
    callbacks = [Scores(keras, scores), callback, watch]
    fit(classifier(keras), callbacks=callbacks, epochs=len(scores))
    assert [a.path for a in callback.artifacts] in ([], [str(directory / "best.pb")])
    if not callback.artifacts:
        return None
    (artifact,) = callback.artifacts
    assert_holds(artifact.path, watch.weights[artifact.step // 4 - 1])
    return artifact.step // 4


@pytest.mark.parametrize(
    "scores,options,best",
    [
        ([1.0, 3.0, 2.0], {}, 2),
        ([1.0, 3.0, 2.0], {"mode": "min"}, 1),
        ([math.nan, 1.0, math.nan], {}, 2),
        ([math.nan, math.nan], {}, None),
        ([1.0, 1.0], {}, 1),
        ([-math.inf, 0.5, math.inf], {}, 3),
        ([1.0, 2.0, 3.0], {"initial_value_threshold": 2.5}, 3),
        ([1.0, 2.0], {"initial_value_threshold": 2.5}, None),
    ],
)
def test_only_the_best(keras, tmp_path, scores, options, best):
    assert scored(keras, tmp_path, scores, **options) == best


def test_a_fresh_training_starts_anew_and_one_that_goes_on_does_not(keras, tmp_path):
    assert scored(keras, tmp_path, [5.0]) == 1
    assert scored(keras, tmp_path, [1.0, 2.0]) == 2
    best = fh.FreezeCallback(
        str(tmp_path / "best.pb"), monitor="score", mode="max", save_best_only=True
    )
    model = classifier(keras)
    later = [Scores(keras, [0.0, 0.0, 1.5, 3.0]), best]
    fit(model, callbacks=later, epochs=3, initial_epoch=2)
    assert best.artifacts == ()  # 1.5 does not beat the earlier 2.0
    fit(model, callbacks=later, epochs=4, initial_epoch=3)
    assert [a.metrics["score"] for a in best.artifacts] == [3.0]


@pytest.mark.parametrize("monitor,mode", [("loss", "min"), ("ACC", "max")])
def test_auto_knows_the_direction(keras, tmp_path, monitor, mode):
    model = classifier(keras)
    history = fit(model, epochs=1)
    monitor = next(name for name in history if name.lower().startswith(monitor.lower()))
    worse, better = (0.25, 0.75) if mode == "max" else (0.75, 0.25)
    scores = Scores(keras, [worse, better, worse], name=monitor)
    best = fh.FreezeCallback(str(tmp_path / "b.pb"), monitor=monitor, save_best_only=True)
    fit(model, callbacks=[scores, best], epochs=3)
    assert [a.metrics[monitor] for a in best.artifacts] == [better]


def test_auto_does_not_guess(keras, tmp_path):
    best = fh.FreezeCallback(str(tmp_path / "b.pb"), monitor="score", save_best_only=True)
    with pytest.raises(fh.FreezeError, match='say mode="min" or mode="max"'):
        fit(classifier(keras), callbacks=[Scores(keras, [1.0]), best])


def test_a_metric_that_is_not_there_is_an_error_naming_those_there_are(keras, tmp_path):
    best = fh.FreezeCallback(str(tmp_path / "b.pb"), monitor="los", save_best_only=True)
    with pytest.raises(fh.UnknownNameError, match="'los' is not among the metrics: 'loss'"):
        fit(classifier(keras), callbacks=[best])
    path = fh.FreezeCallback(str(tmp_path / "{los}.pb"))
    with pytest.raises(fh.UnknownNameError, match=r"there are: .*loss"):
        fit(classifier(keras), callbacks=[path])
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith(".pb")]


def test_no_validation_is_warned_of_and_in_the_end_an_error(keras, tmp_path, warnings_logged):
    """With validation_freq, some epochs rightly have no validation, so only the end can tell."""
    best = fh.FreezeCallback(str(tmp_path / "b.pb"), save_best_only=True)
    with pytest.raises(fh.UnknownNameError, match="no such metric in all of training"):
        fit(classifier(keras), callbacks=[best], epochs=2)
    assert "there was no validation" in warnings_logged[0]
    fit(
        classifier(keras),
        callbacks=[best],
        epochs=2,
        validation_data=(DIGITS[:50], LABELS[:50]),
        validation_freq=2,
    )
    assert [a.step for a in best.artifacts] == [8]


def test_batches(keras, tmp_path):
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}-{batch}.pb"), save_freq=3)
    fit(classifier(keras), callbacks=[callback], epochs=2)  # of 4 batches
    assert [os.path.basename(a.path) for a in callback.artifacts] == ["1-3.pb", "2-2.pb"]
    assert [a.step for a in callback.artifacts] == [3, 6]


def test_the_best_of_batches_from_the_first_epoch_on(keras, tmp_path):
    best = fh.FreezeCallback(
        str(tmp_path / "best.pb"), monitor="loss", save_best_only=True, save_freq=2
    )
    fit(classifier(keras), callbacks=[best], epochs=1)
    assert [a.step for a in best.artifacts] in ([2], [4])


def test_the_newest_stay(keras, tmp_path):
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), max_to_keep=2)
    fit(classifier(keras), callbacks=[callback], epochs=4)
    assert sorted(n for n in os.listdir(str(tmp_path)) if n.endswith(".pb")) == ["3.pb", "4.pb"]
    assert [os.path.basename(a.path) for a in callback.artifacts] == ["3.pb", "4.pb"]


def test_verbose_says_what_it_does(keras, tmp_path, capsys):
    best = fh.FreezeCallback(
        str(tmp_path / "b.pb"), monitor="score", mode="max", save_best_only=True, verbose=1
    )
    fit(classifier(keras), callbacks=[Scores(keras, [1.0, 2.0, 0.5]), best], epochs=3)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch ")]
    assert said == [
        f"Epoch 1: score improved to 1.00000, freezing to {tmp_path / 'b.pb'}",
        f"Epoch 2: score improved from 1.00000 to 2.00000, freezing to {tmp_path / 'b.pb'}",
        "Epoch 3: score did not improve from 2.00000",
    ]


@pytest.mark.parametrize("best_only", [False, True])
@pytest.mark.parametrize("weights_only", [False, True])
def test_beside_a_model_checkpoint(keras, tmp_path, best_only, weights_only):
    ending = ".weights.h5" if weights_only else ".h5"
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(tmp_path / ("m-{epoch}" + ending)),
        monitor="score",
        mode="max",
        save_best_only=best_only,
        save_weights_only=weights_only,
    )
    watch, beside = Watch(keras, predict=False), fh.FreezeCallback(beside=checkpoint, strict=True)
    scores = Scores(keras, [1.0, 0.5, 2.0])
    fit(classifier(keras), callbacks=[scores, beside, watch], epochs=3)
    written = [1, 3] if best_only else [1, 2, 3]
    assert sorted(os.listdir(str(tmp_path))) == sorted(
        [f"m-{e}{end}" for e in written for end in (ending, ".pb", ".pb.json")]
    )
    for epoch in written:
        assert_holds(tmp_path / f"m-{epoch}.pb", watch.weights[epoch - 1])


def test_beside_takes_only_what_says_where_it_writes(keras, tmp_path):
    with pytest.raises(fh.FreezeError, match="takes a ModelCheckpoint"):
        fh.FreezeCallback(beside=keras.callbacks.CSVLogger(str(tmp_path / "log")))


def test_flags_compilation_and_a_second_fit(keras, tmp_path, clean):
    model = classifier(keras)
    watch, callback = Watch(keras), fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), strict=True)
    fit(model, callbacks=[callback, watch])
    for layer in model.layers:
        layer.trainable = not layer.trainable
    model.compile("sgd", "sparse_categorical_crossentropy")
    fit(model, callbacks=[callback, watch], epochs=3, initial_epoch=1)
    for epoch, weights, answers in zip((1, 2, 3), watch.weights, watch.answers):
        assert_holds(tmp_path / f"{epoch}.pb", weights)
        (probs,) = clean.run(tmp_path / f"{epoch}.pb", {"pixels:0": DIGITS[:50]}, ["probs:0"])
        np.testing.assert_allclose(probs, answers, atol=1e-6)


@pytest.mark.parametrize("lower", [False, True])
def test_recurrent_layers_with_functions_and_without(keras, tmp_path, clean, lower):
    inputs = keras.Input((8, 8), name="pixels")
    hidden = keras.layers.LSTM(6, return_sequences=True)(inputs)
    hidden = keras.layers.Bidirectional(keras.layers.GRU(5))(hidden)
    outputs = keras.layers.Dense(10, activation="softmax", name="probs")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), lower_control_flow=lower, strict=True)
    rows = DIGITS.reshape(-1, 8, 8)
    model.fit(rows[:64], LABELS[:64], verbose=0, callbacks=[callback])
    (probs,) = clean.run(tmp_path / "m.pb", {"pixels:0": rows[:20]}, ["probs:0"])
    np.testing.assert_allclose(probs, model.predict(rows[:20], verbose=0), atol=1e-6)
    graph_def = read_graph_def(tmp_path / "m.pb")
    ops = {node.op for node in graph_def.node}
    looping = "Enter" if lower or "Enter" in ops else "While"
    assert any(op.endswith(looping) for op in ops)
    assert not (lower and (graph_def.library.function or any(op.endswith("While") for op in ops)))


@pytest.mark.parametrize("told", [False, True])
def test_a_subclassed_model_that_is_not_built(keras, tmp_path, clean, warnings_logged, told):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(8, activation="relu")
            self.drop = keras.layers.Dropout(0.5)
            self.head = keras.layers.Dense(10, activation="softmax")

        def call(self, inputs, training=None):
            return self.head(self.drop(self.hidden(inputs), training=training))

    signature = tf.TensorSpec([None, 64], tf.float32, name="pixels") if told else None
    if told and keras is getattr(tf, "keras", None) and not tf.executing_eagerly():
        pytest.skip("in graph mode, Keras itself makes the placeholders")
    watch = Watch(keras)
    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch}.pb"), input_signature=signature, strict=True
    )
    model = Net()
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(model, callbacks=[callback, watch], epochs=2)
    for artifact, answers in zip(callback.artifacts, watch.answers):
        (fed,), (fetched,) = artifact.signature.inputs, artifact.signature.outputs
        assert fed.shape == (None, 64)
        assert fed.name in (["pixels"] if told else ["inputs", "input_1"])
        assert fetched.name.startswith("output_")
        (probs,) = clean.run(artifact.path, {fed.tensor: DIGITS[:50]}, [fetched.tensor])
        np.testing.assert_allclose(probs, answers, atol=1e-6)
    assert not [message for message in warnings_logged if "taken to be float32" in message]


def test_a_disk_that_fails_is_warned_of_and_training_goes_on(keras, tmp_path, warnings_logged):
    directory = tmp_path / "files"
    moved = tmp_path / "moved"

    class Move(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                callback.artifacts  # noqa: B018  waits for the first
                directory.rename(moved)
                directory.write_text("a file where the directory was")
            if epoch == 2:
                directory.unlink()
                moved.rename(directory)

    callback = fh.FreezeCallback(str(directory / "{epoch}.pb"), save_on_background=False)
    fit(classifier(keras), callbacks=[Move(), callback], epochs=3)
    assert [os.path.basename(a.path) for a in callback.artifacts] == ["1.pb", "3.pb"]
    assert any("cannot write a frozen file for" in message for message in warnings_logged)


def test_strict_raises_what_the_background_meets(keras, tmp_path):
    directory = tmp_path / "files"

    class Move(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            directory.rename(tmp_path / "moved")
            directory.write_text("a file where the directory was")

    callback = fh.FreezeCallback(str(directory / "{epoch}.pb"), strict=True)
    with pytest.raises(fh.FreezeError, match="cannot write a frozen file for"):
        fit(classifier(keras), callbacks=[Move(), callback], epochs=1)


def test_what_cannot_be_frozen_is_an_error_before_training(keras, tmp_path):
    inputs = keras.Input((64,), name="pixels")

    class Guess(keras.layers.Layer):
        def call(self, x):
            guess = tf.numpy_function(lambda v: v, [x], tf.float32)
            return tf.ensure_shape(guess, [None, 64])

        def compute_output_shape(self, shape):
            return shape

    probs = keras.layers.Dense(10, activation="softmax", name="probs")(Guess()(inputs))
    model = keras.Model(inputs, probs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(fh.FreezeError, match="Python functions"):
        fit(model, callbacks=[fh.FreezeCallback(str(tmp_path / "m.pb"), strict=True)])
    (tmp_path / "taken").write_text("")
    with pytest.raises(fh.FreezeError, match="cannot be written to"):
        fit(classifier(keras), callbacks=[fh.FreezeCallback(str(tmp_path / "taken" / "m.pb"))])


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({}, "give filepath="),
        ({"filepath": "m.pb", "mode": "up"}, 'mode= is "auto"'),
        ({"filepath": "m.pb", "save_freq": "batch"}, 'save_freq= is "epoch"'),
        ({"filepath": "m.pb", "save_freq": 0}, 'save_freq= is "epoch"'),
        ({"filepath": "m.pb", "max_to_keep": 0}, "from 1 on"),
        ({"filepath": "{epoch}/m.pb", "max_to_keep": 1}, "directory is the same"),
        ({"filepath": "m.pb", "resume": "no"}, "resume="),
    ],
)
def test_wrong_arguments(keras, arguments, message):
    with pytest.raises(fh.FreezeError, match=message):
        fh.FreezeCallback(**arguments)
