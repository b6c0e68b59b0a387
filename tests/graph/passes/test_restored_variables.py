"""Slots that become variables again, and constants in their place, on graphs alone."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from freeze_hooks.graph.body import Body
from freeze_hooks.graph.passes.restored_variables import constants_in_place, restore_variables
from freeze_hooks.graph.restore_ops import SavedKey, restored_keys, slice_text
from freeze_hooks.graph.variables import Variable
from freeze_hooks.graph.walks import topological

v1 = tf.compat.v1
FLOAT = tf.float32.as_datatype_enum
STRING = tf.string.as_datatype_enum
VALUES = {"net/w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones([4], np.float32)}


def gaps():
    """A graph x * w + b whose w, b and words lack their values, and its slots."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        w, b = (tf.constant(value, name=name) for name, value in VALUES.items())
        tf.add(tf.matmul(x, w), b, name="y")
        tf.constant(["a", "b"], name="words")
    body = Body({node.name: node for node in graph.as_graph_def().node}, ["y:0"])
    slots = {name: Variable(name, FLOAT, v.shape, True) for name, v in VALUES.items()}
    for name in slots:
        del body.nodes[name].attr["value"]
    return body, {**slots, "words": Variable("words", STRING, (2,), True)}


def graph_def_of(body):
    body.outputs = [*body.outputs, *body.effects]
    return v1.GraphDef(node=list(topological(body)))


def test_they_restore_what_they_save(tmp_path):
    body, slots = gaps()
    restoring = restore_variables(body, slots)
    assert [variable.key for variable in restoring.variables] == list(VALUES)
    assert body.nodes["words"].op == "Const"
    prefix = str(tmp_path / "saved")
    x = np.random.RandomState(0).randn(2, 3).astype(np.float32)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def_of(body), name="")
        for variable in restoring.variables:
            value = tf.constant(VALUES[variable.key] + 1)
            handle = graph.get_tensor_by_name(variable.handle + ":0")
            tf.raw_ops.AssignVariableOp(resource=handle, value=value)
        filled = [op for op in graph.get_operations() if op.name.startswith("AssignVariableOp")]
        with v1.Session() as first:
            first.run(filled)
            wanted = first.run("y:0", {"x:0": x})
            first.run(restoring.save, {restoring.filename: prefix})
        with v1.Session() as second:
            second.run(restoring.restore, {restoring.filename: prefix})
            np.testing.assert_array_equal(second.run("y:0", {"x:0": x}), wanted)
    np.testing.assert_allclose(wanted, x @ (VALUES["net/w"] + 1) + VALUES["b"] + 1, 1e-5)
    assert restored_keys(graph.as_graph_def(), restoring.restore) == {
        variable.handle: SavedKey(variable.key) for variable in restoring.variables
    }


def test_constants_take_their_places_again():
    body, slots = gaps()
    restore_variables(body, slots)
    asked = []

    def tensor_of(name):
        asked.append(name)
        return tf.make_tensor_proto(VALUES[name])

    graph_def = constants_in_place(graph_def_of(body), ["y:0"], tensor_of)
    assert sorted(asked) == sorted(VALUES)
    assert sorted(node.name for node in graph_def.node) == ["MatMul", "b", "net/w", "x", "y"]
    x = np.random.RandomState(0).randn(2, 3).astype(np.float32)
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        with v1.Session() as session:
            found = session.run("y:0", {"x:0": x})
    np.testing.assert_allclose(found, x @ VALUES["net/w"] + VALUES["b"], 1e-5)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)), min_size=1))
def test_slices_are_spelled_as_tensorflow_does(sides):
    """Each side is what is before the slice, in it and after it."""
    begin, size = (tuple(side[i] for side in sides) for i in (0, 1))
    shape = [sum(side) for side in sides]
    info = v1.Variable.SaveSliceInfo("v", shape, list(begin), list(size))
    assert slice_text(SavedKey("v", begin, size), shape) == info.spec


def test_a_whole_tensor_has_no_slice():
    assert slice_text(SavedKey("v"), [3, 4]) == ""
