"""Programs that are killed while they save: every file is whole, and the next program goes on.

    CRASHES=1000 CRASHES_LARGE=50 pytest tests/integration/test_crash.py

kills as many of them, instead of the 30 of a plain run, and as many whose model has 500 MB, of
which a plain run has none; these want some GB of memory, and of the disk that --basetemp is on.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import xxhash
from answering import Program
from crashes import crash
from frozen_files import constants
from places import PROGRAMS

import freeze_hooks as fh

v1 = tf.compat.v1
KINDS = ["hook", "hook_background", "background", "foreground"]
EACH = -(-int(os.environ.get("CRASHES", "30")) // len(KINDS))
EACH_LARGE = -(-int(os.environ.get("CRASHES_LARGE", "0")) // len(KINDS))
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def programs():
    with Program("crashing.py") as program:
        yield program


def assert_whole(path):
    """It has its checkpoint's values, or else the hash that was noted of it."""
    report = fh.inspect(path)
    step = report.metadata["step"]
    prefix = os.path.join(os.path.dirname(path), f"model.ckpt-{step}")
    if os.path.exists(prefix + ".index"):
        reader, found = v1.train.NewCheckpointReader(prefix), constants(path)
        for name in {"w", "v", "table"} & set(found):
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


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_it_saves(programs, kind, tmp_path):
    kill_and_look(programs, kind, str(tmp_path), EACH)


@pytest.mark.parametrize("place", ["after", "before"])
def test_killed_as_a_file_gets_its_name(place, tmp_path):
    """The file that nothing is noted of any more goes in its turn, as the others do."""

    def run(*arguments):
        program = os.path.join(PROGRAMS, "killed_at_rename.py")
        return subprocess.run([sys.executable, program, str(tmp_path), *arguments]).returncode

    def files():
        return sorted(int(p.stem.split("-")[1]) for p in tmp_path.glob("*.pb"))

    assert run("1", "3", place) == -signal.SIGKILL
    left = [1, 2, 3] if place == "after" else [1, 2]
    assert files() == left
    assert run("4", "4", "never") == 0
    assert files() == [*left[-1:], 4]
    assert run("5", "6", "never") == 0
    assert files() == [5, 6]
    assert len(list(tmp_path.glob("*.pb.json"))) == 2 and not list(tmp_path.glob(".*.tmp"))
    for step in (5, 6):
        np.testing.assert_array_equal(constants(tmp_path / f"model-{step}.pb")["step"], [step] * 3)


@pytest.mark.skipif(not EACH_LARGE, reason="takes long; CRASHES_LARGE=50 has it run")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_it_saves_a_large_model(programs, kind, tmp_path):
    directory = tmp_path / "large"
    directory.mkdir()
    try:
        kill_and_look(programs, kind, str(directory), EACH_LARGE, 500, 5)
    finally:
        shutil.rmtree(str(directory))


def kill_and_look(programs, kind, directory, times, megabytes=0, longest=0.3):
    """Kill one training after the other, which goes on from what the one before left."""
    chance, proofs, best = random.Random(kind), [], None
    for _ in range(times):
        crash(programs, kind, directory, megabytes, chance.uniform(0, longest))
        names = os.listdir(directory)
        proofs += [assert_whole(os.path.join(directory, n)) for n in names if n.endswith(".pb")]
        assert_state(directory)
        assert sum(name.endswith(".tmp") for name in names) <= 4  # those of this time alone
        own = "best.best.pb" if kind.startswith("hook") else "best.pb"
        loss = fh.inspect(os.path.join(directory, own)).metadata["metrics"]["loss"]
        assert best is None or loss <= best
        best = loss
    assert {"checkpoint", "hash"} & set(proofs)
    assert proofs.count("alone") < len(proofs) / 2
    print(kind, times, {proof: proofs.count(proof) for proof in set(proofs)})
