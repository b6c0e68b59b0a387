"""Breaks files at random, and gives them to the readers in another process."""

from hypothesis import strategies as st

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
    """Tries files; `failures` names those kept in a directory, and says what happened.

    Args:
      seeds: `task(name, data, directory)` writes a broken file, and returns the reader's arguments:
        with "named", a text that each refusal must have. `keep(data, path)` writes it again.
      directory: where.
      reader: the Reader.
    """

    def __init__(self, seeds, directory, reader):
        self.failures = []
        self.tried = {}
        self.peak = 0  # MB of the process that reads
        self._seeds = seeds
        self._directory = directory
        self._reader = reader

    def try_one(self, name, door, data):
        if len(self.failures) >= MOST:
            return
        task = self._seeds.task(name, data, str(self._directory))
        answer = self._reader(door, **task)
        outcome = answer["outcome"]
        self.peak = max(self.peak, answer["peak"])
        if outcome == "refused" and task.get("named", "") not in answer["said"]:
            outcome = "refused without a name"
        self.tried[outcome] = self.tried.get(outcome, 0) + 1
        if outcome not in ("read", "refused"):
            kept = str(self._directory / f"failed-{len(self.failures)}-{name}-{door}")
            self._seeds.keep(data, kept)
            self.failures.append((kept, outcome, answer["said"][-800:]))
        if sum(self.tried.values()) % FRESH == 0:
            self._reader.close()

    def told(self):
        """What failed, as text."""
        return "\n\n".join(map("{0[0]}: {0[1]}\n{0[2]}".format, self.failures))
