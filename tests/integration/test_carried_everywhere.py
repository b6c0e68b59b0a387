"""custom_metadata= and assets= of every adapter and function, in real trainings."""

import os

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1
LABELS = ["a", "b", "c"]


def carried(path, **metadata):
    """Assert that an artifact carries the labels, and metadata; also without the model."""
    with fh.load_frozen(path) as model:
        assert dict(model.assets) == {"labels.txt": b"a\nb\nc\n"}
        assert model.custom_metadata == metadata
    report = fh.inspect(path)
    assert report.assets == {"labels.txt": 6} and report.custom_metadata == metadata


@pytest.fixture
def labels(tmp_path):
    """The path of a file with labels, which is taken from the place where it was once read."""
    path = tmp_path / "labels.txt"
    path.write_bytes(b"a\nb\nc\n")
    return path


def train(hook, directory, steps=3, changing=None, **more):
    with tf.Graph().as_default():
        train_op = build()
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(directory),
            save_checkpoint_steps=1,
            save_summaries_steps=None,
            hooks=[hook],
            **more,
        ) as session:
            for _ in range(steps):
                session.run(train_op, FEEDS)
                if changing is not None:
                    changing.write_bytes(b"other")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("form", ["pb", "saved_model"])
def test_hook(form, background, labels, tmp_path):
    """A path is read once, though the hook writes many files."""

    def noted(step, metrics):
        return {"at": step, "loss": round(metrics["loss"] - 0.5)}

    hook = fh.FreezeHook(
        custom_metadata=noted,
        assets={"labels.txt": labels},
        evaluate=lambda session, step: {"loss": step + 0.5},
        format=form,
        save_on_background=background,
        **FREEZE,
    )
    train(hook, tmp_path / "run", changing=labels)
    assert len(hook.artifacts) > 2
    for artifact in hook.artifacts:
        carried(artifact.path, at=artifact.step, loss=artifact.step)
    train(hook, tmp_path / "next")  # each training reads it anew
    with fh.load_frozen(hook.artifacts[-1].path) as model:
        assert model.assets["labels.txt"] == b"other"


def test_hook_finds_errors_before_training(tmp_path):
    hook = fh.FreezeHook(assets={"a": str(tmp_path / "none.txt")}, **FREEZE)
    with tf.Graph().as_default(), pytest.raises(fh.FreezeError, match=r"cannot read .*none\.txt"):
        build()
        hook.begin()
    with pytest.raises(fh.FreezeError, match="is nan"):
        fh.FreezeHook(custom_metadata={"a": float("nan")}, **FREEZE)
    with pytest.raises(fh.FreezeError, match="absolute"):
        fh.FreezeHook(assets={"/a": b""}, **FREEZE)


@pytest.mark.parametrize("strict", [False, True])
def test_a_function_that_fails_at_a_save(strict, warnings_logged, tmp_path):
    """That save has no file, and training goes on; with strict, the error ends it."""

    def noted(step, metrics):
        return {"value": float("nan") if step == 2 else step}

    hook = fh.FreezeHook(custom_metadata=noted, strict=strict, **FREEZE)
    if strict:
        with pytest.raises(fh.FreezeError, match=r"custom_metadata\['value'\] is nan"):
            train(hook, tmp_path, steps=4)
        return
    train(hook, tmp_path, steps=4)
    assert [artifact.step for artifact in hook.artifacts] == [0, 1, 3, 4]
    (told,) = [text for text in warnings_logged if "is nan" in text]
    assert "no frozen file for" in told and "model.ckpt-2" in told
    assert not os.path.exists(str(tmp_path / "model.ckpt-2.pb"))


def test_saver(labels, graph, tmp_path):
    train_op = build()
    saver = fh.FreezingSaver(
        custom_metadata={"kind": "saver"}, assets={"labels.txt": labels}, **FREEZE
    )
    labels.write_bytes(b"other")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(train_op, FEEDS)
        saver.save(session, str(tmp_path / "model.ckpt"), global_step=1)
    carried(saver.artifacts[0].path, kind="saver")


@pytest.mark.parametrize("name", KERASES)
@pytest.mark.parametrize("form", ["pb", "saved_model"])
def test_callback(name, form, labels, tmp_path):
    keras = keras_of(name)

    def noted(step, metrics):
        return {"steps": None if step is None else int(step), "loss": metrics["loss"]}

    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch}"),
        custom_metadata=noted,
        assets={"labels.txt": str(labels)},
        format=form,
    )

    class Change(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            labels.write_bytes(b"other")

    fit(classifier(keras), callbacks=[Change(), callback], epochs=2)
    assert len(callback.artifacts) == 2
    for artifact in callback.artifacts:
        carried(artifact.path, steps=artifact.step, loss=artifact.metrics["loss"])
    with pytest.raises(fh.FreezeError, match=r"'labels\.txt'"):
        labels.unlink()
        fit(classifier(keras), callbacks=[callback])  # each training reads it


@pytest.mark.parametrize("name", KERASES)
def test_callback_whose_model_changes(name, labels, tmp_path):
    """A model that is traced anew has what was read when training began."""
    keras = keras_of(name)
    if tf.__version__.startswith("1."):
        pytest.skip("in graph mode a model is not traced anew")

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.factor = keras.layers.Dense(10, activation="softmax"), 1.0

        def call(self, x):
            return self.dense(x) * self.factor

    model = Net()
    model.compile("adam", "sparse_categorical_crossentropy")
    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), assets={"labels.txt": str(labels)})

    class Change(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            labels.write_bytes(b"other")
            model.factor += 1.0

    fit(model, callbacks=[Change(), callback], epochs=2)
    for artifact in callback.artifacts:
        carried(artifact.path)


@pytest.mark.parametrize("name", KERASES)
def test_callback_with_a_function_that_fails(name, warnings_logged, tmp_path):
    def noted(step, metrics):
        return {"value": object()}

    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), custom_metadata=noted)
    fit(classifier(keras_of(name)), callbacks=[callback])
    assert not callback.artifacts and not (tmp_path / "m.pb").exists()
    assert [
        text for text in warnings_logged if "custom_metadata['value'] is of type object" in text
    ]
    wrong = fh.FreezeCallback(str(tmp_path / "m.pb"), custom_metadata={"value": b"x"})
    with pytest.raises(fh.FreezeError, match="is of type bytes"):
        fit(classifier(keras_of(name)), callbacks=[wrong])


