"""Uses of fit beyond tutorials: metrics of several outputs, odd logs, copied callbacks."""

import copy
import os
import threading

import numpy as np
import pytest
from fitting import DIGITS, KERASES, LABELS, TF1, classifier, fit, keras_of

import freeze_hooks as fh
from freeze_hooks.storage import atomic

keras = pytest.fixture(params=KERASES)(lambda request: keras_of(request.param))


def two_heads(keras, names):
    """Return a model of a class and a number for each digit, with misleading output names."""
    pixels = keras.Input((64,), name="pixels")
    kind = keras.layers.Dense(10, activation="softmax", name=names[0])(pixels)
    number = keras.layers.Dense(1, name=names[1])(pixels)
    model = keras.Model(pixels, [kind, number])
    model.compile(
        "adam",
        {names[0]: "sparse_categorical_crossentropy", names[1]: "mse"},
        metrics={names[0]: ["accuracy"], names[1]: ["mae"]},
    )
    return model


@pytest.mark.parametrize(
    "monitor, best",
    [
        ("val_error_type_accuracy", max),
        ("val_accurate_mae", min),
        ("val_error_type_loss", min),
        ("val_loss", min),
    ],
)
def test_which_way_is_better(keras, monitor, best, tmp_path):
    """The metric decides, not the output's name before it."""
    if TF1:
        monitor = monitor.replace("accuracy", "acc").replace("mae", "mean_absolute_error")
    names = ("error_type", "accurate")
    model, path = two_heads(keras, names), str(tmp_path / "best.pb")
    callback = fh.FreezeCallback(path, monitor=monitor, save_best_only=True)
    targets = {names[0]: LABELS[:256], names[1]: LABELS[:256].astype(np.float32)}
    history = model.fit(
        DIGITS[:256], targets, validation_split=0.3, epochs=4, verbose=0, callbacks=[callback]
    ).history
    assert fh.inspect(path).metadata["metrics"][monitor] == pytest.approx(best(history[monitor]))


@pytest.mark.parametrize("name", ["binary_io_u", "val_mean_io_u", "blossom_accuracy", "log_auc"])
def test_more_is_better(keras, name, tmp_path):
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs[name] = [0.5, 0.7, 0.6][epoch]

    model, path = classifier(keras), str(tmp_path / "best.pb")
    saves = fh.FreezeCallback(path, monitor=name, save_best_only=True)
    fit(model, epochs=3, callbacks=[Adds(), saves])
    assert fh.inspect(path).metadata["metrics"][name] == 0.7


def test_logs_that_are_no_numbers(keras, tmp_path):
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update(note=None, time="12:30", each=np.ones(3), lucky=7)

    path = str(tmp_path / "a.pb")
    fit(classifier(keras), epochs=1, callbacks=[Adds(), fh.FreezeCallback(path)])
    metrics = fh.inspect(path).metadata["metrics"]
    assert metrics["lucky"] == 7 and not {"note", "time", "each"} & set(metrics)


def test_a_path_with_a_metric_of_validation(keras, tmp_path, warnings_logged):
    """An epoch without validation is skipped; a metric that never appears is an error."""
    saves = fh.FreezeCallback(str(tmp_path / "{epoch}-{val_loss:.2f}.pb"))
    fit(classifier(keras), validation_split=0.2, validation_freq=2, epochs=4, callbacks=[saves])
    epochs = sorted(name[0] for name in os.listdir(str(tmp_path)) if name.endswith(".pb"))
    assert epochs == ["2", "4"]
    assert "val_loss" in warnings_logged[0]
    with pytest.raises(fh.UnknownNameError, match="val_los'"):
        callback = fh.FreezeCallback(str(tmp_path / "{epoch}-{val_los}.pb"))
        fit(classifier(keras), validation_split=0.2, epochs=1, callbacks=[callback])


def test_a_program_that_moves(keras, tmp_path, monkeypatch, warnings_logged):
    """After os.chdir, a relative path means another place: nothing is written there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    publishing, moved = atomic.publishing, threading.Event()

    class Moves(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                os.chdir(str(tmp_path / "other"))
                moved.set()

    def slowly(*args, **more):
        if args[0].endswith("1.pb"):
            moved.wait(60)
        return publishing(*args, **more)

    monkeypatch.setattr(atomic, "publishing", slowly)
    saves = fh.FreezeCallback("sub/{epoch}.pb")
    fit(classifier(keras), epochs=2, callbacks=[saves, Moves()])
    assert not any(
        name.endswith("2.pb") for _, _, names in os.walk(str(tmp_path)) for name in names
    )
    assert any("relative path" in message and "2.pb" in message for message in warnings_logged)


def test_only_frozen_files_are_deleted(tmp_path):
    with pytest.raises(fh.FreezeError, match=r"max_to_keep=.*\.pb"):
        fh.FreezeCallback(str(tmp_path / "{epoch}.frozen"), max_to_keep=2)


def test_copies(keras, tmp_path):
    """Tuners copy the callback for each trial."""
    original = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), max_to_keep=2)
    fit(classifier(keras), epochs=3, callbacks=[original])
    twin = copy.deepcopy(fh.FreezeCallback(str(tmp_path / "twin-{epoch}.pb"), max_to_keep=1))
    fit(classifier(keras), epochs=2, callbacks=[twin])
    assert [os.path.basename(a.path) for a in original.artifacts] == ["2.pb", "3.pb"]
    assert [os.path.basename(a.path) for a in twin.artifacts] == ["twin-2.pb"]


@pytest.mark.skipif(TF1, reason="train_step came with TensorFlow 2")
def test_a_model_that_only_holds_others(keras, tmp_path):
    """A model for adversarial training may have no call: an error before training begins."""
    begun = []

    class Adversarial(keras.Model):
        def train_step(self, data):
            begun.append(data)
            return {"loss": 0.0}

    model = Adversarial()
    model.compile("adam")
    with pytest.raises(fh.NotFreezableError, match="has no call"):
        fit(model, callbacks=[fh.FreezeCallback(str(tmp_path / "m.pb"))])
    assert not begun
