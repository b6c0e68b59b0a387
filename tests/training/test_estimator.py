"""Canned and custom Estimators are really trained: their files predict the same as they do."""

import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from sklearn.datasets import load_iris

import freeze_hooks as fh

v1 = tf.compat.v1
HAS_ESTIMATOR = hasattr(tf, "estimator")
needs_estimator = pytest.mark.skipif(
    not HAS_ESTIMATOR, reason="TensorFlow 2.15 was the last with Estimator"
)
FLOWERS, KINDS = load_iris(return_X_y=True)
FLOWERS = FLOWERS.astype(np.float32)
SIZES = np.array(["small", "medium", "large"])
WORDS = SIZES[np.digitize(FLOWERS[:, 0], [5.2, 6.2])]
SPECIES = ["setosa", "versicolor", "virginica"]
DATA = {"petal": FLOWERS[:, 2], "sepal": FLOWERS[:, :2], "size": WORDS, "place": WORDS}


def columns(directory):
    """Return (deep, wide) feature columns of all kinds; one of two vocabularies is in a file."""
    path = os.path.join(str(directory), "sizes.txt")
    with open(path, "w") as file:
        file.write("\n".join(SIZES))
    of = tf.feature_column
    petal, listed = of.numeric_column("petal"), list(SIZES[:2])
    filed = of.categorical_column_with_vocabulary_file("size", path, vocabulary_size=3)
    buckets = of.bucketized_column(petal, [2.0, 4.0, 5.0])
    hashed = of.categorical_column_with_hash_bucket("place", 7)
    deep = [
        petal,
        of.numeric_column("sepal", 2),
        of.embedding_column(filed, 4),
        of.indicator_column(of.categorical_column_with_vocabulary_list("place", listed)),
        of.embedding_column(hashed, 2),
    ]
    return deep, [buckets, of.crossed_column([buckets, "size"], 11)]


def feeding(labels=None, repeat=None):
    def fed():
        data = tf.data.Dataset.from_tensor_slices(
            DATA if labels is None else (DATA, np.asarray(labels))
        )
        return data.repeat(repeat).batch(50)

    return fed


def serving(keys=tuple(DATA)):
    """Return a receiver that takes each feature as it is, in a batch of any size."""
    dtypes = {key: tf.string if DATA[key].dtype.kind == "U" else tf.float32 for key in keys}
    fed = {key: v1.placeholder(dtypes[key], [None, *DATA[key].shape[1:]], key) for key in keys}
    return tf.estimator.export.ServingInputReceiver(fed, fed)


def parsing():
    """Return a receiver that takes serialized tf.Examples."""
    spec = {
        "petal": v1.FixedLenFeature([], tf.float32),
        "sepal": v1.FixedLenFeature([2], tf.float32),
        "size": v1.FixedLenFeature([], tf.string),
        "place": v1.FixedLenFeature([], tf.string),
    }
    return tf.estimator.export.build_parsing_serving_input_receiver_fn(spec)()


def examples():
    def example(i):
        found = tf.train.Example()
        found.features.feature["petal"].float_list.value.append(DATA["petal"][i])
        found.features.feature["sepal"].float_list.value.extend(DATA["sepal"][i])
        for key in ("size", "place"):
            found.features.feature[key].bytes_list.value.append(DATA[key][i].encode())
        return found.SerializeToString()

    return np.array([example(i) for i in range(len(KINDS))], object)


def deep(directory):
    return tf.estimator.DNNClassifier(
        [8, 4],
        columns(directory)[0],
        model_dir=str(directory / "model"),
        n_classes=3,
        label_vocabulary=SPECIES,
        dropout=0.2,
        batch_norm=True,
        config=tf.estimator.RunConfig(save_checkpoints_steps=20, tf_random_seed=3),
    )


def wide_and_deep(directory):
    dense, crossed = columns(directory)
    return tf.estimator.DNNLinearCombinedClassifier(
        model_dir=str(directory / "model"),
        linear_feature_columns=crossed,
        dnn_feature_columns=dense,
        dnn_hidden_units=[8],
        n_classes=3,
        label_vocabulary=SPECIES,
        config=tf.estimator.RunConfig(save_checkpoints_steps=20, tf_random_seed=3),
    )


