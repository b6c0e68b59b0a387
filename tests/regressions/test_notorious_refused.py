"""Known issues that no file can fix: refused or warned of, with all nodes that cause them."""

import re

import pytest
import tensorflow as tf
from notorious import X, converted, np, prepare, v1, verdict, x_placeholder
from tensorflow.lite.experimental.microfrontend.python.ops import audio_microfrontend_op

import freeze_hooks as fh
from freeze_hooks import graph_util


def double(x):
    return np.float32(2) * x


def python_and_loaded_ops():
    """tensorflow#12073, aster#55: ops that exist only in the training's process."""
    x = x_placeholder()
    parts = [v1.py_func(double, [x], tf.float32, stateful=False, name=f"part{i}") for i in range(6)]
    parts.append(tf.numpy_function(double, [x], tf.float32, name="stateful"))
    parts.append(tf.py_function(double, [x], tf.float32, name="eager"))
    audio = tf.cast(tf.reshape(tf.tile(x, [400, 1]), [-1]), tf.int16)
    noise = audio_microfrontend_op.audio_microfrontend(audio)
    total = tf.add_n([tf.reshape(part, tf.shape(x)) for part in parts])
    tf.add(total * v1.get_variable("w", [4]), tf.reduce_sum(tf.cast(noise, tf.float32)), name="y")


@pytest.mark.parametrize("strict", [False, True], ids=["check", "strict"])
def test_ops_that_other_processes_lack_are_named_in_one_message(strict, graph):
    python_and_loaded_ops()
    if strict:
        with pytest.raises(fh.FreezeError) as raised:
            fh.FreezeHook(["y"], strict=True).begin()
        message = str(raised.value)
    else:
        message = " ".join(str(finding) for finding in fh.check(graph, ["y"]).findings)
    named = ["stateful", "eager", "AudioMicrofrontend (AudioMicrofrontend)"]
    for name in named + [f"part{i}" for i in range(6)]:
        assert re.search(r"[ ,]" + re.escape(name) + "[,;]", message), name


def test_theirs_with_python_functions_is_unusable(graph, clean, tmp_path):
    tf.multiply(v1.py_func(double, [x_placeholder()], tf.float32), 1.0, name="y")
    with v1.Session() as session:
        converted(session, ["y:0"], tmp_path / "theirs.pb")
    assert verdict(clean, tmp_path / "theirs.pb", {"x:0": X}, ["y:0"], []) == "unusable"


def read_after_an_assign(w, x):
    with tf.control_dependencies([w.assign_add(tf.reduce_sum(x, 0), name="add")]):
        return x * w.read_value(), ["add", "'w'"]


def value_of_an_assign(w, x):
    return x * w.assign(w * 2.0, name="double"), ["double", "'w'"]


def read_between_two_assigns(w, x):
    with tf.control_dependencies([w.assign_sub(tf.ones([4]), name="before")]):
        y = x * w.read_value()
    with tf.control_dependencies([y]), tf.control_dependencies([w.assign(x[0], name="after")]):
        return tf.identity(y), ["before", "'w'"]


def read_after_two_assigns(w, x):
    with tf.control_dependencies([w.assign_sub(tf.ones([4]), name="one")]):  # noqa: SIM117
        with tf.control_dependencies([w.assign_add(x[0], name="another")]):
            return x + w.read_value(), ["one", "another", "'w'"]


def rows_after_a_scatter(w, x):
    with tf.control_dependencies([v1.scatter_update(w, [1, 2], x[0, :2], name="scatter")]):
        return x + tf.gather(w, [0, 1, 2, 3]), ["catter", "'w'"]


def read_after_an_assign_in_a_branch(w, x):
    update = tf.cond(x[0, 0] > 0.0, lambda: w.assign_add(x[0]), lambda: w.assign_sub(x[0]))
    with tf.control_dependencies([update]):
        return x + w.read_value(), ["'w'"]


def conditional_after_an_assign(w, x):
    """TensorFlow leaves out a control input if a data input gives the same order."""
    with tf.control_dependencies([w.assign_add(x[0], name="add")]):
        return tf.cond(x[0, 0] > 0.0, lambda: x * w, lambda: x - w), ["add", "'w'"]


