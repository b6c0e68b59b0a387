"""What the tests share: a clean process to run frozen files in, and small training graphs."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, settings

v1 = tf.compat.v1
# A loaded machine stands still for longer than any deadline. With --hypothesis-profile=default,
# which has them, examples are new ones each time.
settings.register_profile(
    "unhurried",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("unhurried")


class CleanProcess:
    """Runs a frozen file's tensors in another process, which never imports freeze_hooks."""

    def __init__(self, directory):
        self._directory = directory
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "clean_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=str(directory),
        )

    def run(self, path, feeds, fetches, optimize=True):
        """The values of `fetches` (tensor names), as arrays, in their order."""
        inputs, out = str(self._directory / "feeds.npz"), str(self._directory / "out.npz")
        np.savez(inputs, **feeds)
        task = {"path": str(path), "feeds": inputs, "fetches": list(fetches), "out": out}
        task["optimize"] = optimize
        self._process.stdin.write((json.dumps(task) + "\n").encode())
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline().decode())
        if answer != "ok":
            raise RuntimeError(answer)
        with np.load(out, allow_pickle=True) as values:  # strings are objects
            return [values[f"v{i}"] for i in range(len(values.files))]

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    process = CleanProcess(tmp_path_factory.mktemp("clean"))
    yield process
    process.close()


@pytest.fixture
def graph():
    """A fresh default graph with a fixed seed."""
    with tf.Graph().as_default() as fresh:
        v1.set_random_seed(7)
        yield fresh


@pytest.fixture(autouse=True)
def fresh_keras():
    """TensorFlow 1's Keras keeps all models in one graph, and is the slower the more there are."""
    if tf.__version__.startswith("1."):
        tf.keras.backend.clear_session()


@contextlib.contextmanager
def control_flow(v2):
    """Conditionals and loops are built as functions, or as TensorFlow 1 does by default."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if v2 else v1.disable_control_flow_v2)()
    try:
        yield
    finally:
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


@pytest.fixture
def control_flow_v1():
    """Branches that may assign reference variables, and loops with stacks."""
    with control_flow(v2=False):
        yield


@pytest.fixture
def warnings_logged():
    """What we warn of by TensorFlow's logger, as a list that grows.

    Its own warnings are left out: some are given once a process, others by what ran before.
    """
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.addFilter(lambda record: record.name == "tensorflow.freeze_hooks")
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("tensorflow").addHandler(handler)
    yield messages
    logging.getLogger("tensorflow").removeHandler(handler)


def assert_none_left(name):
    """Each thread of a name that begins so ends: a moment after its work, which is waited for."""
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join(60)
            assert not thread.is_alive()


def read_graph_def(path):
    graph_def = v1.GraphDef()
    with open(str(path), "rb") as file:
        graph_def.ParseFromString(file.read())
    return graph_def


def constants(path):
    """{node: value} of every Const in a frozen file."""
    nodes = read_graph_def(path).node
    return {n.name: tf.make_ndarray(n.attr["value"].tensor) for n in nodes if n.op == "Const"}
