"""Paths as users write them."""

import os
import pathlib

import pytest
import tensorflow as tf
from fitting import KERASES, classifier, fit, keras_of

import freeze_hooks as fh

v1 = tf.compat.v1
KINDS = pytest.mark.parametrize("kind", [str, pathlib.Path, str.encode, "~"], ids=str)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return str(tmp_path)


def spelled(kind, directory, name):
    return "~/" + name if kind == "~" else kind(os.path.join(directory, name))


@KINDS
def test_of_a_session(kind, graph, home):
    given = spelled(kind, home, "m.pb")
    tf.identity(v1.placeholder(tf.float32, [2], name="x"), name="y")
    with v1.Session() as session:
        path = fh.freeze_session(session, given, ["y"]).path
        assert path == os.path.join(home, "m.pb")
        assert list(fh.load_frozen(given).inputs) == ["x"]
        assert fh.inspect(given).signature.inputs[0].name == "x"
        with pytest.raises(fh.FreezeError, match="names no file: say one"):
            fh.freeze_session(session, home + "/", ["y"])
    assert sorted(os.listdir(home)) == ["m.pb", "m.pb.json"]


@KINDS
@pytest.mark.parametrize("name", KERASES)
def test_of_a_keras_model(kind, name, home):
    model = classifier(keras_of(name))
    callback = fh.FreezeCallback(spelled(kind, home, "c.pb"), save_freq="epoch", strict=True)
    fit(model, callbacks=[callback])
    assert [artifact.path for artifact in callback.artifacts] == [os.path.join(home, "c.pb")]
    path = fh.freeze_keras_model(model, spelled(kind, home, "m.pb")).path
    assert path == os.path.join(home, "m.pb")
