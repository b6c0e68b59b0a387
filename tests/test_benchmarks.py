"""The comparison of two runs of the benchmark, as a release makes it."""

import json
import pathlib
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parent.parent / "benchmarks"

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
