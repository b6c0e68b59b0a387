"""Steps and metrics of any kind of number are written as Python's own numbers, or refused."""

import decimal
import fractions
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from fitting import HAS_KERAS_3, KERASES, TF1, Scores, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1
eager = pytest.mark.skipif(TF1, reason="TensorFlow 1 trains Keras models in a graph")


def noted(path):
    """Return step and metrics; those in the file must equal those in the description beside it."""
    with open(str(path) + ".json") as file:
        beside = json.load(file)
    inside = fh.inspect(str(path)).metadata
    assert (beside["step"], beside["metrics"]) == (inside["step"], inside["metrics"])
    return beside["step"], beside["metrics"]


PLAIN = {
    "int": lambda: 3,
    "float": lambda: 3.0,
    "bool": lambda: True,
    "decimal": lambda: decimal.Decimal(3),
    "fraction": lambda: fractions.Fraction(3, 1),
    "numpy int64": lambda: np.int64(3),
    "numpy uint8": lambda: np.uint8(3),
    "numpy float16": lambda: np.float16(3),
    "numpy bool": lambda: np.bool_(True),
    "array of rank 0": lambda: np.array(3, np.int32),
    "array of one": lambda: np.array([[3.0]], np.float32),
    "array of an object": lambda: np.array(3, object),
}
TENSORS = {
    "tensor": lambda: tf.constant(3, tf.int64),
    "tensor of one": lambda: tf.constant([3.0]),
    "bfloat16": lambda: tf.constant(3, tf.bfloat16),
    "bool tensor": lambda: tf.constant(True),
    "variable": lambda: tf.Variable(3, dtype=tf.int64),
    "Keras variable": lambda: keras_of("keras").Variable(3, dtype="int32"),
    "Keras metric's result": lambda: keras_of("keras").metrics.Sum()([1.0, 2.0]),
}


@pytest.fixture
def plan():
    """Return the plan of a function; in TensorFlow 1, of a Keras model in a graph."""
    if TF1:
        return fh.plan_keras_model(classifier(tf.keras))
    return fh.plan_function(tf.function(lambda x: {"y": x + 1.0}).get_concrete_function(tf.ones(2)))


def check_noted(plan, path, given):
    is_true = "bool" in str(getattr(given, "dtype", type(given)))
    value = 1 if is_true else 3
    artifact = plan.write(str(path), step=given, metrics={"m": given})
    assert (artifact.step, artifact.metrics) == (value, {"m": value})
    assert type(artifact.step) is int and type(artifact.metrics["m"]) in (int, float)
    assert noted(path) == (value, {"m": value})


@pytest.mark.parametrize("kind", sorted(PLAIN))
def test_plain_numbers(kind, plan, tmp_path):
    check_noted(plan, tmp_path / "f.pb", PLAIN[kind]())


@eager
@pytest.mark.parametrize("kind", sorted(TENSORS))
def test_tensors_and_variables(kind, plan, tmp_path):
    if kind.startswith("Keras") and not HAS_KERAS_3:
        pytest.skip("Keras 3 has them")
    check_noted(plan, tmp_path / "f.pb", TENSORS[kind]())


@eager
@pytest.mark.parametrize("name", KERASES)
def test_the_optimizers_own_count(name, tmp_path):
    model = classifier(keras_of(name))
    plan = fh.plan_keras_model(model)
    fit(model, batches=5)
    assert plan.write(str(tmp_path / "f.pb"), step=model.optimizer.iterations).step == 5


@pytest.mark.skipif(not TF1, reason="graph mode is TensorFlow 1's")
def test_the_optimizers_own_count_in_a_graph(graph, tmp_path):
    model = classifier(tf.keras)
    fit(model, batches=5)
    plan, loss = fh.plan_keras_model(model), tf.constant(0.5)
    count = len(v1.get_default_graph().get_operations())
    step = model.optimizer.iterations
    artifact = plan.write(str(tmp_path / "f.pb"), step=step, metrics={"loss": loss})
    assert (artifact.step, artifact.metrics) == (5, {"loss": 0.5})
    assert len(v1.get_default_graph().get_operations()) == count


def test_large_whole_numbers_are_exact(plan, tmp_path):
    large = 2**53 + 1
    for given in (large, np.int64(large), np.array([large])):
        plan.write(str(tmp_path / "f.pb"), step=given, metrics={"seen": given})
        assert noted(tmp_path / "f.pb") == (large, {"seen": large})


def test_what_is_not_finite_is_noted_in_words(plan, tmp_path):
    odd = {"a": np.float32("nan"), "b": float("inf"), "c": np.array([-np.inf])}
    artifact = plan.write(str(tmp_path / "f.pb"), metrics=odd)
    assert math.isnan(artifact.metrics["a"]) and artifact.metrics["c"] == -math.inf
    assert noted(tmp_path / "f.pb")[1] == {"a": "nan", "b": "inf", "c": "-inf"}


