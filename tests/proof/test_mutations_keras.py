"""The proof of a Keras model finds each fault, on each Keras, and with KERAS_BACKEND=jax or torch.

tests/proof/test_mutations.py does the same for graphs.
"""

import os

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of
from mutants import (
    baked_batch,
    build_in,
    input_cast,
    outputs_swapped,
    remember_values,
    rounded_ids,
    transposed_constant,
    wrong_branch,
    wrong_output_dtype,
    wrong_variable,
)

import freeze_hooks as fh

ELSEWHERE = os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow"
RANDOM = np.random.RandomState(3)
# float32 cannot hold these odd ids: it rounds them to even ones, which are other rows of the table.
X, IDS = RANDOM.randn(32, 8).astype(np.float32), np.arange(2**24 + 1, 2**24 + 65, 2)
Y = RANDOM.rand(32, 3).astype(np.float32)
OF_THE_GRAPH = {
    "input cast": input_cast,
    "rounded ids": rounded_ids,
    "wrong variable": wrong_variable,
    "transposed constant": transposed_constant,
    "wrong branch": wrong_branch,
    "outputs swapped": outputs_swapped,
    "wrong dtype of output": wrong_output_dtype,
}


def build(keras):
    """Return a model with two outputs of one shape, and everything that a fault may change."""
    layers, ops = keras.layers, getattr(keras, "ops", tf)
    mod = ops.mod if hasattr(keras, "ops") else tf.math.floormod
    x, ids = keras.Input((8,), name="x"), keras.Input((), dtype="int64", name="ids")
    h = ops.where(x > 0, x, 0.25 * x)
    h = layers.Dense(8, use_bias=False)(layers.Dense(8, use_bias=False)(h))
    h = layers.Add()([h, layers.Embedding(97, 8)(mod(ids, 97))])
    h = layers.BatchNormalization()(h)
    answers = [layers.Dense(3, name=name)(h) for name in ("probs", "scores")]
    model = keras.Model([x, ids], answers)
    model.compile(keras.optimizers.SGD(0.5), ["mse", "mse"])
    return model


def fit(model, *callbacks):
    model.fit([X, IDS], [Y, 1 - Y], batch_size=16, verbose=0, callbacks=list(callbacks))


class ByCallback:
    """Each `freeze` is a training; the proof compares on its last batch."""

    def __init__(self, name):
        self.model = build(keras_of(name))
        self.train()

    def train(self):
        fit(self.model)

    def freeze(self, path):
        callback = fh.FreezeCallback(path, verify=True, strict=True, save_freq="epoch")
        fit(self.model, callback)
        return callback.artifacts[-1]


class OfModel(ByCallback):
    """`freeze` runs between trainings; the proof compares on a given batch."""

    def freeze(self, path):
        given = {"x": X[:5], "ids": IDS[:5]}
        return fh.freeze_keras_model(self.model, path, verify=given)


@pytest.fixture(scope="module", params=["keras"] if ELSEWHERE else KERASES)
def name(request):
    return request.param


@pytest.fixture(scope="module", params=[ByCallback, OfModel], ids=lambda kind: kind.__name__)
def route(request, name):
    if TF1:
        tf.keras.backend.clear_session()
    if ELSEWHERE:
        plan_once(request)
    return request.param(name)


def plan_once(request):
    """Ask the other process for each model's plan only once, since it takes seconds."""
    from freeze_hooks.sources.keras import other_backends

    asked = other_backends._ask
    answers = {}

    def ask(model, *args):
        if id(model) not in answers:
            answers[id(model)] = asked(model, *args)
        return answers[id(model)]

    other_backends._ask = ask
    request.addfinalizer(lambda: setattr(other_backends, "_ask", asked))


@pytest.fixture(autouse=True)
def fresh_keras():
    """Override the fixture that clears Keras: one model serves all tests of a route."""


def assert_refused(route, directory):
    with pytest.raises(fh.NotVerifiedError):
        route.freeze(str(directory / "wrong.pb"))
    assert not (directory / "wrong.pb").exists()


def test_without_a_fault(route, tmp_path):
    artifact = route.freeze(str(tmp_path / "right.pb"))
    assert artifact.max_difference < 1e-4


@pytest.mark.parametrize("fault", OF_THE_GRAPH)
def test_faults_of_the_graph(fault, route, tmp_path, monkeypatch):
    build_in(monkeypatch, OF_THE_GRAPH[fault])
    assert_refused(route, tmp_path)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 16])
def test_a_batch_size_that_is_baked_in(size, route, tmp_path, monkeypatch):
    """One of the batches finds it, whatever the size is."""
    build_in(monkeypatch, lambda plan: baked_batch(plan, size))
    assert_refused(route, tmp_path)


def test_stale_values_of_a_later_file(name, tmp_path, monkeypatch, warnings_logged):
    """The first file of a fit is right; later ones have its values."""
    remember_values(monkeypatch)
    model, path = build(keras_of(name)), str(tmp_path / "{epoch}.pb")
    callback = fh.FreezeCallback(path, verify=True, save_on_background=False)
    model.fit([X, IDS], [Y, 1 - Y], batch_size=16, verbose=0, callbacks=[callback], epochs=3)
    assert len(callback.artifacts) == 1


def test_stale_values(route, tmp_path, monkeypatch):
    """Every file gets the values that were read for the first file."""
    remember_values(monkeypatch)
    with pytest.raises(fh.NotVerifiedError):
        route.freeze(str(tmp_path / "first.pb"))
        route.train()
        route.freeze(str(tmp_path / "stale.pb"))
