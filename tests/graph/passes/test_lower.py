"""Functional control flow, lowered: Switch, Merge and Enter answer as If, Case and While did."""

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def
from graph_zoo import GRAPHS, X, flag, var, x_placeholder
from hypothesis import given, settings
from hypothesis import strategies as st

import freeze_hooks as fh

v1 = tf.compat.v1
FUNCTIONAL = {"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"}


def scalar(name, dtype=tf.float32):
    return v1.placeholder(dtype, [], name=name)


def outputs(*tensors):
    for i, tensor in enumerate(tensors):
        if tensor.dtype == tf.string:  # the clean process's npz file holds no strings
            tensor = tf.strings.to_hash_bucket_fast(tensor, 1 << 30)
        tf.identity(tensor, name=f"out{i}")
    return {"outputs": [f"out{i}" for i in range(len(tensors))]}


def arguments_and_constants_returned():
    x, k, on = x_placeholder(), scalar("k"), flag("on")
    a, b, c, d = tf.cond(
        on,
        lambda: (x, tf.constant(1.0), tf.constant(["yes"]), k),
        lambda: (-x, k, tf.constant(["no"]), k),
    )
    return outputs(a, b, c, d), [{"x:0": X, "k:0": 5.0, "on:0": on} for on in (True, False)]


def branches_without_inputs():
    on = flag("on")
    y = tf.cond(on, lambda: tf.constant([1.0, 2.0]), lambda: tf.fill([2], 7.0))
    return outputs(y), [{"on:0": True}, {"on:0": False}]


def variable_as_predicate():
    x, w = x_placeholder(), var("w", [])
    return outputs(tf.cond(w > 100.0, lambda: x + w, lambda: x - w)), [{"x:0": X}]


def case_out_of_range():
    x, i, w = x_placeholder(), scalar("i", tf.int32), var("w", [4, 4])
    branches = [lambda: (x, 1.0), lambda: (tf.matmul(x, w), 2.0), lambda: (x * w[0], 3.0)]
    y, z = tf.switch_case(i, branches)
    return outputs(y, z), [{"x:0": X, "i:0": k} for k in (-3, -1, 0, 1, 2, 3, 99)]


def case_in_branches_and_loops():
    i, on, k = scalar("i", tf.int32), flag("on"), scalar("k")

    def choose(n, value):
        return tf.switch_case(n * n - n, [lambda: value + 1.0, lambda: 0.0, lambda: value * k])

    def loop():
        return v1.while_loop(lambda n, _: n < i, lambda n, v: (n + 1, choose(n + i, v)), [0, k])[1]

    y = tf.cond(on, loop, lambda: choose(i + i, k))
    return outputs(y), [{"i:0": i, "on:0": on, "k:0": 0.5} for i in range(4) for on in (0, 1)]


def swapping_loop():
    n, a, b = scalar("n", tf.int32), scalar("a"), scalar("b")
    _, a, b = v1.while_loop(lambda i, a, b: i < n, lambda i, a, b: (i + 1, b, a), [0, a, b])
    return outputs(a, b), [{"n:0": n, "a:0": 1.0, "b:0": 2.0} for n in range(4)]


