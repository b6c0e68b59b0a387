"""freeze_saved_model, and the command, on SavedModels of TensorFlow 1 and 2."""

import os
import shutil

import google.protobuf
import numpy as np
import pytest
import started
import tensorflow as tf
from frozen_files import read_graph_def
from places import PROGRAMS
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.ops import lookup_ops

import freeze_hooks as fh
from freeze_hooks import freeze_graph

v1 = tf.compat.v1
PROGRAM = os.path.join(PROGRAMS, "saved.py")
X = np.arange(6, dtype=np.float32).reshape(2, 3)
WORDS = np.array(["b", "a", "other"])
VARIABLES = {"VarHandleOp", "VariableV2", "ReadVariableOp"}


def save(directory, resource=True, partitioner=None, tags=("serve",), text=False):
    """Save a net of TensorFlow 1 with a vocabulary; return the directory and the net's answers."""
    vocabulary = str(directory / "words.txt")
    with open(vocabulary, "w") as file:
        file.write("a\nb\n")
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], "features")
        words = v1.placeholder(tf.string, [None], "words")
        with v1.variable_scope("net", use_resource=resource, partitioner=partitioner):
            w, e = v1.get_variable("w", [3, 4]), v1.get_variable("e", [5, 2])
        y = tf.nn.relu(tf.matmul(x, tf.convert_to_tensor(w)), name="hidden")
        ids = lookup_ops.index_table_from_file(vocabulary, num_oov_buckets=3).lookup(words)
        vectors = tf.nn.embedding_lookup(tf.convert_to_tensor(e), ids)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        live = session.run([y, vectors], {x: X, words: WORDS})
        build = v1.saved_model.signature_def_utils.build_signature_def
        info = v1.saved_model.utils.build_tensor_info
        signatures = {
            "serving_default": build({"x": info(x)}, {"scores": info(y)}),
            "embed": build({"text": info(words)}, {"vectors": info(vectors)}),
        }
        builder = v1.saved_model.Builder(str(directory / "saved"))
        builder.add_meta_graph_and_variables(
            session,
            tags,
            signatures,
            assets_collection=graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save(as_text=text)
    os.remove(vocabulary)
    moved = directory / "moved"
    shutil.move(str(directory / "saved"), str(moved))
    return moved, live


HOW = [
    {"resource": False},
    {"resource": True},
    {"partitioner": v1.fixed_size_partitioner(2)},
    {"text": True},
]


@pytest.mark.parametrize("how", HOW, ids=["ref", "resource", "partitioned", "text"])
def test_of_tensorflow_1(how, clean, tmp_path):
    """The vocabulary file is found where the SavedModel is now; the frozen file has its words."""
    directory, (scores, vectors) = save(tmp_path, **how)
    if how == {"text": True} and google.protobuf.__version__.startswith("5."):
        pytest.skip("protobuf 5 leaves out backslashes before quotes: it cannot read it either")
    artifact = fh.freeze_saved_model(directory, tmp_path / "a.pb")
    (given,), (answer,) = artifact.signature.inputs, artifact.signature.outputs
    assert (given.tensor, answer.tensor) == ("x:0", "scores:0")
    assert given.shape == (None, 3) and answer.dtype == "float32"
    (got,) = clean.run(tmp_path / "a.pb", {"x:0": X}, ["scores:0"])
    np.testing.assert_allclose(got, scores, rtol=1e-6)
    fh.freeze_saved_model(directory, tmp_path / "b.pb", signature="embed")
    shutil.rmtree(str(directory))
    (got,) = clean.run(tmp_path / "b.pb", {"text:0": WORDS}, ["vectors:0"])
    np.testing.assert_array_equal(got, vectors)


def test_tensors_of_its_graph(clean, tmp_path):
    directory, (scores, _) = save(tmp_path)
    fh.freeze_saved_model(
        directory, tmp_path / "a.pb", {"h": "hidden"}, inputs={"x": "features"}, signature="embed"
    )
    (got,) = clean.run(tmp_path / "a.pb", {"x:0": X}, ["h:0"])
    np.testing.assert_allclose(got, scores, rtol=1e-6)


@pytest.mark.parametrize("bind", [{"is_training:0": False}, {"training": False}])
def test_an_input_that_is_bound(bind, graph, clean, tmp_path):
    """An input of the signature that is bound is no input of the file."""
    x, training = (
        v1.placeholder(tf.float32, [None], "x"),
        v1.placeholder(tf.bool, [], "is_training"),
    )
    w = v1.get_variable("w", initializer=3.0)
    y = tf.cond(training, lambda: x * w + 100, lambda: x * w)
    directory = str(tmp_path / "saved")
    with v1.Session() as session:
        session.run(w.initializer)
        v1.saved_model.simple_save(session, directory, {"x": x, "training": training}, {"y": y})
    artifact = fh.freeze_saved_model(directory, tmp_path / "a.pb", bind=bind)
    assert [end.name for end in artifact.signature.inputs] == ["x"]
    (got,) = clean.run(tmp_path / "a.pb", {"x:0": np.float32([1, 2])}, ["y:0"])
    assert got.tolist() == [3, 6]


def test_the_command_on_tensorflow_1(clean, tmp_path):
    directory, (scores, vectors) = save(tmp_path, tags=["one", "two"])
    out = str(tmp_path / "a.pb")

    def freeze(tags):
        outputs = "hidden,embedding_lookup/Identity"
        more = {"input_saved_model_dir": str(directory), "saved_model_tags": tags}
        freeze_graph.freeze_graph("", "", False, "", outputs, "", "", out, False, "", **more)

    with pytest.raises(RuntimeError, match=r"no graph with tags \['serve'\].*'one', 'two'"):
        freeze("serve")
    freeze("two, one")
    feeds = {"features:0": X, "words:0": WORDS}
    got = clean.run(out, feeds, ["hidden:0", "embedding_lookup/Identity:0"])
    np.testing.assert_allclose(got[0], scores, rtol=1e-6)
    np.testing.assert_array_equal(got[1], vectors)


def test_variables_that_it_initializes_itself(clean, tmp_path):
    """In TensorFlow 1, main_op sets local variables after the restore, and loads a vocabulary."""
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")
    with tf.Graph().as_default() as graph, v1.Session() as session:
        words = v1.placeholder(tf.string, [None], "words")
        w = v1.get_variable("w", [3])
        local = v1.get_variable(
            "local",
            initializer=[5.0, 6.0, 7.0],
            trainable=False,
            collections=[v1.GraphKeys.LOCAL_VARIABLES],
        )
        ids = lookup_ops.index_table_from_file(str(vocabulary), num_oov_buckets=1).lookup(words)
        y = tf.identity(tf.gather(w * local, ids), name="y")
        start = tf.group(v1.local_variables_initializer(), v1.tables_initializer())
        session.run([v1.global_variables_initializer(), start])
        live = session.run(y, {words: WORDS})
        builder = v1.saved_model.Builder(str(tmp_path / "saved"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": v1.saved_model.predict_signature_def(
                    {"words": words}, {"vectors": y}
                )
            },
            assets_collection=graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=start,
        )
        builder.save()
    vocabulary.unlink()
    moved = str(tmp_path / "moved")
    shutil.move(str(tmp_path / "saved"), moved)
    first, second = str(tmp_path / "a.pb"), str(tmp_path / "b.pb")
    fh.freeze_saved_model(moved, first)
    freeze_graph.freeze_graph(
        "", "", False, "", "y", "", "", second, True, "", input_saved_model_dir=moved
    )
    shutil.rmtree(moved)
    for path, answer in ((first, "vectors:0"), (second, "y:0")):
        (got,) = clean.run(path, {"words:0": WORDS}, [answer])
        np.testing.assert_array_equal(got, live)


