"""State that inference carries from run to run: it is reported, or fed and returned."""

import ast
import re

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(5, 2, 4).astype(np.float32)


@pytest.fixture(autouse=True)
def in_the_way_of_tensorflow_1():
    with control_flow(v2=False):
        yield


@pytest.fixture(params=[False, True], ids=["ref", "resource"])
def resource(request):
    return request.param


class Net:
    """A placeholder, weights, and a variable for the state."""

    def __init__(self, resource, name="state"):
        self.x = v1.placeholder(tf.float32, [2, 4], "x")
        with v1.variable_scope("net", use_resource=resource):
            self.w = v1.get_variable("w", [4, 4])
            self.state = v1.get_variable(
                name, [2, 4], initializer=tf.zeros_initializer(), trainable=False
            )

    def next(self):
        return tf.tanh(self.x @ self.w + self.state * 0.5)


def assigned(net):
    new = net.next()
    with tf.control_dependencies([v1.assign(net.state, new)]):
        tf.identity(new * 2.0, name="y")


def counted(net):
    y = net.next()
    with tf.control_dependencies([y]):
        count = v1.assign_add(net.state, tf.ones([2, 4]))
    with tf.control_dependencies([count]):
        tf.identity(y, name="y")


def decayed(net):
    y = net.next()
    with tf.control_dependencies([y]):
        less = v1.assign_sub(net.state, (net.state - y) * 0.1)
    with tf.control_dependencies([less]):
        tf.identity(y, name="y")


def in_a_loop(net):
    """A loop of TensorFlow 1 reads the state, as dynamic_rnn reads its first state."""
    new = v1.while_loop(
        lambda i, s: i < 3,
        lambda i, s: (i + 1, tf.tanh(s + net.x @ net.w)),
        [tf.constant(0), tf.identity(net.state)],
    )[1]
    with tf.control_dependencies([v1.assign(net.state, new)]):
        tf.identity(new, name="y")


def in_functions(net):
    """The loop and the conditional are functions that take the variable itself."""
    with control_flow(v2=True):
        first = tf.cond(net.x[0, 0] > 0.0, lambda: net.state * 1.5, lambda: net.state + 1.0)
        new = v1.while_loop(
            lambda i, s: i < 3,
            lambda i, s: (i + 1, tf.tanh(s + net.state)),
            [tf.constant(0), first],
        )[1]
    with tf.control_dependencies([v1.assign(net.state, new)]):
        tf.identity(new, name="y")


def gathered(net):
    new = net.next() + tf.gather(net.state, [1, 0])
    with tf.control_dependencies([v1.assign(net.state, new)]):
        tf.identity(new, name="y")


def twice(net):
    new = net.next()
    with tf.control_dependencies([new]):
        first = v1.assign(net.state, new)
    with tf.control_dependencies([first]):
        second = v1.assign_add(net.state, tf.ones([2, 4]))
    with tf.control_dependencies([second]):
        tf.identity(new, name="y")


CASES = [assigned, counted, decayed, in_a_loop, in_functions, gathered, twice]


def steps(session, fetches):
    """Yield a session's answer at each step, and the variable's value after it."""
    state = v1.get_default_graph().get_tensor_by_name("read_state:0")
    for x in X:
        yield session.run(fetches, {"x:0": x}), session.run(state)


def readable(net):
    tf.identity(net.state.read_value(), name="read_state")


