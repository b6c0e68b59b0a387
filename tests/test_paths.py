"""Paths as users write them."""

import pathlib

import pytest
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1


@pytest.mark.parametrize("kind", [str, pathlib.Path, str.encode, "~"], ids=str)
def test_a_path_of_any_kind(kind, graph, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    given = "~/m.pb" if kind == "~" else kind(str(tmp_path / "m.pb"))
    tf.identity(v1.placeholder(tf.float32, [2], name="x"), name="y")
    with v1.Session() as session:
        assert fh.freeze_session(session, given, ["y"]).path == str(tmp_path / "m.pb")
        with pytest.raises(fh.FreezeError, match="is a directory: give the file's name too"):
            fh.freeze_session(session, str(tmp_path) + "/", ["y"])
