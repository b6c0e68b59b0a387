"""Variables in conditionals and loops, of both control flows."""

import tensorflow as tf
from notorious import X, both_control_flows, flag, np, v1, x_placeholder

IDS = np.array([3, 0, 9], np.int64)


def resource(name, shape, **more):
    initializer = v1.random_normal_initializer(seed=3)
    return v1.get_variable(name, shape, initializer=initializer, use_resource=True, **more)


def assigns_and_a_bool_variable(directory):
    """tensorflow#3667: a variable says whether the averages are updated."""
    x, mean = x_placeholder(), resource("mean", [4], trainable=False)
    training = v1.get_variable(
        "training", [], tf.bool, v1.ones_initializer(), trainable=False, use_resource=True
    )

    def train():
        with tf.control_dependencies([mean.assign_add(tf.reduce_mean(x - mean, 0))]):
            return x - tf.reduce_mean(x, 0)

    tf.identity(tf.cond(training, train, lambda: x - mean), name="y")
    return {}, {"x:0": X}


def learning_phase(directory):
    """keras#11032, tensorflow#31668: batch normalization that looks at the learning phase."""
    x, on = x_placeholder(), v1.placeholder_with_default(False, [], "learning_phase")
    mean, variance, gamma = resource("mean", [4]), resource("variance", [4]), resource("gamma", [4])

    def normalized(mean, variance):
        return (x - mean) / tf.sqrt(tf.abs(variance) + 1e-3) * gamma

    moments = tf.nn.moments(x, [0])
    y = tf.cond(on, lambda: normalized(*moments), lambda: normalized(mean, variance))
    tf.identity(y, name="y")
    return {}, {"x:0": X}


def read_in_both_branches(directory):
    """tensorflow#31331."""
    x, on, w = x_placeholder(), flag("on"), resource("w", [4])
    tf.identity(tf.cond(on, lambda: x * w, lambda: x - w * 2.0), name="y")
    return {}, {"x:0": X, "on:0": np.array(True)}


def gathered_in_a_branch(directory):
    """ResourceGather and ResourceGatherNd of a variable that a conditional captures."""
    ids, on, w = v1.placeholder(tf.int64, [None], "x"), flag("on"), resource("w", [10, 3])
    pairs = tf.stack([ids, ids % 3], 1)
    rows = tf.cond(
        on, lambda: tf.gather(w, ids), lambda: tf.tile(tf.gather_nd(w, pairs)[:, None], [1, 3])
    )
    tf.multiply(rows, w[2:5], name="y")
    return {}, {"x:0": IDS, "on:0": np.array(False)}


def nested_conditionals(directory):
    x, outer, inner = x_placeholder(), flag("outer"), flag("inner")
    w, b = resource("w", [4, 4]), resource("b", [4])

    def product():
        return tf.cond(inner, lambda: tf.matmul(x, w), lambda: tf.matmul(x, w) + b)

    tf.identity(tf.cond(outer, product, lambda: x * b), name="y")
    return {}, {"x:0": X, "outer:0": np.array(True), "inner:0": np.array(False)}


def sliced_in_a_loop(directory):
    """keras#11259: a loop that reads its weights anew in each step."""
    x, w = x_placeholder(), resource("w", [3, 4, 4])
    _, y = v1.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(tf.matmul(y, w[i]))), [0, x]
    )
    tf.identity(y, name="y")
    return {}, {"x:0": X}


def gathered_in_a_loop(directory):
    """tensorflow#36391, of an embedding inside the loop that decodes."""
    ids, w = v1.placeholder(tf.int64, [None], "x"), resource("w", [10, 4])

    def step(i, ids, total):
        rows = tf.nn.embedding_lookup(w, ids)
        return i + 1, (ids + tf.argmax(rows, 1)) % 10, total + rows

    start = tf.zeros([tf.shape(ids)[0], 4])
    loop = v1.while_loop(lambda i, *_: i < 4, step, [0, ids, start])
    tf.identity(loop[2], name="y")
    return {}, {"x:0": IDS}


def conditional_in_a_loop(directory):
    """tensorflow#24591: a variable handed through a loop into a conditional."""
    x, w, b = x_placeholder(), resource("w", [4, 4]), resource("b", [4])

    def step(i, y):
        return i + 1, tf.cond(i % 2 > 0, lambda: tf.matmul(y, w), lambda: y + b)

    tf.identity(v1.while_loop(lambda i, y: i < 3, step, [0, x])[1], name="y")
    return {}, {"x:0": X}


def loop_in_a_branch(directory):
    x, on, w = x_placeholder(), flag("on"), resource("w", [4, 4])

    def repeated():
        return v1.while_loop(
            lambda i, y: tf.reduce_sum(w) + 1e6 > tf.cast(i, tf.float32) * 5e5,
            lambda i, y: (i + 1, tf.tanh(tf.matmul(y, w))),
            [0, x],
        )[1]

    tf.identity(tf.cond(on, repeated, lambda: x), name="y")
    return {}, {"x:0": X, "on:0": np.array(True)}


SECOND = ("unusable", "right")  # of 1.15.5 and of 2.21
CASES = {
    **both_control_flows(assigns_and_a_bool_variable, "unusable", "unusable"),
    **both_control_flows(learning_phase, "right", SECOND),
    **both_control_flows(read_in_both_branches, "right", SECOND),
    **both_control_flows(gathered_in_a_branch, SECOND, "unusable"),
    **both_control_flows(nested_conditionals, "right", SECOND),
    **both_control_flows(sliced_in_a_loop, "right", SECOND),
    **both_control_flows(gathered_in_a_loop, "unusable", "unusable"),
    **both_control_flows(conditional_in_a_loop, "right", SECOND),
    **both_control_flows(loop_in_a_branch, "right", SECOND),
}