def loop_after_an_assign(w, x):
    with tf.control_dependencies([w.assign_add(x[0], name="add")]):
        start = tf.identity(x)
        loop = v1.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y * w), [0, start])
    return loop[1], ["add", "'w'"]


def function_after_an_assign(w, x):
    @tf.function
    def scaled(t):
        return t * w

    with tf.control_dependencies([w.assign_add(x[0], name="add")]):
        return scaled(x + 1.0), ["add", "'w'"]


ORDERED = [
    read_after_an_assign,
    value_of_an_assign,
    read_between_two_assigns,
    read_after_two_assigns,
    rows_after_a_scatter,
    read_after_an_assign_in_a_branch,
    conditional_after_an_assign,
    loop_after_an_assign,
    function_after_an_assign,
]


def memory_after_an_assign(w, x):
    """The product uses the assigned value: w's Identity shares w's memory."""
    with tf.control_dependencies([v1.assign_add(w, x[0], name="add")]):
        return x * w, ["Mul 'mul'", "add", "'w'"]


def memory_after_a_tensor_that_waits(w, x):
    with tf.control_dependencies([v1.assign_add(w, x[0], name="add")]):
        later = x + 1.0
    return later * tf.reshape(w, [1, 4]), ["Mul 'mul'", "add", "'w'"]


def memory_as_the_output(w, x):
    with tf.control_dependencies([v1.assign_add(w, x[0], name="add")]):
        return tf.identity(tf.identity(w)), ["add", "'w'"]


def memory_after_two_assigns(w, x):
    one = v1.assign_add(w, x[0], name="one")
    with tf.control_dependencies([v1.assign_sub(w, one, name="another")]):
        return x * w, ["one", "another", "'w'"]


def memory_given_to_a_function(w, x):
    @tf.function
    def outer(t, memory):
        return tf.function(lambda a, b: a * b)(t + 1.0, memory)

    with tf.control_dependencies([v1.assign_add(w, x[0], name="add")]):
        return outer(x - 1.0, w), ["add", "'w'"]


@pytest.mark.parametrize("build", ORDERED, ids=lambda build: build.__name__)
def test_what_depends_on_the_order_of_assigns_is_refused(build, graph, clean, tmp_path):
    """TensorFlow's converter writes files for them, but none can be loaded."""
    refused(build, v1.get_variable("w", [4], use_resource=True), clean, tmp_path)


MEMORY = [
    memory_after_an_assign,
    memory_after_a_tensor_that_waits,
    memory_as_the_output,
    memory_after_two_assigns,
    memory_given_to_a_function,
]


@pytest.mark.parametrize("build", MEMORY, ids=lambda build: build.__name__)
def test_so_is_what_depends_on_the_order_for_references(build, graph, clean, tmp_path):
    refused(build, v1.get_variable("w", [4], use_resource=False), clean, tmp_path)


def refused(build, w, clean, directory):
    y, named = build(w, x_placeholder())
    tf.identity(y, name="y")
    with v1.Session() as session:
        prepare(session)
        converted(session, ["y:0"], directory / "theirs.pb")
        with pytest.raises(fh.NotFreezableError) as raised:
            fh.freeze_session(session, str(directory / "ours.pb"), ["y"])
    assert [name for name in named if name not in str(raised.value)] == []
    assert [path.name for path in directory.iterdir()] == ["theirs.pb"]
    assert verdict(clean, directory / "theirs.pb", {"x:0": X}, ["y:0"], []) == "unusable"


def test_a_recursive_function_is_refused(graph):
    inner = tf.function(lambda t: t * 0.5)
    outer = tf.function(lambda t: inner(t) + 1.0)
    tf.multiply(outer(x_placeholder()), v1.get_variable("w", [4]), name="y")
    graph_def = graph.as_graph_def()
    (name,) = {node.attr["f"].func.name for node in graph_def.node if "f" in node.attr}
    for definition in graph_def.library.function:
        for node in definition.node_def:
            if "f" in node.attr:
                node.attr["f"].func.name = name
    said = f"function '{name}' calls itself .*recursion cannot be frozen"
    with v1.Session() as session, pytest.raises(fh.NotFreezableError, match=said):
        # not in a session of that graph: TensorFlow crashes when it imports the graph
        graph_util.convert_variables_to_constants(session, graph_def, ["y"])
