"""More kinds of graphs that trackers tell of: frozen without complaint, and then of no use."""

import tensorflow as tf
from notorious import X, both_control_flows, flag, np, v1, x_placeholder
from notorious_functions import keras, weights

IDS = np.array([3, 0, 9], np.int64)


def initialized_from_data(directory):
    """tf2onnx#77, tensorflow#35406: weight normalization that looks whether it was initialized."""
    x, gain = x_placeholder(), weights("gain", [4])
    first = tf.cond(
        v1.is_variable_initialized(gain), lambda: gain + 0.0, lambda: 1.0 / tf.math.reduce_std(x, 0)
    )
    kernel = tf.nn.l2_normalize(weights("kernel"), 0) * first
    tf.matmul(x, kernel, name="y")
    return {}, {"x:0": X}


def state_kept_between_runs(directory):
    """tensorflow#37659, tensorflow#38312: a recurrent net that goes on where it stopped."""
    x, state, w = x_placeholder(), weights("state", [4]), weights("w")
    before = state.read_value()
    after = tf.tanh(tf.reduce_mean(tf.matmul(x, w), 0) + before)
    with tf.control_dependencies([before]), tf.control_dependencies([state.assign(after)]):
        tf.multiply(x, after, name="y")
    return {}, {"x:0": X}


def references_kept_between_runs(directory):
    """tensorflow#4044: the same with references, as a well-known exercise has it."""
    x, w = x_placeholder(), v1.get_variable("w", [4, 4])
    state = v1.get_variable("state", [4], use_resource=False, trainable=False)
    after = tf.tanh(tf.reduce_mean(tf.matmul(x, w), 0) + state)
    with tf.control_dependencies([v1.assign(state, after)]):
        tf.multiply(x, after, name="y")
    return {}, {"x:0": X}


def printed_on_the_way(directory):
    """tensorflow#30697: an output that waits for a print."""
    y = x_placeholder() * weights("w", [4])
    with tf.control_dependencies([v1.print("y is", tf.shape(y)), v1.assert_less(y, 1e6)]):
        tf.identity(y, name="y")
    return {}, {"x:0": X}


def fused_batch_norm(directory):
    """openvino#21, opencv#13110, tensorflow#32959: nothing of the training's half may be left."""
    x, on = x_placeholder(), flag()
    image = tf.reshape(x, [-1, 2, 1, 2])
    scale, offset, mean = (weights(name, [2]) for name in ("scale", "offset", "mean"))

    def normalized(training):
        averages = {} if training else {"mean": mean, "variance": tf.abs(scale) + 1.0}
        fused = v1.nn.fused_batch_norm(image, scale, offset, is_training=training, **averages)
        return fused[0]

    y = tf.cond(on, lambda: normalized(True), lambda: normalized(False))
    tf.identity(y, name="y")
    return {"bind": {"is_training:0": False}}, {"x:0": X}


def keras_batch_norm(directory):
    """tensorflow#31358, tf-coreml#307: a Keras model in a graph of its own."""
    x = keras.layers.Input(tensor=x_placeholder())
    h = keras.layers.BatchNormalization()(keras.layers.Dense(6, activation="relu")(x))
    tf.identity(keras.layers.Dropout(0.5)(h), name="y")
    return {}, {"x:0": X}


def spectral_norm(directory):
    """BigDL#1271, tensorflow#91313: each step of training improves the estimate of a norm."""
    x, w, u = x_placeholder(), weights("w"), weights("u", [1, 4])
    estimate = u.read_value()
    v = tf.nn.l2_normalize(tf.matmul(estimate, w, transpose_b=True))
    better = tf.nn.l2_normalize(tf.matmul(v, w))
    keep = flag()
    with tf.control_dependencies([estimate]):
        update = tf.cond(keep, lambda: u.assign(better).read_value(), lambda: estimate)
    with tf.control_dependencies([update]):
        norm = tf.reduce_sum(tf.matmul(tf.matmul(v, w), better, transpose_b=True))
    tf.identity(tf.matmul(x, w) / norm, name="y")
    return {"bind": {"is_training:0": False}}, {"x:0": X}


def sparse_embedding(directory):
    """tensorflow#25443: the wide half of a wide and deep model."""
    ids = v1.placeholder(tf.int64, [None], "x")
    rows = v1.get_variable("rows", [10, 3], partitioner=v1.fixed_size_partitioner(2))
    positions = tf.stack([ids % 2, tf.range(3, dtype=tf.int64)], 1)
    bag = tf.sparse.reorder(tf.sparse.SparseTensor(positions, ids, [2, 3]))
    tf.identity(v1.nn.safe_embedding_lookup_sparse(list(rows), bag, combiner="mean"), name="y")
    return {}, {"x:0": IDS}


def nested_loops(directory):
    """tensorflow#27308: a variable that two loops hand on before it is read."""
    x, w = x_placeholder(), weights("w")

    def outer(i, y):
        inner = v1.while_loop(
            lambda j, z: j < 2, lambda j, z: (j + 1, tf.tanh(tf.matmul(z, w))), [0, y]
        )
        return i + 1, inner[1] + w[0]

    tf.identity(v1.while_loop(lambda i, y: i < 2, outer, [0, x])[1], name="y")
    return {}, {"x:0": X}


def memory_that_scatters(directory):
    """tensorflow#39286: rows of a memory are replaced after they were looked up."""
    ids, memory = v1.placeholder(tf.int64, [None], "x"), weights("memory", [10, 4])
    rows = tf.gather(memory, ids)
    with tf.control_dependencies([rows]):
        update = v1.scatter_update(memory, ids, rows * 0.9)
    with tf.control_dependencies([update]):
        tf.identity(tf.nn.l2_normalize(rows, 1), name="y")
    return {}, {"x:0": IDS}


def fake_quantization(directory):
    """tensorflow#20886: training that takes the later quantization into account."""
    x, kernel = x_placeholder(), weights("kernel")
    lowest, highest = weights("lowest", []), weights("highest", [])
    limits = (-tf.abs(lowest) - 0.1, tf.abs(highest) + 0.1)
    tf.matmul(x, tf.quantization.fake_quant_with_min_max_vars(kernel, *limits), name="y")
    return {}, {"x:0": X}


SECOND = ("unusable", "right")  # of 1.15.5 and of 2.21
CASES = {
    **both_control_flows(initialized_from_data, "unusable", "unusable"),
    state_kept_between_runs: "unusable",
    references_kept_between_runs: "unusable",
    printed_on_the_way: "right",
    **both_control_flows(fused_batch_norm, "right", SECOND),
    **both_control_flows(keras_batch_norm, "right", "unusable"),
    **both_control_flows(spectral_norm, "unusable", "unusable"),
    sparse_embedding: "right",
    **both_control_flows(nested_loops, "right", SECOND),
    memory_that_scatters: "unusable",
    fake_quantization: "right",
}
