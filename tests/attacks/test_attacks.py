"""Each attack of tests/attacks, on all code that reads such a file, in limited memory and time."""

import inspect
import json
import os

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh
from attacks import checkpoints, graphs
from attacks.reader import Reader
from attacks.seeds import Seeds
from freeze_hooks import freeze_graph
from freeze_hooks.values.bundle import _table

v1 = tf.compat.v1
FROZEN = ("inspected", "loaded")
STORED = ("with_checkpoint", "by_the_drop_in", "converted")
SMALL = 4000  # bytes


def abuses(module):
    """Return the attacks in a module: its functions with the parameters of an attack."""
    wanted = ["entries", "key"] if module is checkpoints else []
    return [
        function
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and list(inspect.signature(function).parameters) == wanted
    ]


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return Seeds(str(tmp_path_factory.mktemp("seeds")))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The prefix of a small model's checkpoint with a .meta file; the output is `probs`."""
    prefix = str(tmp_path_factory.mktemp("model") / "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        w = v1.get_variable("w", [2, 2], initializer=v1.ones_initializer(), use_resource=False)
        tf.matmul(x, w, name="probs")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, prefix)
    return prefix


@pytest.mark.parametrize("abuse", abuses(graphs), ids=lambda abuse: abuse.__name__)
def test_graphs(reader, model, tmp_path, abuse):
    made, path = abuse(), tmp_path / "hostile.pb"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    task = {"path": str(path), "prefix": model, "out": str(tmp_path / "out.pb")}
    answers = {kind: reader(kind, **task) for kind in FROZEN + STORED}
    for kind, answer in answers.items():
        assert answer["outcome"] in ("read", "refused"), (kind, answer)
        assert len(answer["said"]) < 3000
    if "Refused" in abuse.__doc__:  # "converted" gets a GraphDef that was parsed elsewhere
        outcomes = {answers[kind]["outcome"] for kind in FROZEN + STORED[:2]}
        assert outcomes == {"refused"}, answers
    if "harmless" in abuse.__doc__:
        assert {answer["outcome"] for answer in answers.values()} == {"read"}, answers


@pytest.mark.parametrize("abuse", abuses(checkpoints), ids=lambda abuse: abuse.__name__)
def test_checkpoints(reader, model, tmp_path, abuse):
    with open(model + ".index", "rb") as file:
        entries = dict(_table(file.read()))
    prefix, out = str(tmp_path / "model.ckpt"), str(tmp_path / "out.pb")
    with open(prefix + ".index", "wb") as file:
        file.write(abuse(entries, b"w"))
    os.link(model + ".data-00000-of-00001", prefix + ".data-00000-of-00001")
    answer = reader("checkpoint", path=prefix, meta=model + ".meta", out=out)
    assert answer["outcome"] in ("read", "refused"), answer
    if answer["outcome"] == "read":  # the file must have the saved values
        with fh.load_frozen(out) as frozen:
            assert frozen(x=[[1, 2]])["probs"].tolist() == [[3, 3]]
    else:
        assert abuse is not checkpoints.sound and not os.path.exists(out)


@pytest.mark.parametrize("name", ["frozen", "meta", "text", "v1", "entry", "saved_model", "state"])
def test_cut_everywhere(reader, seeds, tmp_path, name):
    """Files cut short are refused, unless the rest is whole; small ones are cut at every byte."""
    data, doors = seeds.files[name]
    for length in range(0, len(data), 1 if len(data) < SMALL else len(data) // 100 + 1):
        answer = reader(doors[0], **seeds.task(name, data[:length], str(tmp_path)))
        assert answer["outcome"] in ("read", "refused"), (length, answer)
        assert answer["outcome"] == "refused" or name in ("state", "text"), (length, answer)


@pytest.mark.parametrize("name", ["frozen", "meta", "text", "v1", "index", "saved_model", "state"])
def test_of_another_kind(reader, seeds, tmp_path, name):
    """Each file takes the place of each other file."""
    own, doors = seeds.files[name]
    for data in [file for file, _ in seeds.files.values() if file != own] + [b"\x89PNG\r\n", b"PK"]:
        for door in doors:
            answer = reader(door, **seeds.task(name, data, str(tmp_path)))
            assert answer["outcome"] in ("read", "refused"), (data[:20], door, answer)


STATES = {
    "not_text": b"\xff\xfe\0",
    "deep": b"[" * 200000,
    "deep_objects": b'{"model":' * 50000 + b"1" + b"}" * 50000,
    "a_large_number": b'{"best": {"best": {"loss": 1' + b"0" * 100000 + b"}}}",
    "a_huge_exponent": b'{"best": {"best": {"loss": "1e999999999"}}}',
    "lists": b'{"model": [], "best": []}',
    "files_that_are_a_list": b'{"model": {"files": ["a.pb"], "leaving": 3}}',
    "half_a_character": b'{"model": {"files": {"\\ud800.pb": "x"}}}',
}


@pytest.mark.parametrize("content", STATES.values(), ids=STATES)
def test_states(reader, tmp_path, content):
    """A frozen_state.json that freeze_hooks did not write counts as missing."""
    (tmp_path / "frozen_state.json").write_bytes(content)
    assert reader("state", path=str(tmp_path))["outcome"] == "read"
    assert "model" in json.loads((tmp_path / "frozen_state.json").read_text())


def test_a_state_that_names_the_files_of_others(reader, tmp_path):
    """Named files are not deleted if they are in other directories or are not frozen files."""
    (tmp_path / "in").mkdir()
    others = [tmp_path / "a.pb", tmp_path / "in" / "b.txt", tmp_path / "in" / "c.pb"]
    for path in others:
        path.write_bytes(b"mine")
    names = ["../a.pb", str(others[0]), "b.txt", "./c.pb", "..", "", "a\0.pb"]
    state = {"model": {"files": dict.fromkeys(names, "gone"), "leaving": dict.fromkeys(names, "")}}
    (tmp_path / "in" / "frozen_state.json").write_text(json.dumps(state))
    assert reader("state", path=str(tmp_path / "in"))["outcome"] == "read"
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/passwd", "a/../../secret.txt", ""])
def test_assets_that_lead_out(tmp_path, name):
    """A SavedModel names a file of the user's machine as its vocabulary. Refused."""
    directory = tmp_path / "saved"
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "v.txt").write_text("a\nb\n")
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None], "words")
        line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        vocabulary = str(tmp_path / "v.txt")
        init = tf.lookup.TextFileInitializer(vocabulary, tf.string, line, tf.int64, number)
        ids = tf.lookup.StaticHashTable(init, -1).lookup(words)
        session.run(v1.tables_initializer())
        v1.saved_model.simple_save(
            session, str(directory), {"words": words}, {"ids": ids}, v1.tables_initializer()
        )
    saved = directory / "saved_model.pb"
    message = fh._protos.SavedModel.FromString(saved.read_bytes())
    meta = message.meta_graphs[0]
    if meta.asset_file_def:
        meta.asset_file_def[0].filename = name
    else:
        packed = meta.collection_def["saved_model_assets"].any_list.value[0]
        asset = fh._protos.AssetFileDef()
        packed.Unpack(asset)
        asset.filename = name
        packed.Pack(asset)
    saved.write_bytes(message.SerializeToString())
    with pytest.raises(fh.InvalidFileError, match="asset"):
        fh.freeze_saved_model(str(directory), str(tmp_path / "out.pb"))
    assert not (tmp_path / "out.pb").exists()


