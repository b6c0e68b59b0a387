"""Functions with which all parts of the benchmark measure; they do not need TensorFlow."""

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
# A peer with calls of over SLOW seconds gets fewer turns; the tables give the number.
SLOW, SLOW_TURNS = 20, 2
ENV = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONPATH": os.path.dirname(HERE),
}


def take_turns(calls, rounds, between):
    """Return the seconds of each peer, {name: {"first": seconds, "later": [seconds]}}.

    Args:
      calls: {name: function that returns its seconds}. The order rotates with each round.
      rounds: number of calls of each function after its first.
      between: called before each call, to make the disk idle.
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
    """Call `module.function(**arguments)` in a separate process; arguments and result are JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, os.path.abspath(__file__), module, function]
        command += [json.dumps(arguments), out.name]
        subprocess.check_call(command, env=dict(os.environ, **ENV))
        return json.load(out)


class Folder:
    """A directory for the written files, which is emptied before each turn."""

    def __init__(self, parent):
        self.path = tempfile.mkdtemp(dir=parent)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name):
        """Return the path of a file in it."""
        return os.path.join(self.path, name)

    def clean(self):
        """Delete the written files, and wait until the disk is idle."""
        for name in os.listdir(self.path):
            path = self.file(name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        gc.collect()
        os.sync()

    def sync(self):
        """Wait until all its files are on disk."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    os.fsync(file.fileno())

    def raw(self, size):
        """Write `size` bytes in blocks of 8 MiB from one buffer, and return the seconds."""
        pieces = blocks(size)
        return timed(lambda: write(self.file("raw"), pieces))


def blocks(size):
    """Return `size` bytes, as blocks of 8 MiB of one buffer."""
    block = memoryview(os.urandom(BLOCK))
    whole, rest = divmod(size, BLOCK)
    return [block] * whole + [block[:rest]]


def write(path, pieces):
    """Write buffers to a file, and sync it to disk."""
    with open(path, "wb", buffering=0) as file:
        for piece in pieces:
            view = memoryview(piece)
            while view:  # Linux writes at most 2 GiB in one call
                view = view[file.write(view) :]
        os.fsync(file.fileno())


def timed(call):
    """Return the wall seconds of `call()`."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory(field):
    """Return VmRSS or VmHWM of this process, in MiB."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024.0
    raise KeyError(field)


def peak(call):
    """Return the peak growth of resident memory during `call()`, in MiB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # resets the high-water mark to the current value
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before


if __name__ == "__main__":  # see `apart`
    MODULE, FUNCTION, ARGUMENTS, OUT = sys.argv[1:]
    RESULT = getattr(__import__(MODULE), FUNCTION)(**json.loads(ARGUMENTS))
    with open(OUT, "w") as OPENED:
        json.dump(RESULT, OPENED)
