"""docs/file-format.md: its reader, which knows nothing of the package, reads the files."""

import glob
import json
import os
import re

import numpy as np
import pytest
from frozen_files import constants
from places import ROOT, TESTS

import freeze_hooks as fh

DATA = os.path.join(TESTS, "data", "v0.1.0")
FILES = sorted(glob.glob(os.path.join(DATA, "**", "*.pb"), recursive=True))
with open(os.path.join(ROOT, "docs", "file-format.md"), encoding="utf-8") as page:
    PAGE = page.read()


@pytest.fixture(scope="module")
def read():
    """The page's function, without the program that shows it."""
    (block,) = re.findall(r"```python\n(import json\n.*?)\n\n\ndescription, ", PAGE, re.DOTALL)
    names = {}
    exec(block, names)
    return names["read"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: os.path.relpath(path, DATA))
def test_the_reader(path, read):
    description, arrays = read(path)
    assert description == fh.inspect(path).metadata
    expected = constants(path)
    assert set(arrays) == set(expected)
    found = {name: value for name, value in arrays.items() if value is not None}
    assert found
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])
        assert value.dtype == expected[name].dtype


def test_each_cut_is_told(tmp_path, read):
    with open(os.path.join(DATA, "tensorflow-2.21", "session", "best.pb"), "rb") as file:
        whole = file.read()
    cut = tmp_path / "cut.pb"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError):
            read(str(cut))


def keys(value):
    """The keys of objects at whatever depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_the_page_names_each_field():
    told = set(re.findall(r"`(\w+)`|\"(\w+)\":", PAGE))
    told = {one or other for one, other in told}
    written = set()
    for path in glob.glob(os.path.join(DATA, "**", "*.pb.json"), recursive=True):
        with open(path) as file:
            written |= keys({**json.load(file), "metrics": {}})
    for path in glob.glob(os.path.join(DATA, "**", "frozen_state.json"), recursive=True):
        with open(path) as file:
            written |= {key for entry in json.load(file).values() for key in entry}
    assert len(written) > 12 and written <= told