@pytest.fixture(params=[tf.io.write_file, tf.io.read_file], ids=["written", "read"])
def at_the_start(request, tmp_path):
    """Return a function that passes keys or values on, and writes or reads `touched.txt`."""
    touched = tmp_path / "touched.txt"
    if request.param is tf.io.read_file:
        touched.write_text("a")
        return lambda values: values + tf.strings.substr(tf.io.read_file(str(touched)), 0, 0)

    def writing(values):
        with tf.control_dependencies([tf.io.write_file(str(touched), "stolen")]):
            return tf.identity(values)

    return writing


def refused_to_write(tmp_path, freeze):
    """Check that `freeze` works if a file is read, and is refused if one would be written."""
    touched, out = tmp_path / "touched.txt", tmp_path / "out.pb"
    if touched.exists():
        freeze(str(out))
        assert fh.inspect(str(out)).side_effects == ()
        return
    with pytest.raises(fh.FreezeError, match=r"would run WriteFile '.*WriteFile'"):
        freeze(str(out))
    assert not touched.exists() and not out.exists()


def test_tables_that_write(at_the_start, clean, tmp_path):
    """Freezing a checkpoint runs the ops that fill a table, but no op that writes a file."""
    prefix, touched, out = str(tmp_path / "model.ckpt"), tmp_path / "touched.txt", tmp_path / "o.pb"
    before = touched.exists()
    with tf.Graph().as_default(), v1.Session() as session:
        init = tf.lookup.KeyValueTensorInitializer(at_the_start(tf.constant(["a", "b"])), [1, 2])
        words = v1.placeholder(tf.string, [None], "words")
        tf.identity(tf.lookup.StaticHashTable(init, -1).lookup(words), name="ids")
        session.run(v1.get_variable("w", [2]).initializer)
        v1.train.Saver().save(session, prefix)
    fh.freeze_checkpoint(prefix, str(out), ["ids"])
    assert touched.exists() is before
    assert fh.inspect(str(out)).side_effects == ()
    (ids,) = clean.run(out, {"words:0": np.array(["b", "?"])}, ["ids:0"])
    assert ids.tolist() == [2, -1]


def test_saved_models_that_write(at_the_start, tmp_path):
    """A SavedModel's init op writes a file. Refused."""
    with tf.Graph().as_default(), v1.Session() as session:
        local = v1.get_variable(
            "local",
            initializer=lambda: tf.strings.length(at_the_start(tf.constant(["a", "b"]))),
            dtype=tf.int32,
            trainable=False,
            collections=[v1.GraphKeys.LOCAL_VARIABLES],
        )
        x = v1.placeholder(tf.int32, [2], "x")
        y = tf.add(x, local, name="y")
        session.run([local.initializer, v1.get_variable("w", [2]).initializer])
        directory = str(tmp_path / "saved")
        v1.saved_model.simple_save(session, directory, {"x": x}, {"y": y}, local.initializer)
    if (tmp_path / "touched.txt").read_text() == "stolen":  # this test's session wrote it
        (tmp_path / "touched.txt").unlink()
    refused_to_write(tmp_path, lambda out: fh.freeze_saved_model(directory, out))


def test_initializers_that_write(at_the_start, tmp_path):
    """An op in freeze_graph's initializer_nodes writes a file. Refused."""
    prefix = str(tmp_path / "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        start = tf.strings.length(at_the_start(tf.constant(["a", "b"])))
        v = v1.get_variable("v", initializer=[5, 7], use_resource=False)
        fill = v1.assign(v, start, name="fill")
        tf.add(v1.placeholder(tf.int32, [2], "x"), v, name="y")
        session.run(v.initializer)
        v1.train.Saver().save(session, prefix)

    def freeze(out):
        freeze_graph.freeze_graph(
            "", "", True, prefix, "y", "", "", out, True, fill.op.name, "", "", prefix + ".meta"
        )

    refused_to_write(tmp_path, freeze)
