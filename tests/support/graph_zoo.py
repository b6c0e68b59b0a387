"""Training graphs of every kind that TensorFlow builds; each function says what to freeze."""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.function import Defun

v1 = tf.compat.v1


X = np.random.RandomState(0).randn(5, 4).astype(np.float32)


IDS = np.array([[0, 3], [9, 5], [2, 2]], np.int64)


def var(name, shape, **more):
    return v1.get_variable(name, shape, initializer=v1.random_normal_initializer(seed=3), **more)


def x_placeholder():
    return v1.placeholder(tf.float32, [None, 4], name="x")


def flag(name="is_training"):
    return v1.placeholder(tf.bool, [], name=name)


def dense():
    tf.nn.softmax(tf.matmul(x_placeholder(), var("w", [4, 3])) + var("b", [3]), name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def conditional_unbound():
    x, on, w, b = x_placeholder(), flag("on"), var("w", [4, 3]), var("b", [4, 3])
    y = tf.cond(on, lambda: tf.matmul(x, w + b), lambda: tf.matmul(x, w) - tf.constant(2.0))
    tf.identity(y, name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "on:0": True}, {"x:0": X, "on:0": False}]


def conditional_bound_true():
    bound = conditional_unbound()[0]
    return dict(bound, bind={"on:0": True}), [{"x:0": X}], {"on:0": True}


def conditional_nested():
    x, a, b, w = x_placeholder(), flag("a"), flag("b"), var("w", [4, 4])

    def inner(scale):
        return tf.cond(
            tf.logical_or(b, tf.equal(scale, 3.0)), lambda: tf.matmul(x, w) * scale, lambda: x - 1.0
        )

    tf.identity(tf.cond(a, lambda: inner(2.0), lambda: inner(3.0) + 1.0), name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "a:0": i, "b:0": j} for i in (0, 1) for j in (0, 1)]


def conditional_nested_outer_bound():
    conditional_nested()  # with a False, scale is 3, so that b decides nothing
    fixed = {"a:0": False, "b:0": False}
    return {"outputs": ["y"], "bind": {"a:0": False}}, [{"x:0": X}], fixed


def conditional_nested_inner_bound():
    conditional_nested()
    feeds = [{"x:0": X, "a:0": j} for j in (True, False)]
    return {"outputs": ["y"], "bind": {"b:0": False}}, feeds, {"b:0": False}


def predicate_of_predicates():
    x, mode, w = x_placeholder(), v1.placeholder(tf.int32, [], name="mode"), var("w", [4, 4])
    training = tf.logical_and(tf.equal(mode, 0), tf.logical_not(tf.cast(mode, tf.bool)))
    tf.identity(tf.cond(training, lambda: tf.zeros_like(x), lambda: tf.matmul(x, w)), name="y")
    return {"outputs": ["y"], "bind": {"mode:0": 2}}, [{"x:0": X}], {"mode:0": 2}


def case():
    x, i, w = x_placeholder(), v1.placeholder(tf.int32, [], name="i"), var("w", [4, 4])
    branches = [
        (tf.equal(i, 0), lambda: x + 1.0),
        (tf.equal(i, 1), lambda: tf.matmul(x, w)),
    ]
    tf.identity(v1.case(branches, default=lambda: -tf.matmul(x, w + 1.0)), name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "i:0": k} for k in range(3)]


def case_bound():
    case()
    return {"outputs": ["y"], "bind": {"i:0": 1}}, [{"x:0": X}], {"i:0": 1}


def switch_case():
    x, i, w = x_placeholder(), v1.placeholder(tf.int32, [], name="i"), var("w", [4, 4])
    y = tf.switch_case(i, [lambda: x, lambda: tf.matmul(x, w), lambda: tf.matmul(x, w) * w[0]])
    tf.identity(y, name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "i:0": k} for k in range(3)]


def switch_case_bound():
    switch_case()
    return {"outputs": ["y"], "bind": {"i:0": 7}}, [{"x:0": X}], {"i:0": 7}  # 7: the last branch


