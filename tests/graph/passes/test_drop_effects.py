"""Models that print, assert or write summaries: their files answer the same without this."""

import os
import shutil

import numpy as np
import pytest
import started
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def
from places import PROGRAMS

import freeze_hooks as fh

v1 = tf.compat.v1
PROGRAM = os.path.join(PROGRAMS, "reporting.py")
NAMES = ["Prints", "Asserts", "InBranchesAndLoops", "Summaries", "SummariesOfTables"]
TF1 = tf.__version__.startswith("1.")
REPORTS = ("Print", "Assert", "Summary")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("reporting")
    started.run([PROGRAM, directory])
    for told in ("printed.txt", "words.txt"):
        os.remove(str(directory / told))
    shutil.rmtree(str(directory / "logs"))
    return directory


def assert_answers(path, saved, name, clean):
    """Assert that the file answers as the model did, and has no nodes that only report."""
    with np.load(str(saved / (name + ".npz"))) as kept:
        arrays = dict(kept)
    report = fh.inspect(path)
    (given,), answers = report.signature.inputs, report.signature.outputs
    feeds = {given.tensor: arrays.pop(given.name)}
    found = clean.run(path, feeds, [answer.tensor for answer in answers])
    for answer, array in zip(answers, found):
        expected = arrays.pop(answer.name)
        assert np.max(np.abs(array - expected)) <= 1e-6
    assert not arrays
    assert report.side_effects == ()
    assert not [op for op in report.ops if any(word in op for word in REPORTS)]
    graph_def = read_graph_def(path)
    nodes = list(graph_def.node) + [n for f in graph_def.library.function for n in f.node_def]
    assert not any("only_told" in node.name for node in nodes)
    assert not (saved / "printed.txt").exists() and not (saved / "logs").exists()


@pytest.mark.parametrize("name", NAMES)
def test_functions(name, saved, clean):
    """The function captures a summary writer, which the file must not have."""
    assert_answers(saved / (name + ".function.pb"), saved, name, clean)


@pytest.mark.parametrize("lower", [False, True], ids=["functional", "lowered"])
@pytest.mark.parametrize("name", NAMES)
def test_saved_models(name, lower, saved, clean, tmp_path):
    """Freezing a SavedModel runs none of these ops either."""
    if TF1 and name.startswith("Summaries"):
        pytest.skip("TensorFlow 1.15 saves no model with a summary writer")
    path = tmp_path / "a.pb"
    artifact = fh.freeze_saved_model(saved / name, path, lower_control_flow=lower)
    assert_answers(path, saved, name, clean)
    (given,) = artifact.signature.inputs
    tensor = f"serving_default_{given.name}"
    fh.freeze_saved_model(saved / name, path, inputs={given.name: tensor})  # a tensor of its graph
    assert_answers(path, saved, name, clean)


@pytest.mark.parametrize("v2", [False, True], ids=["dataflow", "functional"])
def test_sessions(v2, graph, clean, tmp_path):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    with control_flow(v2):
        w = v1.get_variable("w", [4, 4], use_resource=True)
        told = v1.get_variable("only_told", [4], use_resource=True)

        def step(i, h):
            said = tf.print(i, told, output_stream="file://" + str(tmp_path / "printed.txt"))
            sure = v1.assert_less(h, 9.0)
            with tf.control_dependencies([said, sure]):
                return i + 1, tf.tanh(tf.matmul(h, w))

        h = tf.while_loop(lambda i, h: i < 3, step, [tf.constant(0), x])[1]
        with tf.control_dependencies([v1.assert_less(h, 9.0)]):
            y = tf.cond(tf.reduce_sum(h) > 0, lambda: step(0, h)[1], lambda: h * 2)
        y = tf.identity(y, name="y")
    feeds = {"x:0": np.ones([2, 4], np.float32)}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(y, feeds)
        fh.freeze_session(session, tmp_path / "a.pb", ["y"])
    os.remove(str(tmp_path / "printed.txt"))
    (found,) = clean.run(tmp_path / "a.pb", feeds, ["y:0"])
    assert np.max(np.abs(found - live)) <= 1e-6
    ops = fh.inspect(tmp_path / "a.pb").ops
    assert not [op for op in ops if any(word in op for word in REPORTS)]
    assert not (tmp_path / "printed.txt").exists()


def test_a_resource_that_an_output_needs(tmp_path):
    """Such a resource is still refused, and the error names it."""
    if TF1:
        pytest.skip("eager execution, which TensorFlow 1 turns on for a whole process")
    rows = iter(tf.data.Dataset.range(3))

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="x")])
    def serve(x):
        for _ in tf.range(2):
            x += next(rows)
        return x

    with pytest.raises(fh.NotFreezableError, match=r"captures a resource.*cannot travel"):
        fh.freeze_function(serve, str(tmp_path / "a.pb"))
    assert os.listdir(str(tmp_path)) == []
