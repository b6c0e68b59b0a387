"""Plans of tf.functions: variables, constants and tables that they capture, and their names."""

import json
import os
import re

import numpy as np
import pytest
import started
import tensorflow as tf
from control_flow import control_flow
from frozen_files import constants, read_graph_def
from places import PROGRAMS

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.arange(12, dtype=np.float32).reshape(4, 3) - 5
PROGRAM = os.path.join(PROGRAMS, "functions.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return (directory of the files, what the program printed)."""
    directory = tmp_path_factory.mktemp("functions")
    printed = started.run([PROGRAM, directory]).stdout
    return directory, json.loads(printed.splitlines()[-1])


def test_names_are_the_functions_own(made):
    _, said = made
    assert said["inputs"] == ["x", "key"]
    assert said["outputs"] == ["found_first", "found_second", "product", "w"]
    assert said["again"] is True
    assert said["named"] == [["a", "b"], ["sum", "a2"]]


def test_each_file_has_the_values_of_its_moment(made, clean):
    directory, said = made
    feeds = {"x:0": X, "key:0": np.array([b"no", b"what"])}
    fetches = ["product:0", "found_first:0", "found_second:0"]
    product, first, second = clean.run(directory / "two.pb", feeds, fetches)
    np.testing.assert_array_equal(product, said["two"])
    assert (first.tolist(), second.tolist()) == (said["first"], -1) == ([6, -1], -1)
    one = clean.run(directory / "one.pb", feeds, fetches)[0]
    offset = 8 * (X + 1) @ np.ones((3, 2)) + [2.0, 4.0]
    np.testing.assert_array_equal(one, offset)
    feeds["x:0"] = -X
    assert clean.run(directory / "two.pb", feeds, fetches)[0].tolist() == said["negative"]


def test_values_are_bit_equal(made):
    found = constants(made[0] / "one.pb")
    assert (found["weights"].tolist(), found["words"].tolist()) == ([[1, 1]] * 3, [b"a\0", b"b"])
    assert found["half"].dtype.name == "bfloat16" and found["half"].astype(float).tolist() == [1, 2]


def test_functions_that_stay_have_names_that_traces_do_not_count(made):
    library = read_graph_def(made[0] / "one.pb").library.function
    names = [re.sub(r"_frozen_\d+$", "", function.signature.name) for function in library]
    assert sorted(names) == ["cond_1_else", "cond_1_then", "cond_else", "cond_then"] + [
        "while_body",
        "while_cond",
    ]


def test_two_files_in_one_graph(tmp_path):
    """Their functions had the same name and differ, so the files give them different names."""
    for i, change in enumerate((lambda t: t * 2, lambda t: t + 3)):
        with tf.Graph().as_default() as graph, v1.Session() as session:
            with control_flow(v2=True):
                x = v1.placeholder(tf.float32, [], "x")
                tf.identity(tf.cond(x > 0, lambda: change(x), lambda: -x), name="y")  # noqa: B023
            fh.freeze_session(session, str(tmp_path / f"{i}.pb"), ["y"])
            assert any(op.type in ("If", "StatelessIf") for op in graph.get_operations())
    with tf.Graph().as_default(), v1.Session() as session:
        for i in range(2):
            v1.import_graph_def(read_graph_def(tmp_path / f"{i}.pb"), name=f"net{i}")
        ys = session.run(["net0/y:0", "net1/y:0"], {"net0/x:0": 5.0, "net1/x:0": 5.0})
    assert ys == [10.0, 8.0]


def test_a_large_variable_whose_rows_are_gathered(made, clean):
    directory, said = made
    names, size = said["rows"]
    assert names == ["output_0", "output_1"] and size > 50000 * 100 * 4
    expected = np.random.RandomState(0).randn(50000, 100).astype(np.float32)
    rows, shape = clean.run(
        directory / "rows.pb", {"ids:0": [7, 49999]}, ["output_0:0", "output_1:0"]
    )
    np.testing.assert_array_equal(rows, expected[[7, 49999]])
    assert shape.tolist() == [50000, 100]


def test_errors_say_what_to_do(made):
    plain, untraced, outputs, captured, assigned = made[1]["errors"]
    assert "give input_signature=, one tf.TensorSpec for each argument" in plain
    assert "which trace of the function to freeze is not clear" in untraced
    assert "outputs= names 1 tensors, but the function has 2" in outputs
    assert "cannot travel in a file" in captured
    assert assigned.startswith("NotFreezableError") and "weights" in assigned