def advised(finding):
    sides = re.search(r"inputs=(\{.*?\}), outputs=(\{.*?\})", finding.remedy)
    return ast.literal_eval(sides.group(1)), ast.literal_eval(sides.group(2))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_is_a_finding_whose_remedy_works(case, resource, graph, tmp_path, clean):
    net = Net(resource)
    case(net)
    readable(net)
    (finding,) = [f for f in fh.check(graph, ["y"]).findings if f.kind == "state"]
    assert finding.nodes == ("net/state",)
    inputs, outputs = advised(finding)
    assert inputs == {"x": "x:0", "state_in": "net/state"}
    assert outputs == {"y": "y:0", "state_out": "net/state"}
    path = str(tmp_path / "frozen.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        state = session.run("read_state:0")
        fh.freeze_session(session, path, ["y"])
        assert fh.inspect(path).findings == (finding,)
        fh.freeze_session(session, path, outputs, inputs=inputs, verify=True)
        assert fh.inspect(path).findings == ()
        assert fh.check(graph, outputs, inputs=inputs).findings == ()
        for step, (y, left) in enumerate(steps(session, "y:0")):
            feeds = {"x:0": X[step], "state_in:0": state}
            found, state = clean.run(path, feeds, ["y:0", "state_out:0"])
            np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(state, left, rtol=1e-5, atol=1e-6)


def test_a_strict_hook_refuses_it(resource, graph):
    assigned(Net(resource))
    with pytest.raises(fh.FreezeError, match="net/state"):
        fh.FreezeHook(["y"], strict=True).begin()


@pytest.mark.parametrize("told", ["variable", "net/state", "net/state:0"])
def test_a_variable_is_told_by_itself_or_its_name(told, resource, graph, tmp_path, clean):
    net = Net(resource)
    tf.identity(net.next() + net.state, name="new")
    source = net.state if told == "variable" else told
    path = str(tmp_path / "frozen.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        ends = {"inputs": {"x": net.x, "state_in": source}}
        made = fh.freeze_session(session, path, {"state_out": "new"}, **ends)
        assert [i.shape for i in made.signature.inputs] == [(2, 4), (2, 4)]
        session.run(v1.assign(net.state, X[1]))
        live = session.run("new:0", {"x:0": X[0]})
    found = clean.run(path, {"x:0": X[0], "state_in:0": X[1]}, ["state_out:0"])[0]
    np.testing.assert_allclose(found, live, rtol=1e-5, atol=1e-6)


def test_without_a_name_of_its_own(resource, graph):
    net = Net(resource)
    tf.identity(net.next(), name="y")
    report = fh.check(graph, ["y"], inputs=[net.x, net.state])
    assert [i.name for i in report.signature.inputs] == ["x", "net/state"]


def test_from_a_checkpoint(resource, graph, tmp_path, clean):
    assigned(Net(resource))
    ends = {"inputs": {"x": "x", "state_in": "net/state"}}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        path = str(tmp_path / "frozen.pb")
        fh.freeze_checkpoint(prefix, path, {"y": "y", "state_out": "net/state"}, **ends)
        live = [session.run("y:0", {"x:0": x}) for x in X]
    state = np.zeros([2, 4], np.float32)
    for x, y in zip(X, live):
        feeds = {"x:0": x, "state_in:0": state}
        found, state = clean.run(path, feeds, ["y:0", "state_out:0"])
        np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-6)


def test_what_only_training_changes_is_not_told_of(resource, graph):
    net = Net(resource)
    y = tf.identity(net.next(), name="y")
    count = v1.train.get_or_create_global_step()
    train = v1.train.AdamOptimizer().minimize(tf.reduce_mean(y**2), global_step=count)
    mean = v1.assign(net.state, y)  # y does not wait for this
    with tf.control_dependencies([train]):
        tf.identity(y, name="trained")
    assert fh.check(graph, ["y"]).findings == fh.check(graph, ["trained"]).findings == ()
    assert mean is not None


def test_an_output_that_nothing_updates_is_refused(resource, graph):
    net = Net(resource)
    new = tf.identity(net.next(), name="new")
    v1.assign(net.state, new)
    arguments = {"inputs": {"x": net.x, "state_in": net.state}}
    with pytest.raises(fh.FreezeError, match=r"no update of it.*'new:0'"):
        fh.check(graph, {"y": new, "state_out": net.state}, **arguments)


def test_a_value_that_is_not_clear_is_refused(resource, graph):
    net = Net(resource)
    new = net.next()
    with tf.control_dependencies([v1.scatter_update(net.state, [0], new[:1])]):
        tf.identity(new, name="y")
    arguments = {"inputs": {"x": net.x, "state_in": net.state}}
    with pytest.raises(fh.NotFreezableError, match=r"its value after .*Scatter.* is not clear"):
        fh.check(graph, {"y": "y", "state_out": net.state}, **arguments)


def test_parts_of_a_variable_are_told(resource, graph):
    with v1.variable_scope("net", use_resource=resource):
        whole = v1.get_variable("state", [4, 4], partitioner=v1.fixed_size_partitioner(2))
    tf.add(whole, 1.0, name="y")
    for told in (whole, "net/state"):
        with pytest.raises(fh.FreezeError, match=r"'net/state/part_0', 'net/state/part_1'"):
            fh.check(graph, ["y"], inputs={"state_in": told})
    parts = {f"state_{i}": part for i, part in enumerate(whole)}
    report = fh.check(graph, ["y"], inputs=parts)
    assert [i.shape for i in report.signature.inputs] == [(2, 4), (2, 4)]


def test_a_read_that_is_not_there_names_the_variable(graph):
    net = Net(True)
    tf.identity(net.next(), name="y")
    with pytest.raises(fh.UnknownNameError, match="The variable itself is 'net/state'"):
        fh.check(graph, ["y"], inputs={"x": net.x, "state_in": "net/state/read:0"})


def test_a_cache_is_told_of(graph):
    keys = v1.placeholder(tf.int64, [None], "keys")
    handle = tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.float32)
    found = tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=keys, default_value=0.0)
    with tf.control_dependencies([found]):
        put = tf.raw_ops.LookupTableInsertV2(table_handle=handle, keys=keys, values=found + 1.0)
    with tf.control_dependencies([put]):
        tf.identity(found, name="y")
    (finding,) = fh.check(graph, ["y"]).findings
    assert (finding.kind, finding.nodes) == ("state", ("MutableHashTableV2",))
    assert "look-up" in finding.remedy


def test_a_stateful_recurrent_layer_is_told_of(tmp_path, warnings_logged):
    keras = tf.keras
    x = keras.Input(batch_shape=(2, 3, 4))
    model = keras.Model(x, keras.layers.LSTM(5, stateful=True)(x))
    (finding,) = fh.plan_keras_model(model).findings
    assert finding.kind == "state" and len(finding.nodes) == 2
    assert "stateful=False" in finding.remedy
    quiet = keras.Model(x, keras.layers.LSTM(5)(x))
    assert fh.plan_keras_model(quiet).findings == ()
