"""What training leaves in a graph: updates, averages, placeholders and input pipelines."""

import tensorflow as tf
from notorious import X, both_control_flows, flag, np, under_control_flow, v1, x_placeholder

OFF = {"bind": {"is_training:0": False}}
WAITING = {"bind": {"is_training:0": False, "counting:0": False}}
IMAGES = np.random.RandomState(1).randn(4, 6, 6, 3).astype(np.float32)


def batch_norm(resource=True):
    """Batch normalization as slim writes it: the branch of training updates the averages."""
    x, on = x_placeholder(), flag()
    average = v1.get_variable("average", [4], use_resource=resource, trainable=False)
    variance = v1.get_variable("variance", [4], use_resource=resource, trainable=False)

    def train():
        moments = tf.nn.moments(x, [0])
        old = zip((average, variance), moments)
        with tf.control_dependencies([v1.assign_sub(v, (v - m) * 0.1) for v, m in old]):
            return [tf.identity(moment) for moment in moments]

    mean, spread = tf.cond(on, train, lambda: [tf.identity(average), tf.identity(variance)])
    return (x - mean) / tf.sqrt(tf.abs(spread) + 1e-3)


def updates_in_a_dead_branch(directory):
    """analytics-zoo#1104."""
    tf.identity(batch_norm(), name="y")
    return OFF, {"x:0": X}


def updates_of_refs_in_a_dead_branch(directory):
    """facenet#161."""
    tf.identity(batch_norm(resource=False), name="y")
    return OFF, {"x:0": X}


def updates_that_the_output_waits_for(directory):
    """tensorflow#35167."""
    y, count = batch_norm(), v1.get_variable("count", [], use_resource=True)
    update = tf.cond(flag("counting"), lambda: count.assign_add(1.0), lambda: count + 0.0)
    with tf.control_dependencies([tf.group(update, v1.assign_sub(count, 1.0))]):
        tf.multiply(y, 2.0, name="y")
    return WAITING, {"x:0": X}


def shared_and_unbound(directory):
    """facenet#161: a layer of two towers, whose file still asks for the phase."""
    on = v1.placeholder_with_default(False, [], "learning_phase")
    y = x_placeholder()
    for _ in range(2):
        with v1.variable_scope("shared", reuse=v1.AUTO_REUSE):
            average = v1.get_variable("average", [4], use_resource=False, trainable=False)

        def train(y=y, average=average):
            mean = tf.reduce_mean(y, 0)
            with tf.control_dependencies([v1.assign_sub(average, (average - mean) * 0.1)]):
                return tf.identity(mean)

        y = tf.tanh(y - tf.cond(on, train, lambda average=average: tf.identity(average)))
    tf.identity(y, name="y")
    return {}, {"x:0": X}


def averages(directory):
    """tensorflow#9724, tensorflow#25912: what was evaluated were the averages of the weights."""
    x, w = x_placeholder(), v1.get_variable("w", [4], use_resource=True)
    ema = tf.train.ExponentialMovingAverage(0.9)
    with tf.control_dependencies([w.assign_add(tf.ones([4]))]):
        v1.add_to_collection(v1.GraphKeys.TRAIN_OP, ema.apply([w]))
    tf.multiply(x, w, name="y")
    tf.multiply(x, ema.average(w), name="evaluated")
    return {"ema": ema}, {"x:0": X}, ["evaluated:0"]


def phase_and_keep_prob(directory):
    """facenet#108, facenet#144: placeholders that a user of the file must know of."""
    phase, keep = flag("phase_train"), v1.placeholder(tf.float32, [], "keep_prob")
    h = tf.matmul(x_placeholder(), v1.get_variable("w", [4, 4]))
    h = tf.cond(phase, lambda: tf.nn.dropout(h, rate=0.5), lambda: tf.identity(h))
    tf.identity(tf.nn.dropout(h, rate=1.0 - keep), name="y")
    return {"bind": {"phase_train:0": False, "keep_prob:0": 1.0}}, {"x:0": X}


def input_queue(directory):
    """rude-carnie#20, facenet#725: batches of a fixed size from a queue of files."""
    (directory / "image").write_bytes(IMAGES[0].tobytes())
    names = v1.train.string_input_producer([str(directory / "image")])
    image = tf.reshape(tf.io.decode_raw(tf.io.read_file(names.dequeue()), tf.float32), [6, 6, 3])
    batch = v1.train.batch([image], 4, name="batch")
    conv = tf.nn.conv2d(batch, v1.get_variable("w", [3, 3, 3, 2]), 1, "SAME")
    tf.reshape(conv, [-1, 72], name="y")
    return {"inputs": {"image": "batch:0"}}, {"image:0": IMAGES}


def iterator(directory):
    """tensorflow#17884: the same of a tf.data iterator, whose initialization is lost."""
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4, drop_remainder=True)
    batch = v1.data.make_initializable_iterator(dataset).get_next()
    tf.reduce_mean(batch * v1.get_variable("w", [3]), [1, 2], name="y")
    return {"inputs": {"image": batch.name}}, {"image:0": IMAGES}


CASES = {
    **both_control_flows(updates_in_a_dead_branch, "unusable", "unusable"),
    # control flow of version 2 takes no references
    under_control_flow(1, updates_of_refs_in_a_dead_branch): "unusable",
    **both_control_flows(updates_that_the_output_waits_for, "unusable", "unusable"),
    under_control_flow(1, shared_and_unbound): "unusable",
    averages: "wrong",
    **both_control_flows(phase_and_keep_prob, "right", "right"),
    input_queue: "right",
    iterator: "right",
}
