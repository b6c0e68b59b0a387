"""Real files, broken at random, in a separate process: reading must end, with our errors only.

`FUZZ=200000 pytest tests/attacks/test_fuzz.py` tries 200,000 files. Failing files are kept; the
output names them.
"""

import os

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from attacks.fuzzing import Fuzzer, broken, change
from attacks.reader import Reader
from attacks.seeds import Seeds

COUNT = int(os.environ.get("FUZZ", "5000"))
WEIGHTS = {
    "frozen": 8,
    "meta": 5,
    "text": 1,
    "index": 1,
    "entry": 2,
    "v1": 1,
    "saved_model": 2,
    "saved_model_2": 1,
    "state": 1,
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return Seeds(str(tmp_path_factory.mktemp("seeds")))


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


@pytest.fixture
def fuzzer(seeds, tmp_path, reader):
    return Fuzzer(seeds, tmp_path, reader)


def test_files_as_they_are(seeds, fuzzer):
    for name, (data, doors) in seeds.files.items():
        for door in doors:
            fuzzer.try_one(name, door, data)
    assert fuzzer.failures == [] and set(fuzzer.tried) == {"read"}, fuzzer.tried


@pytest.mark.parametrize("name", WEIGHTS)
def test_broken_at_random(seeds, fuzzer, name):
    if name not in seeds.files:
        pytest.skip("TensorFlow 1 writes none")
    data, doors = seeds.files[name]

    @settings(
        max_examples=COUNT * WEIGHTS[name] // sum(WEIGHTS.values()),
        derandomize="FUZZ" not in os.environ,
        phases=(Phase.generate,),
    )
    @given(st.lists(change, min_size=1, max_size=4), st.sampled_from(doors))
    def attempt(changes, door):
        fuzzer.try_one(name, door, broken(data, changes))

    attempt()
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried.get("refused") or name == "state"