def model_fn(features, labels, mode, params):
    """Return the spec of a model with hand-written batch normalization and dropout."""
    training = mode == tf.estimator.ModeKeys.TRAIN
    x = tf.concat([features["sepal"], tf.reshape(features["petal"], [-1, 1])], 1)
    w = v1.get_variable("w", [3, 8])
    h = tf.matmul(x, w)
    mean = v1.get_variable("mean", [8], initializer=v1.zeros_initializer(), trainable=False)
    now = tf.reduce_mean(h, 0)
    update = v1.assign(mean, 0.9 * mean + 0.1 * now) if training else tf.no_op()
    h = tf.nn.relu(h - (now if training else mean))
    h = tf.nn.dropout(h, rate=0.5) if training else h
    logits = tf.matmul(h, v1.get_variable("v", [8, 3]))
    answers = {"probabilities": tf.nn.softmax(logits), "sepal": features["sepal"] * 1.0}
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions=answers)
    labels = tf.cast(labels, tf.int32)
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    step = v1.train.get_global_step()
    with tf.control_dependencies([update]):
        train = v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)
    hooks = params["hooks"]() if training else []
    return tf.estimator.EstimatorSpec(mode, answers, loss, train, training_hooks=hooks)


def custom(directory, hooks=list):
    return tf.estimator.Estimator(
        model_fn,
        str(directory / "model"),
        tf.estimator.RunConfig(save_checkpoints_steps=20, tf_random_seed=3),
        {"hooks": hooks},
    )


def answers_of(clean, path, feeds, names):
    arrays = clean.run(path, feeds, [f"{name}:0" for name in names])
    return dict(zip(names, arrays))


def predicted(estimator, names, step):
    checkpoint = os.path.join(estimator.model_dir, f"model.ckpt-{step}")
    found = list(estimator.predict(feeding(repeat=1), checkpoint_path=checkpoint))
    return {name: np.array([one[name] for one in found]) for name in names}


def assert_predicts(clean, estimator, path, step, feeds=None, names=("probabilities", "class_ids")):
    """In another process, the file predicts the same as the estimator from its checkpoint."""
    ours = answers_of(clean, path, feeds or {f"{key}:0": v for key, v in DATA.items()}, names)
    for name, theirs in predicted(estimator, names, step).items():
        np.testing.assert_allclose(ours[name], theirs, atol=1e-6)
    reader = v1.train.NewCheckpointReader(os.path.join(estimator.model_dir, f"model.ckpt-{step}"))
    found = constants(path)
    keys = {name: re.sub(r"/part_0$", "", name) for name in found}
    known = {name: key for name, key in keys.items() if reader.has_tensor(key)}
    assert len(known) >= 3
    for name, key in known.items():
        assert found[name].tobytes() == reader.get_tensor(key).tobytes()


def steps(directory):
    found = (re.match(r"model\.ckpt-(\d+)\.pb\Z", name) for name in os.listdir(str(directory)))
    return sorted(int(match.group(1)) for match in found if match)


@needs_estimator
@pytest.mark.parametrize("make", [deep, wide_and_deep])
@pytest.mark.parametrize("served", [serving, parsing])
def test_a_canned_estimator_is_frozen_while_it_trains(make, served, clean, tmp_path):
    """Dropout and batch statistics of the training graph are not in the file."""
    estimator = make(tmp_path)
    labels = np.array(SPECIES)[KINDS]
    hook = fh.FreezeHook(inference_fn=fh.estimator_inference(estimator, served), strict=True)
    estimator.train(feeding(labels), hooks=[hook], steps=40)
    assert steps(estimator.model_dir) == [0, 20, 40]
    feeds = None
    if served is parsing:
        (end,) = fh.load_frozen(estimator.model_dir + "/model.ckpt-40.pb").inputs.values()
        feeds = {end.tensor: examples()}
    for step in (20, 40):
        path = f"{estimator.model_dir}/model.ckpt-{step}.pb"
        assert_predicts(clean, estimator, path, step, feeds)


@needs_estimator
def test_training_hooks_of_a_custom_one(clean, tmp_path):
    made = []

    def hooks():
        inference = fh.estimator_inference(estimator, lambda: serving(("sepal", "petal")))
        made.append(fh.FreezeHook(inference_fn=inference, strict=True))
        return made[-1:]

    estimator = custom(tmp_path, hooks)
    estimator.train(feeding(KINDS), steps=40)
    assert steps(estimator.model_dir) == [0, 20, 40] == [a.step for a in made[0].artifacts]
    path = estimator.model_dir + "/model.ckpt-40.pb"
    feeds = {"sepal:0": DATA["sepal"], "petal:0": DATA["petal"]}
    names = ("probabilities",)
    assert_predicts(clean, estimator, path, 40, feeds, names)
    # "sepal" is both an input and an answer, and keeps this one name
    assert {"sepal", "probabilities"} == set(fh.load_frozen(path).outputs)


