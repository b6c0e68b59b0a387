"""Programs that are killed while they save: every file is whole, and the next program goes on.

    CRASHES=1000 pytest tests/test_crash.py

kills as many of them, instead of the 30 of a plain run.
"""

import json
import os
import random
import signal
import time

import pytest
import tensorflow as tf
import xxhash
from answering import Program
from conftest import constants

import freeze_hooks as fh

v1 = tf.compat.v1
EACH = int(os.environ.get("CRASHES", "30")) // 3
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def programs():
    with Program("crashing.py") as program:
        yield program


def crash(programs, kind, directory, seconds):
    """Start a training, and kill it so long after it began."""
    programs.ask(f"{kind} {directory}")
    child = int(programs.answer())
    assert programs.answer() == "begun"
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    while os.path.exists(f"/proc/{child}"):
        time.sleep(0.001)


def assert_whole(path):
    """It has its checkpoint's values, or else the hash that was noted of it."""
    report = fh.inspect(path)
    step = report.metadata["step"]
    prefix = os.path.join(os.path.dirname(path), f"model.ckpt-{step}")
    if os.path.exists(prefix + ".index"):
        reader, found = v1.train.NewCheckpointReader(prefix), constants(path)
        for name in ("w", "v"):
            assert found[name].tobytes() == reader.get_tensor(name).tobytes()
        return "checkpoint"
    if not os.path.exists(path + ".json"):  # it was killed before it noted anything of this one
        return "alone"
    with open(path + ".json") as file:
        noted = json.load(file)
    with open(path, "rb") as file:
        assert xxhash.xxh3_64(file.read()).hexdigest() == noted["hash"]["value"]
    return "hash"


def assert_state(directory):
    """It can be read, and names files that are there."""
    with open(os.path.join(directory, "frozen_state.json")) as file:
        state = json.load(file)
    for own in state.values():
        for name in own.get("files", ()):
            assert os.path.exists(os.path.join(directory, name)), name


@pytest.mark.parametrize("kind", ["hook", "background", "foreground"])
def test_killed_while_it_saves(programs, kind, tmp_path):
    chance, proofs, best = random.Random(kind), [], None
    directory = str(tmp_path)
    for _ in range(EACH):
        crash(programs, kind, directory, chance.uniform(0, 0.3))
        names = os.listdir(directory)
        proofs += [assert_whole(os.path.join(directory, n)) for n in names if n.endswith(".pb")]
        assert_state(directory)
        assert sum(name.endswith(".tmp") for name in names) <= 4  # those of this time alone
        own = "best.best.pb" if kind == "hook" else "best.pb"
        loss = fh.inspect(os.path.join(directory, own)).metadata["metrics"]["loss"]
        assert best is None or loss <= best
        best = loss
    assert {"checkpoint", "hash"} & set(proofs)
    assert proofs.count("alone") < len(proofs) / 2
    print(kind, EACH, {proof: proofs.count(proof) for proof in set(proofs)})
