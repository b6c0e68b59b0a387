"""What all parts of the benchmark measure with; nothing of it needs TensorFlow."""

import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
BLOCK = 8 * MIB
# A peer whose call takes longer than SLOW seconds has fewer turns; the tables tell how many.
SLOW, SLOW_TURNS = 20, 2
ENV = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONPATH": os.path.dirname(HERE),
}


def take_turns(calls, rounds, between):
    """Seconds of each peer, {name: {"first": seconds, "later": [seconds]}}.

    Args:
      calls: {name: function that returns its seconds}. Their order rotates from round to round.
      rounds: calls of each after its first.
      between: called before each, to put the disk at rest.
    """
    names, found = list(calls), {name: [] for name in calls}
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            if len(found[name]) > SLOW_TURNS and min(found[name]) > SLOW:
                continue
            between()
            found[name].append(calls[name]())
    return {name: {"first": times[0], "later": times[1:]} for name, times in found.items()}


def apart(module, function, **arguments):
    """`module.function(**arguments)` in a process of its own; all of it as JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, os.path.abspath(__file__), module, function]
        command += [json.dumps(arguments), out.name]
        subprocess.check_call(command, env=dict(os.environ, **ENV))
        return json.load(out)


class Folder:
    """A directory for what is measured, which is emptied before each turn."""

    def __init__(self, parent):
        self.path = tempfile.mkdtemp(dir=parent)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name):
        """The path of a file in it."""
        return os.path.join(self.path, name)

    def clean(self):
        """Deletes what was written and waits until the disk is at rest."""
        for name in os.listdir(self.path):
            path = self.file(name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        gc.collect()
        os.sync()

    def sync(self):
        """Waits until all its files are on disk."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    os.fsync(file.fileno())

    def raw(self, size):
        """Seconds that `size` bytes take, in blocks of 8 MiB from one buffer."""
        pieces = blocks(size)
        return timed(lambda: write(self.file("raw"), pieces))


def blocks(size):
    """`size` bytes, in blocks of 8 MiB from one buffer."""
    block = memoryview(os.urandom(BLOCK))
    whole, rest = divmod(size, BLOCK)
    return [block] * whole + [block[:rest]]


def write(path, pieces):
    """Puts buffers on disk as they are."""
    with open(path, "wb", buffering=0) as file:
        for piece in pieces:
            view = memoryview(piece)
            while view:  # Linux writes at most 2 GiB in one call
                view = view[file.write(view) :]
        os.fsync(file.fileno())


def timed(call):
    """Wall seconds of `call()`."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory(field):
    """VmRSS or VmHWM of this process, MiB."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024.0
    raise KeyError(field)


def peak(call):
    """How far `call()` takes resident memory above where it stood, MiB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts again at the present value
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before


if __name__ == "__main__":  # see `apart`
    MODULE, FUNCTION, ARGUMENTS, OUT = sys.argv[1:]
    RESULT = getattr(__import__(MODULE), FUNCTION)(**json.loads(ARGUMENTS))
    with open(OUT, "w") as OPENED:
        json.dump(RESULT, OPENED)