@needs_estimator
def test_train_and_evaluate(clean, tmp_path):
    """One hook is used on a new graph each time, together with three exporters."""
    estimator = deep(tmp_path)
    labels = np.array(SPECIES)[KINDS]
    inference = fh.estimator_inference(estimator, serving)
    hook = fh.FreezeHook(inference_fn=inference, strict=True)
    kinds = {
        kind: fh.FreezeExporter(kind, serving, kind=kind, keep=2, strict=True, verify=True)
        for kind in ("latest", "best", "final")
    }
    seen = []

    class Note(tf.estimator.Exporter):
        name = "note"

        def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
            seen.append((int(checkpoint_path.split("-")[-1]), float(eval_result["loss"])))

    def go(max_steps, exporters):
        tf.estimator.train_and_evaluate(
            estimator,
            tf.estimator.TrainSpec(feeding(labels), max_steps, hooks=[hook]),
            tf.estimator.EvalSpec(feeding(labels, 1), exporters=exporters, throttle_secs=0),
        )

    go(60, [*kinds.values(), Note()])
    export = os.path.join(estimator.model_dir, "export")
    assert [step for step, _ in seen] == [20, 40, 60]
    assert steps(os.path.join(export, "latest")) == [40, 60]
    assert steps(estimator.model_dir) == [0, 20, 40, 60]
    best_step, best_loss = min(seen, key=lambda pair: pair[1])
    for path, step in (
        (export + "/latest/model.ckpt-40.pb", 40),
        (export + "/final/final.pb", 60),
        (export + "/best/best.pb", best_step),
        (estimator.model_dir + "/model.ckpt-60.pb", 60),
    ):
        assert_predicts(clean, estimator, path, step)
    assert fh.inspect(export + "/best/best.pb").metadata["metrics"]["loss"] == best_loss
    # a new program takes the best value from the state: nothing beats 0.0
    state = os.path.join(export, "best", "frozen_state.json")
    with open(state) as file:
        remembered = json.load(file)
    remembered["best"]["best"]["loss"] = 0.0
    with open(state, "w") as file:
        json.dump(remembered, file)
    again = fh.FreezeExporter("best", serving, kind="best", strict=True)
    go(80, [again])
    assert again.artifacts == ()


def predicted_by(directory):
    """Return the classes that TensorFlow's own loader gets from a SavedModel."""
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.loader.load(session, ["serve"], directory)
        ends = loaded.signature_def["serving_default"]
        fed = {end.name: DATA[name] for name, end in ends.inputs.items()}
        return session.run(ends.outputs["classes"].name, fed)


@needs_estimator
@pytest.mark.parametrize("variables", [False, True, "link"])
def test_exporters_of_saved_models(variables, tmp_path):
    estimator = deep(tmp_path)
    labels = np.array(SPECIES)[KINDS]
    form = fh.SavedModel(variables=variables)
    exporters = [
        fh.FreezeExporter(kind, serving, kind=kind, keep=2, format=form, strict=True, verify=True)
        for kind in ("latest", "best")
    ]
    tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(feeding(labels), 60),
        tf.estimator.EvalSpec(feeding(labels, 1), exporters=exporters, throttle_secs=0),
    )
    export = os.path.join(estimator.model_dir, "export")
    versions = [name for name in os.listdir(os.path.join(export, "latest")) if name.isdigit()]
    assert sorted(versions) == ["40", "60"]
    (best,) = (name for name in os.listdir(os.path.join(export, "best", "best")) if name.isdigit())
    for path, step in (("latest/60", "60"), ("best/best/" + best, best)):
        checkpoint = os.path.join(estimator.model_dir, f"model.ckpt-{step}")
        found = estimator.predict(feeding(None, 1), checkpoint_path=checkpoint)
        wanted = [answers["classes"] for answers in found]
        np.testing.assert_array_equal(predicted_by(os.path.join(export, path)), wanted)
    other = fh.FreezeExporter("latest", serving, strict=True)
    with pytest.raises(fh.FreezeError, match="SavedModels of another training, such as '60'"):
        directory = os.path.join(export, "latest")
        other.export(estimator, directory, checkpoint, {"loss": 1.0}, False)


@needs_estimator
def test_one_hook_for_training_and_evaluation(tmp_path, warnings_logged):
    """Evaluations run in the middle of the training, which is still frozen after them."""
    estimator = deep(tmp_path)
    labels = np.array(SPECIES)[KINDS]
    hook = fh.FreezeHook(inference_fn=fh.estimator_inference(estimator, serving))
    tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(feeding(labels), 60, hooks=[hook]),
        tf.estimator.EvalSpec(feeding(labels, 1), hooks=[hook], throttle_secs=0),
    )
    assert steps(estimator.model_dir) == [0, 20, 40, 60]
    (said,) = [m for m in warnings_logged if m.startswith("FreezeHook: it stands")]
    assert "evaluation" in said
    estimator.evaluate(feeding(labels, 1), hooks=[fh.FreezeHook(["global_step"])])
    assert "saves no checkpoints: FreezeHook belongs to training" in warnings_logged[-1]
    never = fh.FreezeExporter("never", serving, kind="best", monitor="loss", mode="max")
    for value in (float("nan"), float("nan")):
        never.export(estimator, str(tmp_path), b"none", {"loss": value}, value != value)
    assert "FreezeExporter: training has ended without a frozen file" in warnings_logged[-1]
    assert "all NaN" in warnings_logged[-1]


