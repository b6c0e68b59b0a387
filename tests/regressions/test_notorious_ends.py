"""Known issues with the inputs and outputs of a graph, and with its size."""

import notorious_trackers
import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from notorious import X, v1, x_placeholder
from notorious_trackers import fused_batch_norm

import freeze_hooks as fh


def test_an_output_that_is_a_variable_is_described_as_its_value(graph, tmp_path):
    for resource in (True, False):
        v1.get_variable(f"w{resource:d}", [4, 2], tf.float64, use_resource=resource)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        artifact = fh.freeze_session(session, str(tmp_path / "w.pb"), ["w0", "w1"])
    described = [(o.dtype, o.shape) for o in artifact.signature.outputs]
    assert described == [("float64", (4, 2))] * 2
    assert {v.shape for v in fh.load_frozen(artifact.path)().values()} == {(4, 2)}


@pytest.mark.parametrize("argument", ["outputs", "inputs"])
def test_one_name_given_twice_is_refused(argument, graph):
    tf.multiply(x_placeholder(), v1.get_variable("w", [4]), name="y")
    arguments = dict({"outputs": ["y"]}, **{argument: ["y", "x", "y:0"]})
    with pytest.raises(fh.FreezeError, match=f"{argument}= names y:0 twice"):
        fh.check(graph, **arguments)


def test_a_variable_over_1_gib(graph, tmp_path):
    """TensorFlow's converter also writes a correct file, on 1.15.5 and on 2.21.

    The file is only parsed here: TensorFlow 2.21 needs half a minute to import it.
    """
    size, chosen = 270_000, np.array([0, 150_000, 269_999])
    rows = v1.get_variable(
        "rows", [size, 1000], initializer=v1.zeros_initializer(), use_resource=True
    )
    values = np.arange(1, 3001, dtype=np.float32).reshape(3, 1000)
    update = v1.scatter_update(rows, chosen, values)
    tf.nn.embedding_lookup(rows, v1.placeholder(tf.int32, [None], "ids"), name="y")
    with v1.Session() as session:
        session.run(rows.initializer)
        session.run(update)
        artifact = fh.freeze_session(session, str(tmp_path / "large.pb"), ["y"])
    assert artifact.bytes > 2**30
    frozen = constants(artifact.path)["rows"]
    assert (frozen.shape, frozen.dtype) == ((size, 1000), np.float32)
    np.testing.assert_array_equal(frozen[chosen], values)
    assert np.count_nonzero(frozen) == values.size
    (tmp_path / "large.pb").unlink()


def test_a_frozen_file_is_frozen_again(graph, clean, tmp_path):
    """tensorflow#18877: the graph to freeze is already frozen."""
    tf.multiply(x_placeholder(), v1.get_variable("w", [4]), name="y")
    first, second = str(tmp_path / "first.pb"), str(tmp_path / "second.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("y:0", {"x:0": X})
        fh.freeze_session(session, first, ["y"])
    with tf.Graph().as_default() as again, v1.Session() as session:
        tf.import_graph_def(fh.load_frozen(first).graph_def, name="")
        assert fh.check(again, ["y"]).findings == ()
        fh.freeze_session(session, second, ["y"])
    np.testing.assert_array_equal(clean.run(second, {"x:0": X}, ["y:0"])[0], live)


def test_nothing_of_the_training_half_of_a_batch_norm_is_left(graph, tmp_path):
    """openvino#21, opencv#13110: readers of frozen graphs do not know its two kinds of ops."""
    arguments, _ = fused_batch_norm(tmp_path)
    report = fh.check(graph, ["y"], **arguments)
    assert report.findings == ()
    assert not {"Switch", "Merge", "If", "StatelessIf"} & set(report.ops)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, str(tmp_path / "y.pb"), ["y"], **arguments)
    nodes = fh.load_frozen(str(tmp_path / "y.pb")).graph_def.node
    (norm,) = [node for node in nodes if node.op.startswith("FusedBatchNorm")]
    assert norm.attr["is_training"].b is False


def test_a_loop_is_imported_twice_into_one_graph(graph, tmp_path):
    """tensorflow#33752, tensorflow#26526: a While can, since its condition and body are functions.

    TensorFlow takes two imports of a loop of Enter and Exit for one loop, because their frames have
    the same name. No file can prevent that: such imports need a graph each.
    """
    build = {case.__name__: case for case in notorious_trackers.CASES}["nested_loops_v2"]
    build(tmp_path)
    path = str(tmp_path / "y.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run("y:0", {"x:0": X})
        fh.freeze_session(session, path, ["y"])
    graph_def = fh.load_frozen(path).graph_def
    with tf.Graph().as_default(), v1.Session() as session:
        first, second = (
            tf.import_graph_def(graph_def, name=name, return_elements=["x:0", "y:0"])
            for name in ("first", "second")
        )
        both = session.run([first[1], second[1]], {first[0]: X, second[0]: X})
    for values in both:
        np.testing.assert_allclose(values, live, rtol=1e-6, atol=1e-6)
