"""Concrete functions, converted; prints what came of each, by name."""

import json
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from freeze_hooks import graph_util

v1 = tf.compat.v1
v1.enable_v2_behavior()
X = np.arange(6, dtype=np.float32).reshape(2, 3)
KEPT = []  # functions hold their variables weakly
FLOATS = tf.TensorSpec([None, 3], tf.float32, name="x")


def variable(*args, **kwargs):
    KEPT.append(tf.Variable(*args, **kwargs))
    return KEPT[-1]


def plain():
    w, b = variable(tf.ones([3, 2]), name="w"), variable([1.0, 2.0], name="b")
    return tf.function(lambda x: tf.matmul(x, w) + b).get_concrete_function(FLOATS), [X]


def many():
    """Inputs of which one is not needed, a nested result, the same tensor twice."""
    w = variable(2.0)

    @tf.function
    def f(x, unused, y):
        product = x * w
        return {"b": (product, y), "a": [product, w]}

    scalar = tf.TensorSpec([], tf.float32)
    return f.get_concrete_function(FLOATS, scalar, scalar), [X, 7.0, 3.0]


def branches():
    w = variable(3.0)

    @tf.function
    def f(x):
        if tf.reduce_sum(x) > 4:
            return x * w
        return tf.gather(tf.stack([x, -x]), 1) - w

    return f.get_concrete_function(FLOATS), [X]


def loop():
    table = variable(tf.reshape(tf.range(8.0), [4, 2]))

    @tf.function
    def f(n):
        total = tf.zeros([2])
        for i in tf.range(n):
            total += tf.gather(table, i)
        return total

    return f.get_concrete_function(tf.TensorSpec([], tf.int32, name="n")), [np.int32(3)]


def nested():
    w = variable(5.0)
    inner = tf.function(lambda x: x + w)
    middle = tf.function(lambda x: inner(x) * inner(2 * x))
    return tf.function(lambda x: middle(x) - w).get_concrete_function(FLOATS), [X]


def dtypes():
    variables = [
        variable(value, dtype=dtype)
        for value, dtype in ((1, tf.int64), (True, tf.bool), (b"text", tf.string), (2, tf.float16))
    ]
    f = tf.function(lambda: [v.read_value() for v in variables])
    return f.get_concrete_function(), []


def another_loop():
    """Its functions are called as those of `loop` are."""
    table = variable(tf.reshape(tf.range(8.0), [4, 2]))

    @tf.function
    def f(n):
        total = tf.ones([2])
        for i in tf.range(n):
            total *= 2 + tf.gather(table, i)
        return total

    return f.get_concrete_function(tf.TensorSpec([], tf.int32, name="n")), [np.int32(3)]


def loaded():
    """A SavedModel of TensorFlow 1, with variables of both kinds; changed once it is loaded."""
    directory = tempfile.mkdtemp()
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        v = v1.get_variable("v", [3], use_resource=False)
        w = v1.get_variable("w", [3], use_resource=True)
        y = x * v + w
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, directory + "/saved", {"x": x}, {"y": y})
    KEPT.append(v1.saved_model.load_v2(directory + "/saved"))
    return KEPT[-1].signatures["serving_default"], [X]


def placed():
    """Ops on a device: in the function, in a branch, and in a function that it calls."""
    w = variable([1.0, 2.0, 3.0])

    @tf.function
    def inner(x):
        with tf.device("/job:localhost/device:CPU:0"):
            return tf.nn.relu(x * w)

    @tf.function
    def f(x):
        with tf.device("/CPU:0"):
            y = tf.exp(x)
        if tf.reduce_sum(x) > 0:
            with tf.device("/CPU:0"):
                y = tf.sin(y)
        return inner(y)

    return f.get_concrete_function(FLOATS), [X]


def ported():
    """Several outputs of one op, one of them twice, and an input that is an output too."""
    w = variable([[1.0, 2.0, 3.0]], name="w")

    def split(x):
        return tf.split(x * w, 3, axis=1, name="split")

    wrapped = v1.wrap_function(split, [FLOATS])
    names = ("split:2", "split:0", "split:2", "x:0")
    fetches = [wrapped.graph.get_tensor_by_name(name) for name in names]
    return wrapped.prune(wrapped.inputs[0], fetches), [X]


def nodes(graph):
    definition = graph.as_graph_def()
    return list(definition.node) + [n for f in definition.library.function for n in f.node_def]


def names_of_theirs(function, lower):
    """What TensorFlow's own converter calls the outputs; None where it fails."""
    try:
        made = convert_to_constants.convert_variables_to_constants_v2(function, lower)
    except Exception:
        return None
    return [(t.name, t.dtype.name) for t in made.outputs]


def plainly(value):
    found = [tensor.numpy() for tensor in tf.nest.flatten(value)]
    return [v.tolist() if hasattr(v, "tolist") else v.decode() for v in found]


said = {}
for make in (plain, many, branches, loop, another_loop, nested, dtypes, loaded, placed, ported):
    function, feeds = make()
    arguments = [tf.constant(feed) for feed in feeds]
    for lower in (True, False):
        frozen = graph_util.convert_variables_to_constants_v2(function, lower_control_flow=lower)
        said[f"{make.__name__} {lower}"] = {
            "inputs": [(t.op.name, str(t.shape), t.dtype.name) for t in frozen.inputs],
            "before": [(t.op.name, str(t.shape), t.dtype.name) for t in function.inputs],
            "outputs": [(t.name, t.dtype.name) for t in frozen.outputs],
            "outputs before": [(t.name, t.dtype.name) for t in function.outputs],
            "theirs": names_of_theirs(function, lower),
            "result": plainly(frozen(*arguments)),
            "live": plainly(function(*arguments)),
            "ops": sorted({node.op for node in nodes(frozen.graph)}),
            "devices": {node.op: node.device for node in nodes(frozen.graph) if node.device},
            "captures": len(frozen.graph.captures),
        }
print(json.dumps(said))
