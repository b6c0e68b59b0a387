"""Files and directories that are no frozen graphs: the error says what each is and what to do."""

import gzip
import importlib.util
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import started
import tensorflow as tf
from fitting import HAS_KERAS_3, TF1

import freeze_hooks as fh

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a directory with a checkpoint, its SavedModel and its frozen file."""
    directory = tmp_path_factory.mktemp("trained")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        y = tf.matmul(x, v1.get_variable("w", [2, 2]), name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(directory / "run" / "model.ckpt"))
        v1.saved_model.simple_save(session, str(directory / "saved" / "3"), {"x": x}, {"y": y})
        fh.freeze_session(session, str(directory / "m.pb"), ["y"])
    graph_def = v1.GraphDef.FromString((directory / "m.pb").read_bytes())
    tf.io.write_graph(graph_def, str(directory), "m.pbtxt")
    return directory


def zipped(*names):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return packed.getvalue()


def tarred():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("saved_model.pb"), io.BytesIO())
    return packed.getvalue()


def saved(save, *what):
    packed = io.BytesIO()
    save(packed, *what)
    return packed.getvalue()


HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
PAGE = b"\n<!DOCTYPE html>\n<html><head><title> Sign in </title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
CONTENTS = {
    "empty.pb": (b"", r"is empty \(0 bytes\): .*write it anew"),
    "zeros.pb": (bytes(5000), "is all zeros"),
    "page.pb": (PAGE, "is a web page titled 'Sign in': the download failed"),
    "short.pb": (b"<html>404</html>", "is a web page: the download failed"),
    "pointer.pb": (POINTER, "is a Git LFS pointer: get the file: git lfs pull"),
    "m.pb.gz": (gzip.compress(b"graph"), r"compressed \(gzip\): unpack it: gunzip"),
    "m.pb.xz": (lzma.compress(b"graph"), r"compressed \(xz\)"),
    "x.onnx": (b"\x08\x08\x12\x07pytorch:\x00", "is an ONNX model: freeze the model that"),
    "y.onnx": (b"\x08\x0a\x3a\x00\x42\x02\x10\x11", "is an ONNX model"),
    "m.keras": (zipped("config.json", "model.weights.h5"), r"Keras model \(\.keras\): load it"),
    "m.pt": (zipped("m/data.pkl", "m/data/0"), "is a PyTorch model"),
    "saved.zip": (zipped("3/saved_model.pb"), "zip archive with a SavedModel: unpack it"),
    "cut.keras": (zipped("config.json", "model.weights.h5")[:40], "archive that is cut short"),
    "other.zip": (zipped("a.txt"), "is a zip archive: unpack it"),
    "a.npy": (saved(np.save, np.ones(3)), r"NumPy array \(\.npy\)"),
    "a.npz": (saved(np.savez, np.ones(3)), r"NumPy arrays \(\.npz\)"),
    "m.tar": (tarred(), "is a tar archive: unpack it"),
    "w.safetensors": (len(HEADER).to_bytes(8, "little") + HEADER + bytes(4), "safetensors"),
    "m.pth": (pickle.dumps([1, 2]), "is pickled Python objects"),
    "m.xml": (b'<?xml version="1.0"?>\n<net name="m" version="11">', "is an OpenVINO model"),
    "model.json": (b'{"modelTopology": {}}', r"is a TensorFlow\.js model"),
    "arch.json": (b'{"class_name": "Functional", "config": {}}', "architecture of a Keras model"),
    "w.weights.h5": (
        b"\x89HDF\r\n\x1a\n" + bytes(99),
        r"weights of Keras \(HDF5\): build the model",
    ),
    "picture.pb": (b"\x89PNG\r\n\x1a\n", "is a picture"),
}


@pytest.mark.parametrize("name", list(CONTENTS))
def test_contents(tmp_path, name):
    content, said = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    freeze = lambda path: fh.freeze_files(path, str(tmp_path / "out.pb"), ["y"])  # noqa: E731
    for read in (fh.inspect, fh.load_frozen, freeze):
        with pytest.raises(fh.InvalidFileError, match=said) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path} is ")
    assert not (tmp_path / "out.pb").exists()


TRAINED = {
    "m.pbtxt": r"is a graph as text \(\.pbtxt\): fh\.freeze_files",
    "m.pb.json": r"is the description of a frozen file: that is .*m\.pb$",
    "run/model.ckpt.meta": "is a MetaGraphDef, of the checkpoint beside it",
    "run/model.ckpt.index": r"is a part of a checkpoint: .*prefix, '.*model\.ckpt'",
    "run/model.ckpt.data-00000-of-00001": r"is a part of a checkpoint: .*model\.ckpt'",
    "run/checkpoint": "is the list of a directory's checkpoints",
    "saved/3/saved_model.pb": "is a SavedModel's graph: give its directory, '.*3'",
    "run": "is a directory of checkpoints: give it to fh.freeze_checkpoint",
    "saved": r"is a directory of SavedModels: give one, '.*3'",
    "saved/3": r"is a SavedModel's directory: give it to fh.freeze_saved_model",
    "": r"is a directory, but must be a file: it has m\.pb",
}


@pytest.mark.parametrize("name", list(TRAINED))
def test_what_tensorflow_writes(trained, name):
    for read in (fh.inspect, fh.load_frozen):
        with pytest.raises(fh.InvalidFileError, match=TRAINED[name]):
            read(trained / name)


def test_what_freeze_files_cannot_take(trained, tmp_path):
    out = str(tmp_path / "out.pb")
    for name in ("m.pb.json", "saved/3/saved_model.pb", "run/checkpoint", "saved", ""):
        with pytest.raises(fh.FreezeError, match=TRAINED[name]):
            fh.freeze_files(trained / name, out, ["y"])
    (tmp_path / "none").mkdir()
    with pytest.raises(fh.FreezeError, match="none is an empty directory"):
        fh.freeze_files(tmp_path / "none", out, ["y"])
    with pytest.raises(fh.FreezeError, match=r"m\.pbtxt is a graph as text"):
        fh.freeze_checkpoint(trained / "m.pbtxt", out, ["y"])
    with pytest.raises(fh.FreezeError, match=r"no SavedModel .* is a directory of checkpoints"):
        fh.freeze_saved_model(trained / "run", out)
    fh.freeze_files(trained / "m.pbtxt", out, ["y"])
    assert fh.load_frozen(out)([[1.0, 2.0]])["y"].shape == (1, 2)
    for name in ("run", "saved/3", "run/model.ckpt.meta", "run/model.ckpt"):
        fh.freeze_files(trained / name, out, ["y"])


def test_a_checkpoint_of_objects_has_no_graph(tmp_path):
    variable = tf.Variable(1.0)
    if TF1:
        with v1.Session() as session:
            session.run(variable.initializer)
            path = tf.train.Checkpoint(v=variable).save(str(tmp_path / "ck"), session=session)
    else:
        path = tf.train.Checkpoint(v=variable).save(str(tmp_path / "ck"))
    freezes = [lambda out: fh.freeze_checkpoint(path, out, ["y"])]
    freezes += [lambda out: fh.freeze_files(tmp_path, out, ["y"])]
    for freeze in freezes:
        with pytest.raises(fh.FreezeError, match=r"objects .* has no graph: restore it into its"):
            freeze(str(tmp_path / "out.pb"))


def test_a_checkpoint_whose_meta_file_is_gone(trained, tmp_path):
    for part in ("index", "data-00000-of-00001"):
        content = (trained / "run" / f"model.ckpt.{part}").read_bytes()
        (tmp_path / f"model.ckpt.{part}").write_bytes(content)
    with pytest.raises(fh.FreezeError, match=r"no file '.*model\.ckpt\.meta'.* graph= says which"):
        fh.freeze_checkpoint(tmp_path / "model.ckpt", str(tmp_path / "out.pb"), ["y"])


def test_a_cut_file_is_still_cut(trained, tmp_path):
    whole = (trained / "m.pb").read_bytes()
    (tmp_path / "cut.pb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(fh.InvalidFileError, match=r"cut\.pb is truncated"):
        fh.inspect(tmp_path / "cut.pb")


@pytest.mark.skipif(not HAS_KERAS_3, reason="saves such files with Keras 3")
def test_what_keras_and_converters_write(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    model.save_weights(tmp_path / "w.weights.h5")
    model.export(str(tmp_path / "saved"), verbose=False)
    lite = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (tmp_path / "m.tflite").write_bytes(lite)
    expected = {
        "m.keras": r"is a Keras model \(\.keras\): load it with keras\.models\.load_model",
        "m.h5": r"is a Keras model \(HDF5\): load it with keras\.models\.load_model",
        "w.weights.h5": r"is weights of Keras \(HDF5\): build the model",
        "saved": "is a SavedModel's directory",
        "m.tflite": "is a TensorFlow Lite model: freeze the model that it was converted from",
    }
    for name, said in expected.items():
        with pytest.raises(fh.InvalidFileError, match=said):
            fh.inspect(tmp_path / name)
    loaded = keras.models.load_model(tmp_path / "m.keras")
    fh.freeze_keras_model(loaded, str(tmp_path / "m.pb"))
    x = np.ones((1, 4), np.float32)
    (answer,) = fh.load_frozen(tmp_path / "m.pb")(x).values()
    np.testing.assert_allclose(answer, model.predict(x, verbose=0), 1e-6)


@pytest.mark.skipif(not importlib.util.find_spec("rich"), reason="needs the extra 'cli'")
def test_the_command_says_so(trained):
    for name in ("saved/3", "m.pbtxt"):
        command = ["-m", "freeze_hooks.cli", "inspect", trained / name]
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(fh.__file__))}
        run = started.run(command, env=environment, fails=True)
        lines = run.stderr.splitlines()
        assert run.returncode == 2 and lines[-1].startswith("freeze-hooks inspect: ")
        assert ("SavedModel's directory" if name == "saved/3" else "graph as text") in lines[-1]