def loop():
    x, w, b = x_placeholder(), var("w", [4, 4]), var("b", [4])
    _, y = v1.while_loop(
        lambda i, y: tf.logical_and(i < 3, tf.reduce_sum(b) < 1e9),
        lambda i, y: (i + 1, tf.tanh(tf.matmul(y, w) + b * tf.constant(0.5))),
        [tf.constant(0), x],
    )
    tf.identity(y, name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def loop_with_conditional():
    x, on, w = x_placeholder(), flag("on"), var("w", [4, 4])

    def body(i, y):
        y = tf.cond(on, lambda: tf.matmul(y, w), lambda: y + tf.constant(1.0))
        return i + 1, tf.cond(i > 0, lambda: y * 2.0, lambda: y + tf.reduce_sum(w))

    tf.identity(v1.while_loop(lambda i, y: i < 3, body, [0, x])[1], name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "on:0": k} for k in (True, False)]


def loop_with_conditional_bound():
    loop_with_conditional()
    return {"outputs": ["y"], "bind": {"on:0": True}}, [{"x:0": X}], {"on:0": True}


def nested_loops():
    x, w = x_placeholder(), var("w", [4, 4])

    def outer(i, y):
        inner = v1.while_loop(
            lambda j, z: j < i, lambda j, z: (j + 1, tf.tanh(tf.matmul(z, w))), [0, y]
        )
        return i + 1, inner[1]

    tf.identity(v1.while_loop(lambda i, y: i < 3, outer, [0, x])[1], name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def mapped():
    w = var("w", [4])
    tf.identity(v1.map_fn(lambda row: row * w + 1.0, x_placeholder()), name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def recurrent():
    x, w, u = x_placeholder(), var("w", [4, 6]), var("u", [6, 6])
    steps = tf.transpose(tf.reshape(tf.tile(x, [1, 7]), [-1, 7, 4]), [1, 0, 2])
    start = tf.zeros([tf.shape(x)[0], 6])
    cells = v1.scan(lambda h, e: tf.tanh(tf.matmul(e, w) + tf.matmul(h, u)), steps, start)
    tf.identity(cells[-1], name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def gathered():
    ids, table = v1.placeholder(tf.int64, [None, None], name="ids"), var("table", [10, 6])
    rows = tf.nn.embedding_lookup(table, ids)
    pairs = tf.gather_nd(table, tf.stack([ids, ids % 6], -1))
    tf.concat([tf.reduce_sum(rows, -1), pairs + table[1, 2]], 1, name="y")
    return {"outputs": ["y"]}, [{"ids:0": IDS}]


def gathered_in_loop():
    ids, table = v1.placeholder(tf.int64, [None, None], name="ids"), var("table", [10, 6])
    tf.identity(v1.map_fn(lambda row: tf.gather(table, row), ids, dtype=tf.float32), name="y")
    return {"outputs": ["y"]}, [{"ids:0": IDS}]


def partitioned():
    ids = v1.placeholder(tf.int64, [None, None], name="ids")
    parts = var("table", [10, 6], partitioner=v1.fixed_size_partitioner(3))
    whole = tf.convert_to_tensor(parts)
    tf.nn.embedding_lookup(parts, ids, name="rows")
    tf.matmul(whole, whole, transpose_b=True, name="gram")
    return {"outputs": ["rows", "gram"]}, [{"ids:0": IDS}]


def functions():
    x, w, b = x_placeholder(), var("w", [4, 4]), var("b", [4])

    @tf.function
    def inner(t):
        return tf.tanh(tf.matmul(t, w)), b + tf.constant(1.0)

    @tf.function
    def outer(t, again):
        y, z = inner(t)
        return tf.cond(again, lambda: inner(y)[0] + z, lambda: y * z)

    tf.identity(outer(x, flag("on")) + inner(x)[0], name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "on:0": k} for k in (True, False)]


def functions_bound():
    functions()
    return {"outputs": ["y"], "bind": {"on:0": True}}, [{"x:0": X}], {"on:0": True}


def function_in_conditional():
    x, w, on = x_placeholder(), var("w", [4, 4]), flag("on")

    @tf.function
    def f(t):
        return tf.matmul(t, w) + tf.constant([1.0, 2.0, 3.0, 4.0]), tf.constant(3.0)

    def branch():
        y, three = f(x)
        return y * three

    tf.identity(tf.cond(on, branch, lambda: x), name="y")
    return {"outputs": ["y"]}, [{"x:0": X, "on:0": k} for k in (True, False)]


def constant_of_a_function_in_conditional():
    x, w, on = x_placeholder(), var("w", [4]), flag("on")

    @tf.function
    def f(t):
        return t * w, tf.constant(7.0)

    tf.identity(tf.cond(on, lambda: f(x * x)[1], lambda: tf.reduce_sum(x)), name="y")
    tf.where(on, 7.0, tf.reduce_sum(x), name="live")  # where TensorFlow itself may answer 7 for y
    feeds = [{"x:0": X, "on:0": k} for k in (True, False)]
    return {"outputs": ["y"]}, feeds, {}, ["live:0"]


def loop_of_invariants():
    """What the body makes of invariants alone must not run ahead of the loop."""
    x, w = x_placeholder(), var("w", [4])
    loop = v1.while_loop(
        lambda i, *_: i < 2, lambda i, a, b, c: (i + 1, x * x, x, w), [0, x + 1.0, x, w + 1.0]
    )
    tf.add_n([loop[1], loop[2], loop[2] * loop[3]], name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def loop_in_a_function_called_twice():
    x = x_placeholder()

    @Defun(tf.float32, tf.int32)  # unlike tf.function, with v1 loops if those are on
    def f(t, n):
        return v1.while_loop(lambda i, t: i < n, lambda i, t: (i + 1, t * 2.0 + 1.0), [0, t])[1]

    tf.identity(f(x, 3) + f(x + 1.0, 5), name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def batch_norm_updates():
    """The moving averages' updates are control inputs of the output itself."""
    x, on = x_placeholder(), flag()
    kind = {"use_resource": True} if v1.control_flow_v2_enabled() else {}  # v2 takes no refs
    mean, var_ = var("mean", [4], trainable=False, **kind), tf.abs(var("var", [4], **kind))

    def train():
        m, v = tf.nn.moments(x, [0])
        with tf.control_dependencies([v1.assign_sub(mean, (mean - m) * 0.1)]):
            return (x - m) / tf.sqrt(v + 1e-3)

    y = tf.cond(on, train, lambda: (x - mean) / tf.sqrt(var_ + 1e-3))
    with tf.control_dependencies([v1.assign_add(var("count", []), 1.0), v1.print("step")]):
        tf.identity(y, name="y")
    return (
        {"outputs": ["y"], "bind": {"is_training:0": False}},
        [{"x:0": X}],
        {"is_training:0": False},
    )


def shapes_of_variables():
    w = var("w", [4, 3])
    y = tf.cast(tf.shape(w)[1], tf.float32) * x_placeholder()
    tf.identity(y + tf.cast(v1.is_variable_initialized(w), tf.float32), name="y")
    return {"outputs": ["y"]}, [{"x:0": X}]


def outputs_of_every_kind():
    x, w = x_placeholder(), var("w", [4, 3], use_resource=False)
    tf.constant([1.0, 2.0], name="c")
    tf.split(tf.matmul(x, w), 3, axis=1, name="parts")
    return {"outputs": ["w", "c", "x", "parts:2", "parts:0"]}, [{"x:0": X}]


def conditional_port():
    """The output is the second result of the conditional's own op."""
    x, on, w = x_placeholder(), flag("on"), var("w", [4, 3])
    results = tf.cond(on, lambda: (x + 1.0, tf.matmul(x, w)), lambda: (x, -tf.matmul(x, w)))
    source = results[1] if results[1].op.type == "Merge" else results[1].op.inputs[0]
    tf.identity(results[1], name="live")
    return {"outputs": [source], "bind": {"on:0": True}}, [{"x:0": X}], {"on:0": True}, ["live:0"]


GRAPHS = [
    dense,
    conditional_unbound,
    conditional_bound_true,
    conditional_nested,
    conditional_nested_outer_bound,
    conditional_nested_inner_bound,
    predicate_of_predicates,
    case,
    case_bound,
    switch_case,
    switch_case_bound,
    loop,
    loop_with_conditional,
    loop_with_conditional_bound,
    nested_loops,
    mapped,
    recurrent,
    gathered,
    gathered_in_loop,
    partitioned,
    functions,
    functions_bound,
    function_in_conditional,
    constant_of_a_function_in_conditional,
    loop_of_invariants,
    loop_in_a_function_called_twice,
    batch_norm_updates,
    shapes_of_variables,
    outputs_of_every_kind,
    conditional_port,
]
