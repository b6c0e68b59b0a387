"""Variables and outputs of unusual kinds."""

import tensorflow as tf
from notorious import X, np, v1, x_placeholder

IDS = np.array([0, 9, 4, 4], np.int64)
ON = np.array(True)


def embedding(directory, strategy):
    ids = v1.placeholder(tf.int64, [None], "x")
    parts = v1.get_variable("rows", [10, 3], partitioner=v1.fixed_size_partitioner(3))
    rows = v1.nn.embedding_lookup(parts, ids, partition_strategy=strategy)
    tf.matmul(rows, tf.convert_to_tensor(parts), transpose_b=True, name="y")
    return {}, {"x:0": IDS}


def partitioned_embedding_mod(directory):
    """tensorflow#25443."""
    return embedding(directory, "mod")


def partitioned_embedding_div(directory):
    """tensorflow#25443."""
    return embedding(directory, "div")


def unknown_static_shape(directory):
    x = x_placeholder()
    start = tf.random.normal(tf.random.uniform([2], 4, 5, tf.int32))
    w = v1.get_variable("w", initializer=start, validate_shape=False)
    tf.identity(tf.matmul(x, w), name="y")
    return {}, {"x:0": X}


def _of(dtype, values):
    """A variable of a dtype, read through ops that have kernels for all of them."""
    on = v1.placeholder(tf.bool, [], "on")
    w = v1.get_variable("w", initializer=tf.constant(values, dtype))
    tf.identity(tf.cond(on, lambda: w[1:], lambda: w[:1]), name="y")
    return {}, {"on:0": ON}


def uint8_variable(directory):
    return _of(tf.uint8, [0, 127, 255])


def int8_variable(directory):
    return _of(tf.int8, [-128, 0, 127])


def bool_variable(directory):
    return _of(tf.bool, [True, False, True])


def string_variable(directory):
    return _of(tf.string, [b"", b"a\0b", b"\xff\xfe"])


def complex64_variable(directory):
    return _of(tf.complex64, [1 - 2j, 0, 3j])


def bfloat16_variable(directory):
    """Shown as float32, since NumPy's files know no bfloat16."""
    on = v1.placeholder(tf.bool, [], "on")
    w = v1.get_variable("w", initializer=tf.constant([1.5, -2.0, 3e38], tf.bfloat16))
    tf.cast(tf.cond(on, lambda: w + w, lambda: -w), tf.float32, name="y")
    return {}, {"on:0": np.array(False)}


def zero_size(directory):
    x, w = x_placeholder(), v1.get_variable("w", [0, 4], initializer=v1.zeros_initializer())
    tf.concat([x, w], 0, name="y")
    return {}, {"x:0": X}


def one_shared_name(directory):
    """Two handles of one variable, as graphs that are imported twice have them."""
    shared = [
        tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[4], shared_name="both", name=name)
        for name in ("first", "second")
    ]
    value = tf.constant([1.0, 2.0, 3.0, 4.0])
    assign = tf.raw_ops.AssignVariableOp(resource=shared[0], value=value)
    v1.add_to_collection(v1.GraphKeys.TRAIN_OP, assign)
    first, second = (tf.raw_ops.ReadVariableOp(resource=h, dtype=tf.float32) for h in shared)
    tf.add(x_placeholder() * first, second, name="y")
    return {}, {"x:0": X}


def one_shared_name_of_refs(directory):
    first, second = (
        tf.raw_ops.VariableV2(shape=[4], dtype=tf.float32, shared_name="both", name=name)
        for name in ("first", "second")
    )
    assign = tf.raw_ops.Assign(ref=first, value=[1.0, 2.0, 3.0, 4.0])
    v1.add_to_collection(v1.GraphKeys.TRAIN_OP, assign)
    tf.add(x_placeholder() * first, second, name="y")
    return {}, {"x:0": X}


def only_control_inputs(directory):
    """A variable of no other use than that the output waits for its read."""
    x, w = x_placeholder(), v1.get_variable("w", [4], use_resource=True)
    lonely = v1.get_variable("lonely", [3], use_resource=True)
    with tf.control_dependencies([lonely.read_value(), v1.assign_add(lonely, tf.ones([3]))]):
        tf.multiply(x, w, name="y")
    return {}, {"x:0": X}


def second_output(directory):
    """tensorflow#3986: an output that is not its operation's first."""
    tf.split(x_placeholder() * v1.get_variable("w", [4]), 2, axis=1, name="halves")
    return {"outputs": ["halves:1", "halves:0"]}, {"x:0": X}


def variable_as_output(directory):
    w = v1.get_variable("w", [4, 2], use_resource=False)
    tf.matmul(x_placeholder(), w, name="y")
    return {"outputs": ["w", "y"]}, {"x:0": X}


def resource_variable_as_output(directory):
    """The variable's own node: a session cannot fetch its handle, but a file answers its value."""
    v1.get_variable("w", [4, 2], use_resource=True)
    return {"outputs": ["w"]}, {}, ["w/Read/ReadVariableOp:0"]


def read_as_output(directory):
    w = v1.get_variable("w", [4, 2], use_resource=True)
    read = w.op.name + "/Read/ReadVariableOp"
    tf.matmul(x_placeholder(), w, name="y")
    return {"outputs": [read, "y"]}, {"x:0": X}


def placeholder_as_output(directory):
    """bgshih/aster#55."""
    tf.multiply(x_placeholder(), v1.get_variable("w", [4]), name="y")
    return {"outputs": ["x", "y"]}, {"x:0": X}


def constant_as_output(directory):
    """tensorflow#20990: what depends on no placeholder at all."""
    labels = tf.constant([b"cat", b"dog"], name="labels")
    scores = tf.nn.softmax(v1.get_variable("w", [2]), name="scores")
    tf.identity(x_placeholder(), name="y")
    return {"outputs": [labels.op.name, scores.op.name, "y"]}, {"x:0": X}


def duplicate_outputs(directory):
    """One tensor under two names, and two names of one value."""
    y = tf.multiply(x_placeholder(), v1.get_variable("w", [4]), name="y")
    return {"outputs": {"first": "y:0", "again": "y:0", "same": tf.identity(y).name}}, {"x:0": X}


CASES = {
    partitioned_embedding_mod: "right",
    partitioned_embedding_div: "right",
    unknown_static_shape: "right",
    uint8_variable: "right",
    int8_variable: "right",
    bool_variable: "right",
    string_variable: "right",
    complex64_variable: "right",
    bfloat16_variable: "right",
    zero_size: "right",
    one_shared_name: "refuses",
    one_shared_name_of_refs: "right",
    only_control_inputs: "unusable",
    second_output: "right",
    variable_as_output: "right",
    resource_variable_as_output: "right",
    read_as_output: "right",
    placeholder_as_output: "right",
    constant_as_output: "right",
    duplicate_outputs: "right",
}
