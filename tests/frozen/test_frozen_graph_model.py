"""TF.js models of anybody: what is broken is refused before TensorFlow sees it."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1


@pytest.fixture
def model(graph, tmp_path):
    """The directory of a model with one weight of 48 bytes."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    tf.matmul(x, v1.get_variable("w", [4, 3]), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, str(tmp_path / "m"), ["y"], format="tfjs")
    return tmp_path / "m"


def change(model, act):
    path = model / "model.json"
    content = json.loads(path.read_text())
    act(content)
    path.write_text(json.dumps(content))


def weight(content):
    return content["weightsManifest"][0]["weights"][0]


CHANGES = {
    "layers": (lambda c: c.update(format="layers-model"), "'layers-model', and only"),
    "no format": (lambda c: c.pop("format"), "is a None"),
    "no graph": (lambda c: c.pop("modelTopology"), "truncated or broken"),
    "no node": (lambda c: c["modelTopology"].update(node="x"), "truncated or broken"),
    "no name": (lambda c: c["modelTopology"]["node"][0].pop("name"), "truncated or broken"),
    "no weights": (lambda c: c.update(weightsManifest=[]), "has no weight"),
    "a shape": (lambda c: weight(c).update(shape=[4, -3]), r"has the shape \[4, -3\]"),
    "terabytes": (lambda c: weight(c).update(shape=[1 << 40, 3]), "is truncated: weight 'w'"),
    "more bytes": (lambda c: weight(c).update(shape=[2, 3]), "has 48 bytes of weights"),
    "a dtype": (lambda c: weight(c).update(dtype="float8"), "has the dtype 'float8'"),
    "another dtype": (lambda c: weight(c).update(dtype="int32"), "differ in their dtypes"),
    "quantized": (
        lambda c: weight(c).update(quantization={"dtype": "uint8", "scale": 1, "min": 0}),
        "is quantized to 'uint8'",
    ),
    "a path": (
        lambda c: c["weightsManifest"][0].update(paths=["../secret.bin"]),
        "is not a file's name",
    ),
    "a description": (
        lambda c: c["userDefinedMetadata"]["freeze_hooks"]["signature"].pop("outputs"),
        "truncated or broken",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_broken_is_refused(name, model):
    act, says = CHANGES[name]
    (model.parent / "secret.bin").write_bytes(bytes(48))
    change(model, act)
    for read in (fh.inspect, fh.load_frozen):
        with pytest.raises(fh.InvalidFileError, match=says) as caught:
            read(str(model))
        assert str(model) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100000, "\udcff"])
def test_what_is_no_json(text, model):
    (model / "model.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(fh.InvalidFileError, match="truncated or broken"):
        fh.inspect(str(model))


def test_a_shard_is_cut(model):
    (name,) = (name for name in os.listdir(str(model)) if name.endswith(".bin"))
    whole = (model / name).read_bytes()
    (model / name).write_bytes(whole[:-1])
    with pytest.raises(fh.InvalidFileError, match="truncated: weight 'w' ends at byte 48 of 47"):
        fh.load_frozen(str(model))
    (model / name).unlink()
    with pytest.raises(OSError):
        fh.load_frozen(str(model))


def test_one_of_another_program(model):
    """Without a description: placeholders are the inputs, and what no node uses the outputs."""
    change(model, lambda content: content.pop("userDefinedMetadata"))
    with fh.load_frozen(str(model)) as found:
        assert list(found.inputs) == ["x"] and list(found.outputs) == ["y"]
        assert found(np.ones([1, 4], np.float32))["y"].shape == (1, 3)
