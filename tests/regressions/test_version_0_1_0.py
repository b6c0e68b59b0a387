"""Files of version 0.1.0 can be read, and trainings that it began continue."""

import glob
import importlib.util
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import xxhash
from click.testing import CliRunner
from places import TESTS
from small import assert_bit_equal

import freeze_hooks as fh
from freeze_hooks.cli.group import commands

v1 = tf.compat.v1
DATA = os.path.join(TESTS, "data", "v0.1.0")
WRITERS = ("tensorflow-1.15", "tensorflow-2.21")
FILES = sorted(
    os.path.relpath(path, DATA)
    for path in glob.glob(os.path.join(DATA, "**", "*.pb"), recursive=True)
)


def loaded():
    """The module make.py, which has the trainings."""
    spec = importlib.util.spec_from_file_location("make_v0_1_0", os.path.join(DATA, "make.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = loaded()


@pytest.fixture(params=WRITERS)
def old(request, tmp_path, monkeypatch):
    """Work in a copy of the directory that one version of TensorFlow wrote."""
    directory = str(tmp_path / "old")
    shutil.copytree(os.path.join(DATA, request.param), directory)
    monkeypatch.chdir(directory)
    return directory


def frozen(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith(".pb"))


def state(directory):
    with open(os.path.join(directory, "frozen_state.json")) as file:
        return json.load(file)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def answer(path):
    with fh.load_frozen(path) as model:
        return model(x=MAKE.ROWS)


def test_there_are_files_of_each_writer():
    assert len(FILES) == 2 * 16


@pytest.mark.parametrize("file", FILES)
def test_the_description_in_a_file_is_that_beside_it(file):
    path = os.path.join(DATA, file)
    report = fh.inspect(path)
    assert report.metadata["versions"]["freeze_hooks"] == "0.1.0"
    assert [info.name for info in report.signature.inputs] == ["x"]
    assert not report.findings and not report.side_effects
    if os.path.basename(path) == "latest.pb":
        return
    beside = json.loads(content(path + ".json").decode())
    digest = beside.pop("hash")
    assert digest["algorithm"] == "xxh3_64"
    assert digest["value"] == xxhash.xxh3_64(content(path)).hexdigest()
    assert dict(report.metadata) == beside
    numbered = re.search(r"-(\d+)\.pb", file)
    if numbered:
        assert report.metadata["step"] == int(numbered.group(1))


def test_files_answer_as_their_sessions_did(old):
    with open("alone/answers.json") as file:
        expected = json.load(file)
    assert {f"{name}.pb" for name in expected} == set(frozen("alone"))
    for name, told in expected.items():
        got = answer(f"alone/{name}.pb")["y"]
        if name == "words":
            assert got.astype(str).tolist() == told
        else:
            np.testing.assert_allclose(got, told, atol=1e-3 if name == "half" else 1e-6)


def test_files_hold_their_checkpoints_values(old):
    for path in glob.glob("s*/*-[1-9]*.pb"):
        assert_bit_equal(path, path[: -len(".pb")], 3)
        reader = v1.train.NewCheckpointReader(path[: -len(".pb")])
        w, v, b = (reader.get_tensor(name) for name in ("hidden/w", "out/v", "out/b"))
        logits = np.maximum(MAKE.ROWS @ w, 0) @ v + b
        probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(answer(path)["probs"], probs, atol=1e-6)


def test_the_command_verifies_them(old):
    path = "session/model.ckpt-40.pb"
    for against in ("session/model.ckpt-40", "session/own/model-40.pb"):
        result = CliRunner().invoke(commands, ["verify", path, "--against", against])
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(commands, ["verify", path, "--against", "session/model.ckpt-20"])
    assert result.exit_code == 1


def test_a_session_s_training_goes_on(old):
    best = content("session/best.pb")
    every, only_best, scheduled = MAKE.session_training("session", 50)
    assert frozen("session") == [
        "best.pb", "latest.pb", "model.ckpt-30.pb", "model.ckpt-40.pb", "model.ckpt-50.pb"
    ]  # fmt: skip
    assert frozen("session/own") == ["model-40.pb", "model-50.pb"]
    # 0.55 does not beat 0.1.0's 0.5
    assert content("session/best.pb") == best and not only_best.artifacts
    assert state("session")[""]["best"] == {"loss": 0.5}
    assert content("session/latest.pb") == content("session/model.ckpt-50.pb")
    assert [artifact.step for artifact in every.artifacts] == [40, 50]
    assert [artifact.step for artifact in scheduled.artifacts] == [40, 50]
    for step in (30, 40, 50):
        prefix = f"session/model.ckpt-{step}"
        assert_bit_equal(prefix + ".pb", prefix, 3)

    MAKE.session_training("session", 60)
    assert fh.inspect("session/best.pb").metadata["step"] == 60
    assert state("session")[""]["best"] == {"loss": 0.4}
    assert sorted(state("session")[""]["files"]) == [
        f"model.ckpt-{step}.pb" for step in (40, 50, 60)
    ]


def test_the_best_value_is_known_by_the_file_alone(old):
    os.remove("session/frozen_state.json")
    best = content("session/best.pb")
    MAKE.session_training("session", 50)
    assert content("session/best.pb") == best


def test_a_loop_with_a_saver_goes_on(old):
    saver = MAKE.saver_training("saver", 40)
    assert frozen("saver") == ["loop.ckpt-30.pb", "loop.ckpt-40.pb"]
    assert not os.path.exists("saver/loop.ckpt-20.pb.json")
    assert [artifact.step for artifact in saver.artifacts] == [40]
    assert state("saver")[""]["files"] == {
        f"loop.ckpt-{step}.pb": f"loop.ckpt-{step}" for step in (30, 40)
    }


def test_a_fit_goes_on(old):
    np.testing.assert_allclose(
        answer("keras/03.pb")["probs"], np.load("keras/answers.npz")["probs"], atol=1e-6
    )
    best = content("keras/best.pb")
    MAKE.keras_training("keras", 3, 4)
    assert frozen("keras") == ["03.pb", "04.pb", "best.pb"]
    assert content("keras/best.pb") == best  # 0.7 does not beat 0.1.0's 0.8
    assert state("keras")["best.pb"]["best"] == {"score": 0.8}

    MAKE.keras_training("keras", 4, 5)
    assert frozen("keras") == ["04.pb", "05.pb", "best.pb"]
    assert content("keras/best.pb") != best
    assert state("keras")["best.pb"]["best"] == {"score": 0.9}
    np.testing.assert_allclose(
        answer("keras/best.pb")["probs"], np.load("keras/answers.npz")["probs"], atol=1e-6
    )
