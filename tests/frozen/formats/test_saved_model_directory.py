"""SavedModels with the weights in the graph: their files, and how readers find them."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(6, 4).astype(np.float32)
MAIN, ABOUT = "saved_model.pb", os.path.join("assets.extra", "freeze_hooks.json")


@pytest.fixture
def session(graph):
    """A session with a small trained net, with a table of words; `graph` is its graph."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    w = v1.get_variable("w", [4, 3])
    words = tf.constant(["zero", "one", "two"])
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1, 2], tf.int64), words), "?"
    )
    logits = tf.identity(tf.matmul(x, w), "logits")
    tf.identity(table.lookup(tf.argmax(logits, 1)), "word")
    with v1.Session() as live:
        live.run([v1.global_variables_initializer(), v1.tables_initializer()])
        yield live


def files(directory):
    found = (os.path.join(where, name) for where, _, names in os.walk(directory) for name in names)
    return sorted(os.path.relpath(path, directory) for path in found)


def loaded(directory, feeds, key="serving_default"):
    """The answers by TensorFlow's own loader."""
    with tf.Graph().as_default(), v1.Session() as live:
        ends = v1.saved_model.loader.load(live, ["serve"], str(directory)).signature_def[key]
        fed = {ends.inputs[name].name: value for name, value in feeds.items()}
        return live.run({name: end.name for name, end in ends.outputs.items()}, fed)


@pytest.mark.parametrize("outputs", [["logits"], ["logits", "word"]])
def test_the_files_and_what_they_say(session, outputs, tmp_path):
    path = str(tmp_path / "model")
    artifact = fh.freeze_session(session, path, outputs, format="saved_model")
    assert files(path) == [ABOUT, MAIN]
    assert os.listdir(str(tmp_path)) == ["model"]  # no file beside it, none left over
    assert artifact.path == path
    assert artifact.bytes == sum(os.path.getsize(os.path.join(path, f)) for f in files(path))
    with open(os.path.join(path, ABOUT)) as file:
        about = json.load(file)
    size = os.path.getsize(os.path.join(path, MAIN))
    assert about["files"][MAIN]["bytes"] == size
    assert about["files"][MAIN]["hash"]["value"] == artifact.hash
    assert about["signature"]["outputs"][0]["name"] == "logits"
    wanted = dict(zip(outputs, session.run([name + ":0" for name in outputs], {"x:0": X})))
    found = loaded(path, {"x": X})
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_it_has_the_graph_of_a_pb(session, tmp_path):
    fh.freeze_session(session, str(tmp_path / "m.pb"), ["logits", "word"])
    fh.freeze_session(session, str(tmp_path / "m"), ["logits", "word"], format=fh.SavedModel())
    with fh.load_frozen(tmp_path / "m.pb") as file, fh.load_frozen(tmp_path / "m") as saved:
        assert file.graph_def == saved.graph_def
        assert file.metadata == saved.metadata
        for name, value in file(x=X).items():
            np.testing.assert_array_equal(saved(x=X)[name], value)
    reports = [fh.inspect(tmp_path / name) for name in ("m.pb", "m")]
    assert reports[0].signature == reports[1].signature
    assert reports[0].ops == reports[1].ops
    assert reports[1].bytes == sum(
        os.path.getsize(str(tmp_path / "m" / name)) for name in files(str(tmp_path / "m"))
    )


def test_large_values_are_aligned(graph, tmp_path):
    """So that TensorFlow can use them from the mapped file, as in a `.pb`."""
    w = v1.get_variable("w", [200, 300])
    tf.matmul(v1.placeholder(tf.float32, [None, 200], "x"), w, name="y")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        fh.freeze_session(live, str(tmp_path / "m"), ["y"], format="saved_model", verify=True)
        value = live.run(w).tobytes()
    data = (tmp_path / "m" / MAIN).read_bytes()
    assert data.index(value) % 64 == 0


@pytest.mark.parametrize("verify", [True, "first"])
def test_it_is_proved(session, verify, tmp_path):
    path = str(tmp_path / "m")
    artifact = fh.freeze_session(
        session, path, ["logits", "word"], format="saved_model", verify=verify
    )
    assert artifact.max_difference == 0
    with open(os.path.join(path, ABOUT)) as file:
        about = json.load(file)
    assert about["max_difference"] == 0
    assert fh.load_frozen(path).metadata["max_difference"] == 0
    assert about["files"][MAIN]["hash"]["value"] == artifact.hash