@needs_estimator
@pytest.mark.parametrize(
    "signature, outputs",
    [("serving_default", {"scores", "classes"}), ("predict", None), ("classification", None)],
)
def test_signatures(signature, outputs, tmp_path):
    estimator = deep(tmp_path)
    estimator.train(feeding(np.array(SPECIES)[KINDS]), steps=1)
    prefix = estimator.latest_checkpoint()
    exporter = fh.FreezeExporter("x", parsing, signature=signature, strict=True)
    path = exporter.export(estimator, str(tmp_path / "x"), prefix, {}, True)
    found = set(fh.load_frozen(path).outputs)
    assert found == outputs if outputs else len(found) >= 2


@needs_estimator
def test_several_signatures(tmp_path):
    estimator = deep(tmp_path)
    keys = ["classification", "predict"]
    hook = fh.FreezeHook(
        inference_fn=fh.estimator_inference(estimator, serving, "serving_default", keys),
        verify=True,
        strict=True,
    )
    estimator.train(feeding(np.array(SPECIES)[KINDS]), steps=2, hooks=[hook])
    exporter = fh.FreezeExporter(
        "x", serving, signature="serving_default", signatures=keys, verify=True, strict=True
    )
    prefix = estimator.latest_checkpoint()
    path = exporter.export(estimator, str(tmp_path / "x"), prefix, {}, True)
    for found in (path, hook.artifacts[-1].path):
        with fh.load_frozen(found) as model:
            assert sorted(model.signatures) == ["classification", "predict", "serving_default"]
            assert set(model.outputs) == {"scores", "classes"}
            assert "probabilities" in model.signatures["predict"].outputs
            assert list(model.signatures["predict"].inputs) == list(model.inputs)
    wrong = fh.FreezeExporter("x", serving, signatures=["predikt"], strict=True)
    with pytest.raises(fh.UnknownNameError, match="'predikt' is not among"):
        wrong.export(estimator, str(tmp_path / "x"), prefix, {}, True)


@needs_estimator
def test_results_that_are_no_numbers(tmp_path):
    """Results may include arrays, such as those of tf.metrics.mean_tensor, and summaries."""
    estimator = deep(tmp_path)
    estimator.train(feeding(np.array(SPECIES)[KINDS]), steps=1)
    result = {"acc": np.float32(0.5), "per_class": np.ones(3), "images": b"a summary"}
    best = fh.FreezeExporter("x", parsing, kind="best", monitor="acc", mode="max", strict=True)
    prefix = estimator.latest_checkpoint()
    path = best.export(estimator, str(tmp_path / "x"), prefix, result, False)
    assert fh.inspect(path).metadata["metrics"] == {"acc": 0.5}


@needs_estimator
def test_what_is_wrong(tmp_path, warnings_logged):
    estimator = deep(tmp_path)
    estimator.train(feeding(np.array(SPECIES)[KINDS]), steps=1)
    prefix = estimator.latest_checkpoint()
    with pytest.raises(fh.FreezeError, match="kind= is one of"):
        fh.FreezeExporter("x", serving, kind="newest")
    with pytest.raises(fh.FreezeError, match="name= is empty"):
        fh.FreezeExporter("", serving)
    exporter = fh.FreezeExporter("x", serving, signature="predikt")
    assert exporter.export(estimator, str(tmp_path / "x"), prefix, {}, True) is None
    assert re.search(r"'predikt' is not among.*'predict'", warnings_logged[-1])
    strict = fh.FreezeExporter("x", serving, kind="best", monitor="los", strict=True)
    with pytest.raises(fh.UnknownNameError, match=r"monitor='los'.*'loss'"):
        strict.export(estimator, str(tmp_path / "x"), prefix, {"loss": 1.0}, False)
    with pytest.raises(fh.FreezeError, match="there is no checkpoint"):
        fh.FreezeExporter("x", serving, strict=True).export(
            estimator, str(tmp_path / "x"), prefix + "0", {}, True
        )
    assert [name for name in os.listdir(str(tmp_path / "x")) if name.endswith("b")] == []


@pytest.mark.skipif(HAS_ESTIMATOR, reason="there is one")
def test_without_estimator():
    with pytest.raises(fh.FreezeError, match=r"no Estimator: 2\.15 was the last"):
        fh.FreezeExporter("x", serving)
