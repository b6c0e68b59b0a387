"""tf-slim's nets after a step of training: a file from inference_fn answers as a session does."""

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim
from slim_nets import NETS, logits_of, v1

import freeze_hooks as fh


def training(name, images):
    labels = tf.zeros([2], tf.int64)
    v1.losses.sparse_softmax_cross_entropy(labels, logits_of(name, images, True))
    v1.train.get_or_create_global_step()
    optimizer = v1.train.GradientDescentOptimizer(1e-4)
    return slim.learning.create_train_op(v1.losses.get_total_loss(), optimizer)


@pytest.mark.parametrize("name", sorted(NETS))
def test_net(name, graph, clean, tmp_path):
    size = NETS[name][2]

    def inference():
        images = v1.placeholder(tf.float32, [None, size, size, 3], name="images")
        return {"images": images}, {"probs": tf.nn.softmax(logits_of(name, images, False))}

    data = np.random.RandomState(0).uniform(-1, 1, [2, size, size, 3]).astype(np.float32)
    train_op = training(name, tf.constant(data))
    saver = fh.FreezingSaver(inference_fn=inference, strict=True)  # a hook would save twice
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        prefix = saver.save(session, str(tmp_path / "model"), 1)
    path = saver.artifacts[-1].path
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs = inference()
        v1.train.Saver().restore(session, prefix)
        expected = session.run(outputs["probs"], {inputs["images"]: data})
    # TensorFlow's optimizers take half a minute for 500 MB of constants
    (probs,) = clean.run(path, {"images:0": data}, ["probs:0"], optimize=size < 200)
    np.testing.assert_allclose(probs, expected, atol=1e-5)