@pytest.mark.parametrize("name", KERASES)
def test_keras_functions(name, labels, tmp_path):
    model = classifier(keras_of(name))
    given = {"custom_metadata": {"a": np.float32(0.5)}, "assets": {"labels.txt": labels}}
    fh.freeze_keras_model(model, str(tmp_path / "m.pb"), **given)
    carried(str(tmp_path / "m.pb"), a=0.5)
    plan = fh.plan_keras_model(model, **given)
    labels.write_bytes(b"other")
    for step in (1, 2):
        plan.write(str(tmp_path / "m.pb"), step=step)
        carried(str(tmp_path / "m.pb"), a=0.5)


@pytest.mark.skipif(tf.__version__.startswith("1."), reason="functions are of TensorFlow 2")
def test_functions(labels, tmp_path):
    weight = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def double(x):
        return {"y": x * weight}

    def noted(step, metrics):
        return dict(metrics, step=step)

    given = {"custom_metadata": noted, "assets": {"labels.txt": labels}}
    fh.freeze_function(double, str(tmp_path / "m.pb"), **given)
    carried(str(tmp_path / "m.pb"), step=None)
    plan = fh.plan_function(double, **given)
    labels.write_bytes(b"other")
    plan.write(str(tmp_path / "m.pb"), step=np.int64(4), metrics={"loss": tf.constant(0.5)})
    carried(str(tmp_path / "m.pb"), step=4, loss=0.5)


@pytest.mark.parametrize("form", ["pb", "saved_model"])
def test_functions_of_files(form, graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        saved = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        x, y = graph.get_tensor_by_name("net/x:0"), graph.get_tensor_by_name("net/Relu:0")
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": y})
        given = {"custom_metadata": {"a": 1}, "assets": {"labels.txt": LABELS}, "format": form}
        fh.freeze_session(session, str(tmp_path / "of session"), ["probs"], **given, **bound())
    carried(str(tmp_path / "of session"), a=1)
    fh.freeze_checkpoint(saved, str(tmp_path / "of checkpoint"), ["probs"], **given, **bound())
    carried(str(tmp_path / "of checkpoint"), a=1)
    fh.freeze_files(saved, str(tmp_path / "of files"), ["probs"], **given, **bound())
    carried(str(tmp_path / "of files"), a=1)
    fh.freeze_saved_model(str(tmp_path / "saved"), str(tmp_path / "of model"), **given)
    carried(str(tmp_path / "of model"), a=1)
    fh.freeze_files(str(tmp_path / "saved"), str(tmp_path / "of any"), **given)
    carried(str(tmp_path / "of any"), a=1)


def bound():
    return {"bind": FREEZE["bind"]}


@pytest.mark.skipif(not tf.executing_eagerly(), reason="SavedModels of TensorFlow 2")
def test_saved_models_of_tensorflow_2(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
        def double(self, x):
            return {"y": x * self.w}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), module.double)
    given = {"custom_metadata": {"a": 1}, "assets": {"labels.txt": LABELS}}
    fh.freeze_saved_model(str(tmp_path / "saved"), str(tmp_path / "m.pb"), **given)
    carried(str(tmp_path / "m.pb"), a=1)


@pytest.mark.skipif(not hasattr(tf, "estimator"), reason="2.15 was the last with Estimator")
def test_exporter(labels, tmp_path):
    def model_fn(features, labels, mode):
        logits = v1.layers.dense(features["x"], 3)
        if mode == v1.estimator.ModeKeys.PREDICT:
            return v1.estimator.EstimatorSpec(mode, {"logits": logits})
        loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
        step = v1.train.get_or_create_global_step()
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        return v1.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def fed():
        data = {"x": np.ones([8, 4], np.float32)}, np.zeros([8], np.int64)
        return tf.data.Dataset.from_tensors(data).repeat()

    def serving():
        x = v1.placeholder(tf.float32, [None, 4], "x")
        return tf.estimator.export.ServingInputReceiver({"x": x}, {"x": x})

    exporter = fh.FreezeExporter(
        "frozen",
        serving,
        custom_metadata=lambda step, metrics: {"at": step, "steps": metrics["global_step"]},
        assets={"labels.txt": labels},
    )
    labels.write_bytes(b"other")
    estimator = tf.estimator.Estimator(model_fn, str(tmp_path / "run"))
    tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(fed, max_steps=3),
        tf.estimator.EvalSpec(fed, steps=1, exporters=exporter),
    )
    assert exporter.artifacts
    for artifact in exporter.artifacts:
        carried(artifact.path, at=artifact.step, steps=artifact.step)