def test_a_directory_is_replaced_as_a_whole(session, tmp_path):
    path = str(tmp_path / "m")
    fh.freeze_session(session, path, ["logits"], format="saved_model")
    os.mkdir(os.path.join(path, "more"))  # by another program
    session.run(v1.assign(v1.global_variables()[0], np.ones([4, 3], np.float32)))
    fh.freeze_session(session, path, ["logits"], format="saved_model")
    assert files(path) == [ABOUT, MAIN] and os.listdir(str(tmp_path)) == ["m"]
    assert sorted(os.listdir(path)) == ["assets.extra", MAIN]
    wanted = np.repeat(X.sum(1, keepdims=True), 3, 1)
    np.testing.assert_allclose(fh.load_frozen(path)(x=X)["logits"], wanted, rtol=1e-5)


def test_it_goes_back_in(session, tmp_path):
    fh.freeze_session(session, str(tmp_path / "m"), ["logits", "word"], format="saved_model")
    again = fh.freeze_saved_model(str(tmp_path / "m"), str(tmp_path / "m.pb"), verify=True)
    assert again.max_difference == 0
    weights = session.run(v1.global_variables()[0])
    assert any(np.array_equal(weights, value) for value in constants(again.path).values())


@pytest.mark.parametrize(
    "name, says",
    [
        ("m.pb", "ends in '.pb', as the name of a frozen file does.*call it .*m'"),
        ("m.keras", "ends in '.keras'"),
        ("file", "is a file, and this format= writes a directory"),
        ("other", "freeze_hooks did not write.*would delete notes"),
    ],
)
def test_paths_of_other_things_are_refused(session, name, says, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_bytes(b"")
    with pytest.raises(fh.FreezeError, match=says):
        fh.freeze_session(session, str(tmp_path / name), ["logits"], format="saved_model")
    assert sorted(os.listdir(str(tmp_path))) == ["file", "other"]


def test_a_wrong_format_is_named(session, tmp_path):
    with pytest.raises(fh.FreezeError, match="'saved_modl'; did you mean 'saved_model'"):
        fh.freeze_session(session, str(tmp_path / "m"), ["logits"], format="saved_modl")


def test_nothing_appears_on_a_full_disk(session, monkeypatch, tmp_path):
    real = os.write

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    try:
        with pytest.raises(OSError, match="No space"):
            fh.freeze_session(session, str(tmp_path / "m"), ["logits"], format="saved_model")
    finally:
        monkeypatch.setattr(os, "write", real)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("variables", [False, True])
def test_on_a_remote_path(session, variables, remote):
    form = fh.SavedModel(variables=variables)
    for outputs in (["logits"], ["logits", "word"]):
        path = f"{remote}/served/{len(outputs)}"
        fh.freeze_session(session, path, outputs, format=form, verify=True)
        found = loaded(path, {"x": X})
        np.testing.assert_array_equal(found["logits"], session.run("logits:0", {"x:0": X}))
        names = [name.rstrip("/") for name in tf.io.gfile.listdir(path)]
        assert sorted(names) == ["assets.extra", MAIN] + ["variables"] * variables
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(f"{remote}/served")]
    assert sorted(names) == ["1", "2"]


def test_a_savedmodel_with_variables_is_not_frozen(session, tmp_path):
    path = str(tmp_path / "export")
    x, y = (session.graph.get_tensor_by_name(name) for name in ("x:0", "logits:0"))
    v1.saved_model.simple_save(session, path, {"x": x}, {"y": y})
    message = "SavedModel's directory: give it to fh.freeze_saved_model, which .* such as 'w'"
    with pytest.raises(fh.InvalidFileError, match=message):
        fh.load_frozen(path)
    with pytest.raises(fh.InvalidFileError, match="freezes its variables"):
        fh.inspect(path)


def test_a_damaged_one_is_told(session, tmp_path):
    path = tmp_path / "m"
    fh.freeze_session(session, str(path), ["logits"], format="saved_model")
    whole = (path / MAIN).read_bytes()
    (path / MAIN).write_bytes(whole[:-10])
    for read in (fh.inspect, fh.load_frozen):
        with pytest.raises(fh.InvalidFileError, match="truncated"):
            read(str(path))