def loop_of_invariants():
    """Ops in a body that use only loop invariants must not run before the loop."""
    n, k, w = scalar("n", tf.int32), scalar("k"), var("w", [4])

    def body(i, a, b, c, d, e, f):
        one = tf.cond(k > 0.0, lambda: k + 1.0, lambda: k * 2.0)
        many = v1.while_loop(lambda j, z: z < 9.0, lambda j, z: (j + 1, z + k * k + 1.0), [0, k])
        return i + 1, k, tf.reduce_sum(w * k), tf.constant(4.0), one, many[1], f

    loop = v1.while_loop(lambda i, *_: i < n, body, [0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    return outputs(*loop[1:]), [{"n:0": n, "k:0": k} for n in (0, 1, 3) for k in (-0.5, 2.0)]


def loop_that_would_fail():
    """A loop with no steps must not divide by zero."""
    n, d = scalar("n", tf.int32), scalar("d", tf.int32)
    loop = v1.while_loop(lambda i, a: i < n, lambda i, a: (i + 1, 12 // d), [0, 0])
    return outputs(loop[1]), [{"n:0": 0, "d:0": 0}, {"n:0": 2, "d:0": 3}]


def loop_with_an_empty_body():
    k = scalar("k")
    y = v1.while_loop(lambda y: y < 0.0, lambda y: y, [k])
    return outputs(y), [{"k:0": 3.0}]


def loop_with_unused_variables():
    n, k, w = scalar("n", tf.int32), scalar("k"), var("w", [3, 3])

    def body(i, used, unused, _):
        return i + 1, used * 2.0 + 1.0, tf.matmul(unused, w), tf.random.normal([2])

    loop = v1.while_loop(
        lambda i, *_: i < n, body, [0, k, tf.zeros([3, 3]), tf.zeros([2])], parallel_iterations=3
    )
    return outputs(loop[1]), [{"n:0": n, "k:0": 1.5} for n in range(3)]


def sources_in_a_loop():
    n = scalar("n", tf.int32)

    def body(i, total):
        two = tf.random.uniform([2], 2, 3, tf.int32)
        return i + 1, tf.concat([total, two, tf.range(i)], 0)

    loop = v1.while_loop(
        lambda i, _: i < n + tf.random.uniform([], 0, 1, tf.int32),
        body,
        [0, tf.constant([1])],
        [tf.TensorShape([]), tf.TensorShape([None])],
    )
    return outputs(loop[1]), [{"n:0": n} for n in range(4)]


def deeply_nested():
    """A loop that reads rows of a variable, in a conditional in a loop in a conditional."""
    x, on, n, table = x_placeholder(), flag("on"), scalar("n", tf.int32), var("table", [10, 4])

    def rows(y, i):
        def body(j, z):
            return j + 1, tf.tanh(z + tf.gather(table, (i + j) % 10))

        return v1.while_loop(lambda j, z: j < n - i, body, [0, y])[1]

    def outer():
        def body(i, y):
            return i + 1, tf.cond(tf.equal(i % 2, 0), lambda: rows(y, i), lambda: y - 1.0)

        return v1.while_loop(lambda i, y: i < n, body, [0, x])[1]

    y = tf.cond(on, outer, lambda: tf.cond(n > 1, lambda: x + table[0], lambda: x))
    return outputs(y), [{"x:0": X, "on:0": on, "n:0": n} for on in (0, 1) for n in range(4)]


def lstm():
    x = v1.placeholder(tf.float32, [None, 5, 4], name="x")
    w, b, lengths = var("w", [7, 9]), var("b", [9]), v1.placeholder(tf.int32, [None], name="n")
    steps = tf.TensorArray(tf.float32, 5).unstack(tf.transpose(x, [1, 0, 2]))
    zeros = tf.zeros([tf.shape(x)[0], 3])

    def body(t, c, h, written):
        gates = tf.matmul(tf.concat([steps.read(t), h], 1), w) + b
        i, j, o = tf.split(gates, 3, 1)
        new = c * tf.sigmoid(i) + tf.tanh(j) * (1.0 - tf.sigmoid(i))
        done = tf.tile((t >= lengths)[:, None], [1, 3])
        c, h = tf.where(done, c, new), tf.where(done, h, tf.tanh(new) * tf.sigmoid(o))
        return t + 1, c, h, written.write(t, h)

    start = [tf.constant(0), zeros, zeros, tf.TensorArray(tf.float32, 5)]
    _, c, h, written = v1.while_loop(lambda t, *_: t < tf.reduce_max(lengths), body, start)
    feeds = {"x:0": np.random.RandomState(1).randn(2, 5, 4).astype(np.float32), "n:0": [5, 2]}
    return outputs(c, h, written.stack()), [feeds]


def strings():
    words, on, n = v1.placeholder(tf.string, [None], name="s"), flag("on"), scalar("n", tf.int32)
    words = tf.cond(on, lambda: tf.strings.join([words, "!"]), lambda: tf.constant(["none"]))
    loop = v1.while_loop(
        lambda i, s: i < n, lambda i, s: (i + 1, tf.strings.join([s, "-", words])), [0, words]
    )
    feeds = [{"s:0": np.array(["a", "b"]), "on:0": on, "n:0": n} for on in (1, 0) for n in (0, 2)]
    return outputs(loop[1]), feeds


def concrete(function, *arguments):
    specs = [tf.TensorSpec(a.shape, a.dtype) for a in arguments]
    return tf.function(function).get_concrete_function(*specs)


def numbers_and_strings_as_predicates():
    x, on, i, f = scalar("x"), flag("on"), scalar("i", tf.int32), scalar("f")
    s = scalar("s", tf.string)

    def choose(predicate):
        twice, seven = concrete(lambda x: x * 2.0, x), concrete(lambda x: tf.constant(7.0), x)
        branches = {"then_branch": twice, "else_branch": seven}
        return tf.raw_ops.If(cond=predicate, input=[x], Tout=[tf.float32], **branches)[0]

    results = [choose(predicate) for predicate in (on, i, f, s)]
    down = concrete(lambda x, n: n, x, i), concrete(lambda x, n: [x * 2.0, n - 1], x, i)
    results += tf.raw_ops.While(input=[x, i], cond=down[0], body=down[1])
    names = ["on:0", "i:0", "f:0", "s:0", "x:0"]
    values = [(1, 2, 0.5, "a", 3.0), (0, 0, 0.0, "", 3.0), (1, 1, float("nan"), "0", 3.0)]
    return outputs(*results), [dict(zip(names, v)) for v in values]


LOWERED = [
    arguments_and_constants_returned,
    branches_without_inputs,
    variable_as_predicate,
    case_out_of_range,
    case_in_branches_and_loops,
    swapping_loop,
    loop_of_invariants,
    loop_that_would_fail,
    loop_with_an_empty_body,
    loop_with_unused_variables,
    sources_in_a_loop,
    deeply_nested,
    lstm,
    strings,
    numbers_and_strings_as_predicates,
]


@pytest.fixture
def functional():
    """Build control flow as If, Case and While, also on TensorFlow 1.15."""
    with control_flow(v2=True):
        yield


def assert_lowered(path):
    graph_def = read_graph_def(path)
    assert not graph_def.library.function
    assert not {node.op for node in graph_def.node} & FUNCTIONAL


@pytest.mark.parametrize("build", GRAPHS + LOWERED, ids=lambda build: build.__name__)
def test_lowered_files_answer_as_the_session(build, functional, graph, clean, tmp_path):
    with v1.variable_scope("", use_resource=True):
        arguments, feeds, *more = build()
    fixed, live_names = (more + [{}, None][len(more) :])[:2]
    kept, lowered = str(tmp_path / "kept.pb"), str(tmp_path / "lowered.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        names = [getattr(o, "name", o) for o in arguments["outputs"]]
        fetches = [o if ":" in o else o + ":0" for o in names]
        live = [session.run(live_names or fetches, dict(feed, **fixed)) for feed in feeds]
        fh.freeze_session(session, kept, **arguments)
        fh.freeze_session(session, lowered, lower_control_flow=True, **arguments)
    assert_lowered(lowered)
    for path in (kept, lowered):
        for feed, values in zip(feeds, live):
            for name, ours, theirs in zip(fetches, clean.run(path, feed, fetches), values):
                np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("build", LOWERED, ids=lambda build: build.__name__)
def test_they_are_functional_when_not_lowered(build, functional, graph):
    with v1.variable_scope("", use_resource=True):
        arguments = build()[0]
    ops = set(fh.check(graph, **arguments).ops)
    assert FUNCTIONAL & ops and not {"Enter", "Switch"} & ops


LEAVES = {
    "same": lambda x, k, i: x,
    "other": lambda x, k, i: k,
    "constant": lambda x, k, i: tf.constant(0.25),
    "next": lambda x, k, i: 0.5 - x,
    "free": lambda x, k, i: k * k,
    "mixed": lambda x, k, i: x * 0.5 + k * tf.cast(i, tf.float32),
}
PREDICATES = {
    "of x": lambda x, k, i: x > 0.0,
    "of k": lambda x, k, i: k > 0.0,
    "of i": lambda x, k, i: tf.equal(i % 2, 0),
}
PROGRAMS = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(lambda leaf: (leaf,)),
    lambda inner: st.one_of(
        st.tuples(st.just("seq"), inner, inner),
        st.tuples(st.just("if"), st.sampled_from(sorted(PREDICATES)), inner, inner),
        st.tuples(st.just("case"), inner, inner, inner),
        st.tuples(st.just("while"), st.booleans(), inner, inner),
    ),
    max_leaves=6,
)


def execute(program, x, k, i):
    """Return what a random program computes from `x`; it may also use `k` and `i`."""
    kind, *parts = program
    if kind in LEAVES:
        return LEAVES[kind](x, k, i)
    if kind == "seq":
        return execute(parts[1], execute(parts[0], x, k, i), k, i)
    if kind == "if":
        predicate, *branches = parts
        then, other = (lambda part=part: execute(part, x, k, i) for part in branches)
        return tf.cond(PREDICATES[predicate](x, k, i), then, other)
    if kind == "case":
        return tf.switch_case(i, [lambda part=part: execute(part, x, k, i) for part in parts])
    fixed, first, second = parts

    def body(j, a, b):
        return j + 1, execute(first, b, k, i if fixed else j), execute(second, a, b, j)

    return v1.while_loop(lambda j, a, b: j < i, body, [0, x, k])[1]


@settings(max_examples=25)
@given(program=PROGRAMS)
def test_random_programs(program, functional, tmp_path):
    path = str(tmp_path / "random.pb")
    feeds = [{"x": x, "k": -x / 2, "i": i} for x, i in [(1.0, 0), (-1.0, 1), (0.5, 2), (-0.5, 4)]]
    with tf.Graph().as_default():
        x, k, i = scalar("x"), scalar("k"), scalar("i", tf.int32)
        wanted = outputs(execute(program, x, k, i))
        with v1.Session() as session:
            live = [session.run("out0:0", {n + ":0": v for n, v in f.items()}) for f in feeds]
            fh.freeze_session(session, path, lower_control_flow=True, **wanted)
    assert_lowered(path)
    with fh.load_frozen(path) as model:
        for feed, value in zip(feeds, live):
            fed = {name: feed[name] for name in model.inputs}
            np.testing.assert_allclose(model(fed)["out0"], value, rtol=1e-6)
