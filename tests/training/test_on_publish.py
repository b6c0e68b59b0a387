"""on_publish=: functions that get each file once it exists, outside the training thread."""

import threading
import time

import pytest
import tensorflow as tf
from fitting import KERASES, TF1, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1


def train(hook, directory, steps=4):
    train_op = build()
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory), save_checkpoint_steps=2, hooks=[hook]
    ) as session:
        for _ in range(steps):
            session.run(train_op, FEEDS)


def test_each_file_is_told_of_in_order(graph, tmp_path):
    """This also holds if it is slow: training does not wait for it, only its end does."""
    told, threads = [], set()

    def note(artifact):
        time.sleep(0.05)
        fh.inspect(artifact.path)  # the file exists and is complete
        threads.add(threading.current_thread())
        told.append(artifact)

    hook = fh.FreezeHook(on_publish=[note], **FREEZE)
    train(hook, tmp_path)
    assert tuple(told) == hook.artifacts and [a.step for a in told] == [0, 2, 4]
    assert threading.main_thread() not in threads


def test_what_fails_is_a_warning(graph, tmp_path, warnings_logged):
    told = []

    def fails(artifact):
        raise RuntimeError("the network is down")

    hook = fh.FreezeHook(on_publish=[fails, told.append], strict=True, **FREEZE)
    train(hook, tmp_path)
    assert tuple(told) == hook.artifacts and len(told) == 3
    said = [w for w in warnings_logged if "on_publish= fails failed" in w]
    assert len(said) == 3 and "the network is down" in said[0] and "ckpt-0.pb" in said[0]


def test_saver_and_a_single_function(graph, tmp_path):
    told = []
    train_op = build()
    saver = fh.FreezingSaver(on_publish=told.append, **FREEZE)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(train_op, FEEDS)
        saver.save(session, str(tmp_path / "m"), global_step=1)
    deadline = time.time() + 60
    while not told and time.time() < deadline:
        time.sleep(0.01)
    assert told == list(saver.artifacts)


@pytest.mark.parametrize("kind", KERASES)
@pytest.mark.parametrize("background", [False, True])
def test_callback(kind, background, tmp_path):
    told = []
    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch}.pb"), on_publish=told.append, save_on_background=background
    )
    fit(classifier(keras_of(kind)), callbacks=[callback], epochs=3)
    assert told == list(callback.artifacts) and len(told) == 3


def scalars(directory):
    found = {}
    for path in directory.glob("events*"):
        for event in v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                number = value.simple_value
                if value.HasField("tensor"):
                    number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, {})[event.step] = number
    return found


TAGS = {"freeze/seconds", "freeze/megabytes", "freeze/max_difference"}


def assert_plotted(directory, artifacts):
    found = scalars(directory)
    assert artifacts and set(found) == TAGS
    for artifact in artifacts:
        assert found["freeze/seconds"][artifact.step] == pytest.approx(artifact.seconds)
        assert found["freeze/megabytes"][artifact.step] == pytest.approx(artifact.bytes / 1e6)


def test_tensorboard(graph, tmp_path):
    writer = v1.summary.FileWriter(str(tmp_path / "events"))
    hook = fh.FreezeHook(on_publish=fh.to_tensorboard(writer), verify=True, **FREEZE)
    train(hook, tmp_path / "run")
    assert_plotted(tmp_path / "events", hook.artifacts)


@pytest.mark.skipif(TF1, reason="tf.summary.create_file_writer came with TensorFlow 2")
def test_tensorboard_of_keras(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch}.pb"), on_publish=fh.to_tensorboard(writer), verify=True
    )
    fit(classifier(keras_of(KERASES[0])), callbacks=[callback], epochs=2)
    assert_plotted(tmp_path / "events", callback.artifacts)


def test_what_is_wrong():
    with pytest.raises(fh.FreezeError, match="on_publish= takes functions"):
        fh.FreezeHook(outputs=["y"], on_publish=["to_onnx"])


def test_what_a_converter_makes_goes_with_its_file(graph, tmp_path):
    """This also holds if the file is deleted meanwhile, and for an earlier program's file."""
    train_op, run = build(), tmp_path / "run"

    def train(steps, listeners):
        hook = fh.FreezeHook(on_publish=listeners, keep=2, **FREEZE)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(run), save_checkpoint_steps=1, hooks=[hook]
        ) as session:
            for _ in range(steps):
                session.run(train_op, FEEDS)

    train(3, fh.to_tflite())
    assert stems(run, ".tflite") <= stems(run, ".pb") and len(stems(run, ".pb")) == 2
    (run / "mine.tflite").write_bytes(b"mine")
    (run / "model.ckpt-5.onnx").write_bytes(b"mine too")
    train(4, ())
    assert stems(run, ".tflite") == {"mine"} and stems(run, ".onnx") == {"model.ckpt-5"}
    assert stems(run, ".pb") == {"model.ckpt-6", "model.ckpt-7"}


def stems(directory, ending):
    return {p.name[: -len(ending)] for p in directory.glob("*" + ending)}