def test_wrong_names(tmp_path):
    directory, _ = save(tmp_path)

    def refused(match, *args, error=fh.UnknownNameError, **more):
        with pytest.raises(error, match=match):
            fh.freeze_saved_model(*(args or (directory,)), str(tmp_path / "a.pb"), **more)
        assert not os.path.exists(str(tmp_path / "a.pb"))

    refused(r"no signature 'serve'.*'embed', 'serving_default'", signature="serve")
    refused(r"no graph with tags \['gpu'\].*\['serve'\]", tags=["gpu"])
    refused("'score'", outputs=["score"])
    refused("no SavedModel", tmp_path, error=fh.FreezeError)
    os.remove(str(directory / "variables" / "variables.index"))
    refused("variables", error=fh.FreezeError)
    with open(str(directory / "saved_model.pb"), "r+b") as file:
        file.truncate(100)
    refused(r"saved_model\.pb is cut short", error=fh.InvalidFileError)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a directory of SavedModels of TensorFlow 2, which another process has made."""
    directory = tmp_path_factory.mktemp("saved")
    started.run([PROGRAM, directory])
    return directory


def answers(saved, name):
    with np.load(str(saved / (name + ".npz"))) as found:
        return dict(found)


def test_of_tensorflow_2(saved, clean, tmp_path):
    """The file has all that is captured: the vocabulary, its buckets for other words, variables."""
    live = answers(saved, "words")
    artifact = fh.freeze_saved_model(saved / "words", tmp_path / "a.pb")
    assert [end.name for end in artifact.signature.outputs] == ["vectors", "words"]
    (vectors,) = clean.run(tmp_path / "a.pb", {"words:0": live["words"]}, ["vectors:0"])
    np.testing.assert_array_equal(vectors, live["vectors"])
    fh.freeze_saved_model(saved / "words", tmp_path / "b.pb", signature="total")
    (total,) = clean.run(tmp_path / "b.pb", {"words:0": live["words"]}, ["total:0"])
    np.testing.assert_array_equal(total, live["total"])
    fh.freeze_saved_model(saved / "words", tmp_path / "c.pb", ["vectors"], bind={}, inputs=None)
    assert fh.inspect(tmp_path / "c.pb").signature.outputs[0].name == "vectors"


@pytest.mark.parametrize("lower", [False, True])
def test_a_keras_model(lower, saved, clean, tmp_path):
    live = answers(saved, "keras")
    artifact = fh.freeze_saved_model(saved / "keras", tmp_path / "a.pb", lower_control_flow=lower)
    (given,), (answer,) = artifact.signature.inputs, artifact.signature.outputs
    (probs,) = clean.run(tmp_path / "a.pb", {given.tensor: live["x"]}, [answer.tensor])
    np.testing.assert_allclose(probs, live["probs"], atol=1e-6)
    report = fh.inspect(tmp_path / "a.pb")
    assert not VARIABLES & set(report.ops)
    assert bool({"While", "StatelessWhile"} & set(report.ops)) is not lower


def test_one_that_writes_files(saved, tmp_path):
    """Loading a SavedModel runs some of its functions, so one that writes files is refused.

    A SavedModel that TensorFlow 1 saved is accepted: it is only read, not loaded.
    """
    try:
        fh.freeze_saved_model(saved / "writer", tmp_path / "a.pb")
    except fh.NotFreezableError as error:
        assert "would run WriteFile 'WriteFile'" in str(error) and "trust" in str(error)
        assert os.listdir(str(tmp_path)) == []
    else:
        assert hasattr(tf, "Session")  # TensorFlow 1
        assert fh.inspect(tmp_path / "a.pb").side_effects == ()
    assert not (saved / "stolen.txt").exists()


@pytest.mark.parametrize("name", ["words", "keras"])
def test_the_command_on_tensorflow_2(name, saved, clean, tmp_path):
    """tensorflow#29253: the outputs of a signature are those of a function call."""
    live = answers(saved, name)
    with open(str(saved / name / "saved_model.pb"), "rb") as file:
        (meta,) = SavedModel.FromString(file.read()).meta_graphs
    signature = meta.signature_def["serving_default"]
    (given,) = signature.inputs.values()
    key = "vectors" if name == "words" else next(iter(signature.outputs))
    output = signature.outputs[key].name
    out = str(tmp_path / "a.pb")
    started.run(
        [
            "-m",
            "freeze_hooks.freeze_graph",
            "--input_saved_model_dir=" + str(saved / name),
            "--output_node_names=" + output.split(":")[0],
            "--output_graph=" + out,
        ],
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(PROGRAM))),
    )
    assert not VARIABLES & {n.op for n in read_graph_def(out).node}
    inputs, want = ("words", "vectors") if name == "words" else ("x", "probs")
    (got,) = clean.run(out, {given.name: live[inputs]}, [output])
    np.testing.assert_allclose(got, live[want], atol=1e-6)
