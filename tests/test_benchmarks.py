"""The comparison of two runs of the benchmark, as a release makes it, and its targets."""

import json
import pathlib
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

from ratios import holds  # noqa: E402
from ratios import ratios as ratios_of  # noqa: E402

RECORDED = {
    "embedding, a later save / raw write": {"value": 1.0, "better": "lower"},
    "embedding, converter / a later save": {"value": 12.0, "better": "higher"},
}


def compared(directory, **values):
    """(exit status, what is printed) of compare.py, with some ratios at other values."""
    new = {
        name: dict(ratio, value=values[ratio["better"]])
        for name, ratio in RECORDED.items()
        if ratio["better"] in values
    }
    paths = []
    for name, ratios in (("recorded.json", RECORDED), ("new.json", new)):
        paths.append(directory / name)
        paths[-1].write_text(json.dumps({"ratios": ratios}))
    command = [sys.executable, str(BENCHMARKS / "compare.py"), *map(str, paths)]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("lower, higher", [(1.24, 9.7), (0.1, 100.0)])
def test_what_is_better_or_nearly_as_good_passes(tmp_path, lower, higher):
    status, printed = compared(tmp_path, lower=lower, higher=higher)
    assert status == 0
    assert printed == "none of 2 ratios got worse by over 25 %\n"


@pytest.mark.parametrize("lower, higher, worse", [(1.26, 12, "raw write"), (1, 9.5, "converter")])
def test_what_got_worse_by_a_quarter_is_named_alone(tmp_path, lower, higher, worse):
    status, printed = compared(tmp_path, lower=lower, higher=higher)
    assert status == 1
    (line,) = printed.splitlines()
    assert worse in line


def test_what_was_not_measured_anew_is_named(tmp_path):
    status, printed = compared(tmp_path, lower=1.0)
    assert status == 1
    assert "converter / a later save: 12 before, not measured now" in printed


def test_a_run_is_as_good_as_itself(tmp_path):
    ratios = {
        f"{better} {value}": {"value": value, "better": better}
        for better in ("lower", "higher")
        for value in (-1.0, 0.0, 1.0)
    }
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"ratios": ratios}))
    command = [sys.executable, str(BENCHMARKS / "compare.py"), str(path), str(path)]
    assert subprocess.call(command) == 0


def saved_models(**models):
    """The targets of a part `saved_model` with these medians, in seconds, by model and peer."""
    numbers = {
        name: {
            "file_mib": mib,
            "seconds": {peer: {"first": 1.0, "later": [s]} for peer, s in seconds.items()},
            "memory_mib": {"pb": 5.0, "constants": 6.0, "variables": memory},
        }
        for name, (mib, memory, seconds) in models.items()
    }
    found = ratios_of({"saved_model": {"models": numbers}})
    return {
        name.partition(": ")[2]: holds(ratio)
        for name, ratio in found.items()
        if ratio["target"] is not None
    }


def test_a_saved_model_may_cost_a_twentieth_more_than_a_pb():
    large = {"pb": 0.100, "constants": 0.104, "variables": 0.106, "raw": 0.1, "export": 2.2}
    small = {"pb": 0.004, "constants": 0.0059, "variables": 0.0061, "raw": 0.001}
    assert saved_models(keras_resnet50=(98, 40.0, large), digits=(0.2, 40.0, small)) == {
        "keras_resnet50, a SavedModel / a `.pb`": True,
        "keras_resnet50, one with variables=True / a `.pb`": False,
        "keras_resnet50, memory of a SavedModel beyond a `.pb` / weights": True,
        "keras_resnet50, memory of one with variables=True beyond a `.pb` / weights": False,
        "keras_resnet50, `model.export` / a SavedModel": True,
        "digits, milliseconds of a SavedModel beyond a `.pb`": True,
        "digits, milliseconds of one with variables=True beyond a `.pb`": False,
    }


def test_an_export_that_is_not_20_times_slower_misses_the_target():
    seconds = {"pb": 0.1, "constants": 0.1, "variables": 0.1, "raw": 0.1, "export": 1.9}
    held = saved_models(keras_resnet50=(98, 5.0, seconds))
    assert [name for name in held if not held[name]] == [
        "keras_resnet50, `model.export` / a SavedModel"
    ]
