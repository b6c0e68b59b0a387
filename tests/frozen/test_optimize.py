"""optimize=True: batch norms and constants folded in each file."""

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def
from slim_nets import logits_of

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.random.RandomState(0).rand(2, 12, 12, 3).astype(np.float32)
NORMS = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}


def uniform(low, high):
    return v1.random_uniform_initializer(low, high)


def norm(h, name, training=False, epsilon=1e-2):
    """Return a fused batch norm with variables; each of them affects the answer."""
    channels = [int(h.shape[-1])]
    with v1.variable_scope(name):
        gamma = v1.get_variable("gamma", channels, initializer=uniform(0.5, 2))
        beta = v1.get_variable("beta", channels, initializer=uniform(-1, 1))
        mean = v1.get_variable("mean", channels, initializer=uniform(-1, 1))
        variance = v1.get_variable("variance", channels, initializer=uniform(0.1, 2))
        statistics = {} if training else {"mean": mean, "variance": variance}
        return v1.nn.fused_batch_norm(
            h, gamma, beta, epsilon=epsilon, is_training=training, **statistics
        )[0]


def conv(h, name, bias=False):
    w = v1.get_variable(name, [3, 3, int(h.shape[-1]), 4])
    h = v1.nn.conv2d(h, w, strides=[1, 1, 1, 1], padding="SAME")
    if not bias:
        return h
    return tf.nn.bias_add(h, v1.get_variable(name + "_b", [4], initializer=uniform(-1, 1)))


def depthwise(h, name):
    w = v1.get_variable(name, [3, 3, int(h.shape[-1]), 2])
    return v1.nn.depthwise_conv2d(h, w, strides=[1, 1, 1, 1], padding="VALID")


def folded(x):
    h = tf.nn.relu(norm(conv(x, "c1"), "n1"))
    h = tf.nn.relu(norm(conv(h, "c2", bias=True), "n2"))
    return norm(depthwise(h, "d"), "n3")


def not_after_a_convolution(x):
    return conv(tf.nn.relu(norm(x, "n1")), "c1")


def used_elsewhere_too(x):
    h = conv(x, "c1")
    return norm(h, "n1") + h


def in_training_mode(x):
    return norm(conv(x, "c1"), "n1", training=True)


def weights_shared(x):
    w = v1.get_variable("w", [3, 3, 3, 3])
    for name in ("n1", "n2"):
        x = norm(v1.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME"), name)
    return x


CASES = [
    (folded, 0),
    (weights_shared, 0),
    (not_after_a_convolution, 1),
    (used_elsewhere_too, 1),
    (in_training_mode, 1),
]


def nodes(path):
    return read_graph_def(path).node


@pytest.mark.parametrize("case, left", CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_batch_norms(case, left, graph, clean, tmp_path):
    x = v1.placeholder(tf.float32, [None, 12, 12, 3], "x")
    tf.identity(case(x), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("y:0", {x: X})
        path = str(tmp_path / "a.pb")
        made = fh.freeze_session(session, path, ["y"], inputs=["x"], optimize=True)
    (got,) = clean.run(path, {"x:0": X}, ["y:0"])
    np.testing.assert_allclose(got, live, rtol=1e-4, atol=1e-5)
    assert sum(node.op in NORMS for node in nodes(path)) == left
    assert not any(node.op.startswith("_") for node in nodes(path))  # other programs lack these ops
    report = fh.inspect(path)
    assert report.signature == made.signature
    assert report.metadata["signature"]["outputs"][0]["tensor"] == "y:0"


def test_a_slim_net(graph, clean, tmp_path):
    """Fewer nodes, no batch norm, the same answers."""
    images = np.random.RandomState(0).rand(2, 64, 64, 3).astype(np.float32)
    x = v1.placeholder(tf.float32, [None, 64, 64, 3], "x")
    tf.nn.softmax(logits_of("resnet_v1_50", x, False), name="probs")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("probs:0", {x: images})
        for name, optimize in (("plain", False), ("optimized", True)):
            path = str(tmp_path / (name + ".pb"))
            fh.freeze_session(session, path, ["probs"], optimize=optimize)
            (got,) = clean.run(path, {"x:0": images}, ["probs:0"])
            np.testing.assert_allclose(got, live, atol=1e-5)
    before, after = (nodes(tmp_path / (name + ".pb")) for name in ("plain", "optimized"))
    assert sum(n.op in NORMS for n in before) == 53 and not any(n.op in NORMS for n in after)
    assert len(after) < 0.5 * len(before)


@pytest.mark.parametrize("v2", [False, True], ids=["v1", "v2"])
def test_loops_tables_and_constants(v2, graph, clean, tmp_path):
    """What cannot be folded still answers rightly; what depends only on constants becomes one."""
    with control_flow(v2):
        words = v1.placeholder(tf.string, [None], "x")
        init = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
        found = tf.lookup.StaticHashTable(init, -1.0).lookup(words)
        w = v1.get_variable("w", [4], use_resource=v2, initializer=uniform(1, 2))
        total = tf.reduce_sum(tf.sqrt(w) * 2.0 + 1.0)
        y = v1.while_loop(lambda i, t: i < 3, lambda i, t: [i + 1, t * w[0] + total], [0, found])[1]
        tf.identity(tf.cond(tf.size(words) > 2, lambda: y * w[1], lambda: y), name="y")
    texts = np.array(["b", "no", "a"])
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        live = session.run("y:0", {words: texts})
        path = str(tmp_path / "a.pb")
        fh.freeze_session(session, path, ["y"], optimize=True)
    (got,) = clean.run(path, {"x:0": texts}, ["y:0"])
    np.testing.assert_allclose(got, live, rtol=1e-5)
    assert not any(node.op == "Sqrt" for node in nodes(path))


def test_not_together_with_small_weights():
    with pytest.raises(fh.FreezeError, match="choose one"):
        fh.FreezeHook(["y"], weights="float16", optimize=True)


def test_an_input_that_no_output_needs_any_more(graph, clean, tmp_path):
    """Such an input stays in the file, since the signature names it."""
    x, y = (v1.placeholder(tf.float32, [2], name) for name in "xy")
    tf.add(x * v1.get_variable("w", [2]), tf.cast(tf.raw_ops.Shape(input=y), tf.float32), name="z")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("z:0", {x: [1, 2], y: [3, 4]})
        path = str(tmp_path / "a.pb")
        fh.freeze_session(session, path, ["z"], optimize=True)
    with fh.load_frozen(path) as model:
        got = model(x=np.ones(2, np.float32) * [1, 2], y=np.zeros(2, np.float32))
    np.testing.assert_allclose(got["z"], live)
