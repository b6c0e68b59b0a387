"""Real files, broken at random, in a separate process: reading must end, with our errors only.

`FUZZ=200000 pytest tests/attacks/test_fuzz.py` tries 200,000 files. Failing files are kept; the
output names them.
"""

import os

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

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
FRESH = 4000  # inputs per process: TensorFlow does not free all that it reads
MOST = 20  # failures, then the search ends

OPERATIONS = ("cut", "flip", "splice", "copy", "number", "drop")
change = st.tuples(
    st.sampled_from(OPERATIONS),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 20),
    st.integers(0, 255),
)
# The limits of the integer types that varints are read as
NUMBERS = tuple(
    bytes.fromhex(text)
    for text in (
        "00",
        "01",
        "7f",
        "ffffffff07",
        "ffffffff0f",
        "8080808010",
        "ffffffffffffffff7f",
        "ffffffffffffffffff01",
    )
)


def broken(data, changes):
    """Return a file with changes made to it; each is (operation, place, another place, byte)."""
    for operation, place, other, byte in changes:
        at, to = place % (len(data) + 1), other % (len(data) + 1)
        low, high = min(at, to), max(at, to)
        short = min(high, low + 64)
        if operation == "cut":
            data = data[:at]
        elif operation == "flip":
            data = data[:at] + bytes([byte]) + data[at + 1 :]
        elif operation == "splice":
            data = data[:at] + data[low:short] + data[at + short - low :]
        elif operation == "copy":
            data = data[:at] + data[low:short] + data[at:]
        elif operation == "drop":
            data = data[:low] + data[short:]
        else:
            end = at
            while end < len(data) - 1 and data[end] > 0x7F and end < at + 9:
                end += 1
            data = data[:at] + NUMBERS[byte % len(NUMBERS)] + data[end + 1 :]
    return data


class Fuzzer:
    """Tries files; `failures` names those kept in a directory, and says what happened."""

    def __init__(self, seeds, directory, reader):
        self.failures = []
        self.tried = {}
        self._seeds = seeds
        self._directory = directory
        self._reader = reader

    def try_one(self, name, door, data):
        if len(self.failures) >= MOST:
            return
        answer = self._reader(door, **self._seeds.task(name, data, str(self._directory)))
        self.tried[answer["outcome"]] = self.tried.get(answer["outcome"], 0) + 1
        if answer["outcome"] not in ("read", "refused"):
            kept = self._directory / f"failed-{len(self.failures)}-{name}-{door}"
            kept.write_bytes(data)
            self.failures.append((str(kept), answer["outcome"], answer["said"][-800:]))
        if sum(self.tried.values()) % FRESH == 0:
            self._reader.close()


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
    assert not fuzzer.failures, "\n\n".join(map("{0[0]}: {0[1]}\n{0[2]}".format, fuzzer.failures))
    assert fuzzer.tried.get("refused") or name == "state"