@pytest.mark.parametrize(
    "odd", [None, "0.5", b"1", [1.0], {}, 1j, np.ones(2), np.datetime64("2020-01-01"), object()]
)
def test_what_is_no_number_is_named(odd, plan, tmp_path):
    with pytest.raises(fh.FreezeError, match=r"metrics=: metric 'f1' is not a number but"):
        plan.write(str(tmp_path / "f.pb"), metrics={"fine": 1, "f1": odd})
    if odd is not None:
        with pytest.raises(fh.FreezeError, match=r"step= is not a number but"):
            plan.write(str(tmp_path / "f.pb"), step=odd)
    assert not list(tmp_path.iterdir())


def test_steps_are_whole(plan, tmp_path):
    for odd in (0.5, float("nan"), np.float32("inf")):
        with pytest.raises(fh.FreezeError, match="step= is not a whole number but"):
            plan.write(str(tmp_path / "f.pb"), step=odd)
    with pytest.raises(fh.FreezeError, match="metrics= must be a dict"):
        plan.write(str(tmp_path / "f.pb"), metrics=[("loss", 1.0)])


@eager
def test_a_metric_object_is_told_its_result(plan, tmp_path):
    metric = keras_of(KERASES[0]).metrics.Mean()
    with pytest.raises(fh.FreezeError, match=r"metric 'loss' .*metric\.result\(\)"):
        plan.write(str(tmp_path / "f.pb"), metrics={"loss": metric})


def test_a_hooks_metrics_may_be_tensors_of_the_graph(graph, tmp_path):
    train_op = build()
    step = v1.train.get_or_create_global_step()
    given = {"step": step, "loss": tf.cast(step, tf.float32) / 2, "f1": np.array([0.25])}
    hook = fh.FreezeHook(
        save_best_only=True,
        monitor="loss",
        mode="max",
        evaluate=lambda session, step: given,
        threshold=np.float32(0.5),
        keep=np.int64(1),
        **FREEZE,
    )
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=[hook]
    ) as session:
        for _ in range(4):
            session.run(train_op, FEEDS)
    assert noted(tmp_path / "best.pb") == (4, {"step": 4, "loss": 2.0, "f1": 0.25})


def test_a_hooks_metric_that_is_no_number_is_named(graph, tmp_path):
    train_op = build()
    hook = fh.FreezeHook(evaluate=lambda session, step: {"f1": None}, **FREEZE)

    def train():
        with v1.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), hooks=[hook]) as s:
            s.run(train_op, FEEDS)

    with pytest.raises(fh.FreezeError, match="returns: metric 'f1' is not a number"):
        train()


LOGS = [np.float32(0.5), np.array([0.25], np.float32), np.array(0.125)]


@pytest.mark.parametrize("name", KERASES)
def test_a_callbacks_metrics(name, tmp_path):
    keras = keras_of(name)
    scores = LOGS + ([] if TF1 else [tf.constant(0.0625), tf.Variable([0.03125])])
    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch}-{score:.5f}.pb"),
        "score",
        save_best_only=True,
        mode="min",
        initial_value_threshold=np.float64(0.3),
        max_to_keep=np.int64(9),
    )
    fit(classifier(keras), epochs=len(scores), callbacks=[Scores(keras, scores), callback])
    values = [0.25, 0.125, 0.0625, 0.03125][: len(scores) - 1]
    paths = [str(tmp_path / f"{i}-{value:.5f}.pb") for i, value in enumerate(values, 2)]
    assert [a.path for a in callback.artifacts] == paths
    assert [noted(path)[1]["score"] for path in paths] == values


@pytest.mark.parametrize("odd", [None, "low", np.array([0.1, 0.2])])
def test_a_monitored_value_that_is_no_number_is_named(odd, tmp_path):
    keras = keras_of(KERASES[0])
    best = fh.FreezeCallback(str(tmp_path / "best.pb"), "score", save_best_only=True, mode="min")
    with pytest.raises(fh.FreezeError, match="metric 'score' is not a number"):
        fit(classifier(keras), callbacks=[Scores(keras, [odd]), best])


def test_other_logs_may_be_anything(tmp_path):
    keras = keras_of(KERASES[0])
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"))
    fit(classifier(keras), callbacks=[Scores(keras, [[0.1, 0.2]]), callback])
    assert "score" not in noted(tmp_path / "m.pb")[1]


def test_as_many_batches_as_numpy_counts(tmp_path):
    callback = fh.FreezeCallback(str(tmp_path / "{batch}.pb"), save_freq=np.int64(2))
    fit(classifier(keras_of(KERASES[0])), batches=4, callbacks=[callback])
    assert sorted(p.name for p in tmp_path.glob("*.pb")) == ["2.pb", "4.pb"]
