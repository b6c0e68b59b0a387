"""TensorFlow.js, from npm: the package, and what a model answers in it."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile

import numpy as np
import pytest
from places import PROGRAMS

VERSION = "4.22.0"
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
PATIENCE = 600  # seconds


def node_modules():
    """The directory node_modules with @tensorflow/tfjs, which is installed once a machine.

    A test without npm is skipped, but in CI, which must run it.
    """
    if not (shutil.which("npm") and shutil.which("node")):
        assert "CI" not in os.environ, "npm and node are to be installed for the tests"
        pytest.skip("there is no npm on this machine")
    place = os.path.join(CACHE, "freeze_hooks", f"tfjs-{VERSION}")
    if not os.path.isdir(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        fresh = tempfile.mkdtemp(dir=os.path.dirname(place))
        command = ["npm", "install", "--prefix", fresh, "--no-audit", "--no-fund", "--loglevel"]
        command += ["error", f"@tensorflow/tfjs@{VERSION}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(fresh, place)
        shutil.rmtree(fresh, ignore_errors=True)
    return os.path.join(place, "node_modules")


def answers(directory, feeds, outputs, sync=False):
    """{output: array} of a model by its signature's names, in a process of node.

    `sync` calls execute(), which graphs with control flow do not allow.
    """
    modules = node_modules()
    with tempfile.TemporaryDirectory() as tmp:
        task = os.path.join(tmp, "task.json")
        told = {name: _told(np.asarray(value)) for name, value in feeds.items()}
        asked = {"model": str(directory), "feeds": told, "outputs": list(outputs), "sync": sync}
        with open(task, "w") as file:
            json.dump(asked, file)
        done = subprocess.run(
            ["node", os.path.join(PROGRAMS, "run_tfjs.js"), task],
            capture_output=True,
            env={**os.environ, "NODE_PATH": modules},
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    found = json.loads(done.stdout.decode())
    assert found["version"] == VERSION
    return {
        name: np.array(given["data"], given["dtype"]).reshape(given["shape"])
        for name, given in found["answers"].items()
    }


def _told(array):
    dtype = {"f": "float32", "i": "int32", "u": "int32", "b": "bool"}[array.dtype.kind]
    return {"dtype": dtype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}


def apart(found, wanted):
    """The greatest difference of two arrays, relative to the greatest number of the second."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(1e-30, np.abs(wanted).max()))
