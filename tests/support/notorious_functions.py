"""Calls of functions, and the loops of recurrent nets."""

import tensorflow as tf
from fitting import KERASES, keras_of
from notorious import X, both_control_flows, np, v1, x_placeholder

keras = keras_of(KERASES[-1])  # Keras 3 knows no graphs
STEPS = np.random.RandomState(2).randn(2, 7, 3).astype(np.float32)


def weights(name, shape=(4, 4)):
    return v1.get_variable(name, shape, use_resource=True)


def nested_three_deep(directory):
    """tf_neural_deconvolution#2, tensorflow/models#9816: a variable handed down to the last."""
    w, b = weights("w"), weights("b", [4])

    @tf.function
    def innermost(t):
        return tf.matmul(t, w), b * 2.0

    @tf.function
    def inner(t):
        y, z = innermost(t)
        return tf.tanh(y) + z, tf.reduce_sum(z)

    @tf.function
    def outer(t):
        y, z = inner(t - 1.0)
        return inner(y)[0] * z

    tf.identity(outer(x_placeholder()), name="y")
    return {}, {"x:0": X}


def called_with_different_variables(directory):
    """tensorflow#53866: one function, which is given its variables as arguments."""
    x, variables = x_placeholder(), [weights(name) for name in "vw"]

    @tf.function
    def dense(t, handle):
        kernel = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
        kernel.set_shape([4, 4])
        return tf.nn.relu(tf.matmul(t, kernel))

    h = x
    for variable in variables + variables[:1]:
        h = dense(h, variable.handle)
    tf.identity(h, name="y")
    return {}, {"x:0": X}


def function_with_gathers(directory):
    """tensorflow#53569: embeddings inside a function."""
    ids, table = v1.placeholder(tf.int64, [None], "x"), weights("table", [10, 4])

    @tf.function
    def embedded(ids):
        pairs = tf.gather_nd(table, tf.stack([ids, ids % 4], 1))
        return tf.gather(table, ids) + pairs[:, None] + tf.cast(tf.shape(table)[0], tf.float32)

    tf.identity(embedded(ids), name="y")
    return {}, {"x:0": np.array([9, 0, 3], np.int64)}


def function_that_updates(directory):
    """tensorflow/tfjs#7234: what a function assigns is not what it returns."""
    w, count = weights("w"), weights("count", [])

    @tf.function
    def counted(t):
        count.assign_add(1.0)
        return tf.matmul(t, w)

    tf.identity(counted(x_placeholder()), name="y")
    return {}, {"x:0": X}


def recurrent(layer, **arguments):
    steps = v1.placeholder(tf.float32, [None, 7, 3], "x")
    tf.identity(layer(steps), name="y")
    return arguments, {"x:0": STEPS}


def lstm(directory):
    """keras#11259, tensorflow#25721."""
    return recurrent(keras.layers.LSTM(5, return_sequences=True))


def lstm_lowered(directory):
    """tensorflow#36391."""
    return recurrent(keras.layers.LSTM(5, return_sequences=True), lower_control_flow=True)


def gru_both_ways_lowered(directory):
    """tensor2tensor#1616."""
    layer = keras.layers.Bidirectional(keras.layers.GRU(5, return_sequences=True))
    return recurrent(layer, lower_control_flow=True)


SECOND = ("unusable", "right")  # of 1.15.5 and of 2.21
CASES = {
    nested_three_deep: SECOND,
    called_with_different_variables: SECOND,
    function_with_gathers: "unusable",
    function_that_updates: "unusable",
    **both_control_flows(lstm, "right", SECOND),
    **both_control_flows(lstm_lowered, "right", SECOND),
    **both_control_flows(gru_both_ways_lowered, "right", SECOND),
}
