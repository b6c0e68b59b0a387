"""One FreezeCallback in several fits of one or several models: each fit is its own training."""

import os

import numpy as np
import pytest
from fitting import DIGITS, KERASES, Scores, classifier, fit, keras_of

import freeze_hooks as fh

keras = pytest.fixture(params=KERASES)(lambda request: keras_of(request.param))


def answers(path, model):
    """Return whether a file answers as a model does now."""
    with fh.load_frozen(str(path)) as frozen:
        found = frozen(pixels=DIGITS[:20])["probs"]
    return np.allclose(found, model.predict(DIGITS[:20], verbose=0), atol=1e-6)


class Weights:
    """A callback that notes the weights after each epoch."""

    def __new__(cls, keras):
        class Noting(keras.callbacks.Callback):
            def __init__(self):
                super().__init__()
                self.noted = []

            def on_epoch_end(self, epoch, logs=None):
                self.noted.append(self.model.get_weights())

        return Noting()


@pytest.mark.parametrize("resume", [False, "auto"])
def test_a_fresh_model_starts_anew(keras, resume, tmp_path):
    """In cross-validation, a second fold that is worse than the first still gets its best file."""
    path = tmp_path / "best.pb"
    best = fh.FreezeCallback(
        str(path), monitor="score", mode="max", save_best_only=True, resume=resume, strict=True
    )
    for scores in ([5.0, 6.0], [1.0, 2.0, 0.5]):
        model, watch = classifier(keras), Weights(keras)
        fit(model, callbacks=[Scores(keras, scores), best, watch], epochs=len(scores))
        assert [a.metrics["score"] for a in best.artifacts] == [max(scores)]
        model.set_weights(watch.noted[scores.index(max(scores))])
        assert answers(path, model)


def test_one_that_goes_on_must_beat_what_was(keras, tmp_path):
    best = fh.FreezeCallback(
        str(tmp_path / "best.pb"), monitor="score", mode="max", save_best_only=True, resume=True
    )
    fit(classifier(keras), callbacks=[Scores(keras, [5.0]), best])
    fit(classifier(keras), callbacks=[Scores(keras, [1.0, 6.0]), best], epochs=2)
    assert [a.metrics["score"] for a in best.artifacts] == [6.0]
    fit(classifier(keras), callbacks=[Scores(keras, [5.5]), best])
    assert fh.inspect(str(tmp_path / "best.pb")).metadata["metrics"]["score"] == 6.0


def test_the_same_model_goes_on_unless_told(keras, tmp_path):
    for resume, found in (("auto", 5.0), (False, 1.0)):
        path, model = str(tmp_path / f"{resume}.pb"), classifier(keras)
        best = fh.FreezeCallback(
            path, monitor="score", mode="max", save_best_only=True, resume=resume
        )
        for score in (5.0, 1.0):
            fit(model, callbacks=[Scores(keras, [score]), best])
        assert fh.inspect(path).metadata["metrics"]["score"] == found


def test_models_of_other_kinds_and_metrics(keras, tmp_path):
    """mode="auto" is decided for each training; artifacts are those of the last training."""
    saves = fh.FreezeCallback(str(tmp_path / "m-{epoch}.pb"), strict=True)
    for units, epochs in ((10, 3), (12, 2)):
        inputs = keras.Input((64,), name="pixels")
        model = keras.Model(
            inputs, keras.layers.Dense(units, activation="softmax", name="probs")(inputs)
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        fit(model, callbacks=[saves], epochs=epochs)
        assert [os.path.basename(a.path) for a in saves.artifacts] == [
            f"m-{epoch + 1}.pb" for epoch in range(epochs)
        ]
        assert answers(tmp_path / f"m-{epochs}.pb", model)


def test_batches_count_on_only_where_training_does(keras, tmp_path):
    """save_freq=3, 4 batches per epoch: the count starts anew for a new model, else it goes on."""
    for again, steps in ((False, [3, 3]), (True, [3, 6])):
        published = []
        saves = fh.FreezeCallback(str(tmp_path / "m.pb"), save_freq=3, on_publish=published.append)
        model = classifier(keras)
        for _ in range(2):
            fit(model, callbacks=[saves])
            model = model if again else classifier(keras)
        assert [artifact.step for artifact in published] == steps


def test_after_a_training_that_broke_off(keras, tmp_path):
    """The next training does not take over its errors or its best value."""

    class Breaks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyError("mine")

    best = fh.FreezeCallback(
        str(tmp_path / "best.pb"), monitor="score", mode="max", save_best_only=True, strict=True
    )
    with pytest.raises(KeyError, match="mine"):
        fit(classifier(keras), callbacks=[Scores(keras, [9.0]), best, Breaks()])
    fit(classifier(keras), callbacks=[Scores(keras, [1.0]), best])
    assert [a.metrics["score"] for a in best.artifacts] == [1.0]
