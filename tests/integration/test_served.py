"""Programs that read SavedModels answer as the live model does, each in a process of its own.

`pytest -s` prints the differences.
"""

import os
import sys

import numpy as np
import pytest
import started
import tensorflow as tf
from lacking import lacking
from places import PROGRAMS, SUPPORT
from sklearn.datasets import load_digits

import freeze_hooks as fh

v1 = tf.compat.v1
READERS = ("loaded", "session", "c_api", "layer", "saved_model_cli")
READERS += ("tflite", "openvino", "tf2onnx")
PROGRAM = {"c_api": "c", "openvino": "openvino", "tf2onnx": "onnx"}
TOLERANCE = 1e-5
DIGITS = load_digits()
IMAGES = (DIGITS.images[..., None] / 16).astype(np.float32)


@pytest.fixture(scope="module", params=[False, True], ids=["constants", "variables"])
def net(request, tmp_path_factory):
    """(directory, image batch, live answers) of a conv net with batch norm, trained on digits."""
    export = tmp_path_factory.mktemp("served")
    hook = fh.FreezeHook(
        outputs={"probs": "probs"},
        inputs={"image": "image"},
        bind={"is_training:0": False},
        format=fh.SavedModel(variables=request.param),
        output_dir=str(export),
        save_steps=1000,
        strict=True,
        verify=True,
    )
    live = {}

    class Note(v1.train.SessionRunHook):
        def end(self, session):
            live["probs"] = session.run("probs:0", {"image:0": IMAGES[:8], "is_training:0": False})

    with tf.Graph().as_default():
        v1.set_random_seed(1)
        train_op = build()
        with v1.train.MonitoredTrainingSession(hooks=[hook, Note()]) as session:
            for start in range(0, 640, 64):
                part = slice(start, start + 64)
                feeds = {"image:0": IMAGES[part], "label:0": DIGITS.target[part]}
                session.run(train_op, {**feeds, "is_training:0": True})
    assert os.path.exists(str(export / "10" / "variables")) == request.param
    return str(export / "10"), IMAGES[:8], live["probs"]


def build():
    image = v1.placeholder(tf.float32, [None, 8, 8, 1], "image")
    label = v1.placeholder(tf.int64, [None], "label")
    training = v1.placeholder(tf.bool, [], "is_training")
    x = tf.nn.conv2d(image, v1.get_variable("kernel", [3, 3, 1, 16]), 1, "SAME")
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    moving = [
        v1.get_variable(n, [16], initializer=v1.ones_initializer(), trainable=False) for n in "mv"
    ]
    follow = [v1.assign(old, 0.9 * old + 0.1 * new) for old, new in zip(moving, (mean, variance))]
    mean, variance = tf.cond(training, lambda: (mean, variance), lambda: tuple(moving))
    x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3))
    x = tf.reshape(tf.nn.max_pool2d(x, 2, 2, "VALID"), [-1, 256])
    logits = tf.matmul(x, v1.get_variable("dense", [256, 10]))
    tf.nn.softmax(logits, name="probs")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)
    step = v1.train.get_or_create_global_step()
    with tf.control_dependencies(follow):
        return v1.train.AdamOptimizer(0.01).minimize(tf.reduce_mean(loss), step)


@pytest.mark.parametrize("reader", READERS)
def test_agrees_with_the_live_model(reader, net, tmp_path):
    reason = lacking(PROGRAM.get(reader))
    if reason:
        pytest.skip(reason)
    if reader == "layer" and not hasattr(tf.keras, "Operation"):
        pytest.skip("TFSMLayer is of Keras 3")
    directory, images, wanted = net
    feeds, out = str(tmp_path / "feeds.npz"), str(tmp_path / "out.npz")
    np.savez(feeds, image=images)
    # TensorFlow 1.15 converts in a program that came with it, as an activated environment has it
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    program = [os.path.join(PROGRAMS, "served.py"), reader, directory, feeds, out]
    started.run(program, tmp_path, dict(os.environ, PATH=path, PYTHONPATH=SUPPORT))
    with np.load(out) as found:
        (name,) = found.files
        value = found[name]
    difference = np.abs(value - wanted).max()
    print(f"{reader}: {name}, {difference:.1e}")
    assert value.shape == wanted.shape and difference < TOLERANCE
