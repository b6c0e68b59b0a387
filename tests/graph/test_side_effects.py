"""Files whose graphs reach out: to files, other processes, Python, devices."""

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1


def written(tmp_path, build):
    """Return the path of a file with the graph that `build` makes."""
    with tf.Graph().as_default() as graph:
        build()
    path = tmp_path / "m.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return str(path)


def read_file():
    tf.io.read_file(__file__, name="leak")


def write_file():
    tf.io.write_file("here", "text", name="leak")


def matching_files():
    tf.io.matching_files("/*", name="leak")


def vocabulary_file():
    init = tf.lookup.TextFileInitializer("v.txt", tf.string, 0, tf.int64, 1)
    v1.identity(tf.lookup.StaticHashTable(init, -1).lookup(tf.constant(["a"])))


def restore():
    v1.train.Saver([v1.get_variable("v", [2])])


def sampler():
    tf.random.fixed_unigram_candidate_sampler(
        [[1]], 1, 1, False, 4, vocab_file="/etc/passwd", name="leak"
    )


def printing():
    tf.raw_ops.PrintV2(input="text", output_stream="file://x", name="leak")


def debugging():
    value = tf.constant(1.0)
    # TensorFlow 1.15 has no public function for it
    made = value.graph.create_op("DebugIdentity", [value], [tf.float32], name="leak")
    urls = v1.AttrValue(list=v1.AttrValue.ListValue(s=[b"grpc://localhost:1"]))
    made._set_attr("debug_urls", urls)


def python():
    v1.py_func(lambda: np.float32(1), [], tf.float32, name="leak")


def dataset():
    tf.raw_ops.TFRecordDataset(filenames="f", compression_type="", buffer_size=0, name="leak")


def infeed():
    tf.raw_ops.InfeedDequeue(dtype=tf.float32, shape=[1], name="leak")


CASES = {
    read_file: {"files"},
    write_file: {"files"},
    matching_files: {"files"},
    vocabulary_file: {"files"},
    restore: {"files"},
    sampler: {"files"},
    printing: {"files"},
    debugging: {"files", "network"},
    python: {"python"},
    dataset: {"files"},
    infeed: {"devices"},
}


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_a_graph_that_reaches_out_is_not_loaded(tmp_path, build):
    path = written(tmp_path, build)
    report = fh.inspect(path)
    assert {finding.kind for finding in report.side_effects} == CASES[build]
    with pytest.raises(fh.InvalidFileError) as raised:
        fh.load_frozen(path)
    for finding in report.side_effects:
        assert finding.problem in str(raised.value) and finding.nodes[0] in str(raised.value)


def test_functions_are_searched_too(tmp_path):
    """Functions that no node calls are searched, and nodes that no output of a function needs."""

    def build():
        @tf.function
        def outer(x):
            tf.io.write_file("here", "text", name="leak")
            return x + 1

        if hasattr(outer, "get_concrete_function"):
            outer.get_concrete_function(tf.TensorSpec([], tf.float32)).add_to_graph()
        v1.placeholder(tf.float32, [], "x")

    path = written(tmp_path, build)
    (finding,) = fh.inspect(path).side_effects
    assert finding.kind == "files" and finding.nodes[0].endswith("/leak (WriteFile)")
    with pytest.raises(fh.InvalidFileError, match="leak"):
        fh.load_frozen(path)


def test_allowing_side_effects(tmp_path):
    path = written(tmp_path, read_file)
    with fh.load_frozen(path, allow_side_effects=True) as model, open(__file__, "rb") as file:
        assert model()["leak"] == file.read()


def test_our_own_files_reach_nowhere(tmp_path):
    """Some harmless ops have similar names: ReadVariableOp, TensorArrayWriteV3..."""

    def build():
        x = v1.placeholder(tf.float32, [None, 2], "x")
        array = tf.TensorArray(tf.float32, 1).write(0, x)
        v1.nn.fixed_unigram_candidate_sampler([[1]], 1, 1, False, 4, unigrams=[1.0] * 4)
        tf.math.log(array.read(0), name="y")

    path = written(tmp_path, build)
    assert fh.inspect(path).side_effects == ()
    with fh.load_frozen(path) as model:
        np.testing.assert_array_equal(model(x=np.ones([1, 2]))["y"], np.zeros([1, 2]))
