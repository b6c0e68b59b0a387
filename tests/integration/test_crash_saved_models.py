"""Programs that are killed while they save SavedModels: each directory that is there is whole.

    CRASHES=200 pytest -s tests/integration/test_crash_saved_models.py

kills as many of them, half of those that write a new directory each time, and half of those that
replace one. A plain run kills 10.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from answering import Program
from crashes import crash
from places import PROGRAMS
from saved_directories import TEMPORARY, assert_complete, left_over

v1 = tf.compat.v1
# What `variables=` of fh.SavedModel may be; for each, trainings are killed.
WAYS = {"plain": [False, True, "link"], "exchanged": [False, True]}
KINDS = [(way, variables) for way, choices in WAYS.items() for variables in choices]
CRASHES = int(os.environ.get("CRASHES", "10"))
LONGEST = 0.4  # seconds between the first files and the kill
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def programs():
    with Program("crashing.py") as program:
        yield program


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """A function that returns values of a SavedModel, as TensorFlow's own loader gives them."""
    out = str(tmp_path_factory.mktemp("loaded") / "values.npz")
    with Program("loading.py") as loader:

        def values(path, *names):
            loader.ask(json.dumps({"path": path, "names": names, "out": out}))
            assert loader.answer() == "ok", path
            with np.load(out) as found:
                return dict(found)

        yield values


def saved_models(directory):
    """The paths of all SavedModels at final names, in the order of their steps."""
    found = []
    for where, inner, _ in os.walk(directory):
        inner[:] = [name for name in inner if not TEMPORARY.match(name)]
        found += [os.path.join(where, name) for name in inner if _is_final(name)]
        inner[:] = [name for name in inner if not _is_final(name)]
    return sorted(found, key=lambda path: (len(path), path))


def _is_final(name):
    return name.isdigit() or name == "model" or name.endswith(".saved_model")


def assert_values_of_step(load, path, directory):
    """It has the values of its step: of the table, and of the checkpoint if that is there."""
    step = assert_complete(path)["step"]
    values = load(path, "table", "w", "v")
    assert (values["table"] == step).all(), path
    prefix = os.path.join(directory, f"model.ckpt-{step}")
    has_checkpoint = os.path.exists(prefix + ".index")
    if has_checkpoint:
        reader = v1.train.NewCheckpointReader(prefix)
        for name in ("w", "v"):
            assert values[name].tobytes() == reader.get_tensor(name).tobytes(), (path, name)
    named = re.match(r"(?:model\.ckpt-)?(\d+)", os.path.basename(path))
    assert int(named.group(1)) == step
    return step, has_checkpoint


def assert_state(directory):
    """It names what is there, and there is nothing that it does not name."""
    with open(os.path.join(directory, "frozen_state.json")) as file:
        state = json.load(file)
    noted, coming = set(), set()
    for own in state.values():
        noted |= set(own.get("files", ()))
        coming |= {*own.get("coming", ()), *own.get("leaving", ())}
    there = {name for name in os.listdir(directory) if _is_final(name)} - {"latest.saved_model"}
    there = {name for name in there if os.path.isdir(os.path.join(directory, name))}
    assert noted <= there, directory
    assert there <= noted | coming, directory


def times(way, variables):
    """How many kills are this kind's part."""
    choices, half = WAYS[way], CRASHES // len(WAYS)
    place = choices.index(variables)
    return half * (place + 1) // len(choices) - half * place // len(choices)


def killed(programs, way, variables, directory, more):
    """Kill one training after the other, and yield after each; each goes on from the one before.

    `more` are further options of the program, which the caller may change meanwhile.
    """
    chance, before = random.Random(f"{way} {variables}"), set()
    for number in range(times(way, variables)):
        options = {"variables": variables, "background": bool(number % 2), **more}
        crash(programs, way, directory, json.dumps(options), chance.uniform(0, LONGEST))
        left = left_over(directory)
        assert not before & left, "the next training sweeps what a kill has left"
        before = left
        yield left


@pytest.mark.parametrize("variables", WAYS["plain"])
def test_killed_while_it_saves_new_ones(programs, load, variables, tmp_path):
    directory, newest, looked, compared, left = str(tmp_path), -1, 0, 0, 0
    served = os.path.join(directory, "served")
    best = os.path.join(directory, "best", "best")
    for names in killed(programs, "plain", variables, directory, {}):
        found = [assert_values_of_step(load, p, directory) for p in saved_models(directory)]
        assert max(step for step, _ in found) > newest
        newest = max(step for step, _ in found)
        for place in (directory, served, best):
            assert_state(place)
        assert len(saved_models(served)) <= 3 and len(saved_models(best)) <= 3
        link = os.path.join(served, "latest")
        assert os.readlink(link).isdigit()
        assert_complete(link)
        looked, compared = looked + len(found), compared + sum(has for _, has in found)
        left += len(names)
    print(f"plain, {variables}: {looked} SavedModels, {compared} beside checkpoints, {left} left")
    assert compared


@pytest.mark.parametrize("variables", WAYS["exchanged"])
def test_killed_while_it_replaces_one(programs, load, variables, tmp_path):
    directory, more, left = str(tmp_path), {"epoch": 0}, 0
    path = os.path.join(directory, "model")
    for names in killed(programs, "exchanged", variables, directory, more):
        assert saved_models(directory) == [path]
        assert_complete(path)
        values = load(path, "table/embeddings", "probs/kernel")
        table, kernel = values["table/embeddings"], values["probs/kernel"]
        now = int(table[0, 0])
        assert (table == [now, *kernel.ravel()[:7]]).all()
        assert now >= more["epoch"]
        more["epoch"], left = now + 1, left + len(names)
    print(f"exchanged, {variables}: {more['epoch']} epochs, {left} left")


@pytest.mark.parametrize("variables", WAYS["exchanged"])
@pytest.mark.parametrize("place", ["before", "after", "aside"])
def test_killed_as_one_takes_the_place_of_another(load, place, variables, tmp_path):
    """Where a system cannot exchange directories, the old one steps "aside" first."""
    path = str(tmp_path / "model.saved_model")

    def run(first, last, place):
        program = os.path.join(PROGRAMS, "killed_at_exchange.py")
        start = [sys.executable, program, str(tmp_path), str(first), str(last), place]
        return subprocess.run([*start, json.dumps(variables)]).returncode

    assert run(1, 3, place) == -signal.SIGKILL
    assert len(left_over(str(tmp_path))) == (2 if place == "aside" else 1)
    assert saved_models(str(tmp_path)) == [] if place == "aside" else [path]
    if place != "aside":
        assert assert_complete(path)["step"] == (3 if place == "after" else 2)
    assert run(4, 4, "before") == -signal.SIGKILL  # but the start has put right what was wrong
    assert len(left_over(str(tmp_path))) == 1
    assert assert_complete(path)["step"] == (3 if place == "after" else 2)
    assert run(5, 5, "never") == 0
    assert not left_over(str(tmp_path)) and assert_complete(path)["step"] == 5
    assert (load(path, "step")["step"] == [5] * 3).all()
