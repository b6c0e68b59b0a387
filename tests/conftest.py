"""What the tests share: a clean process to run frozen files in, and small training graphs."""

import gc
import logging
import subprocess
import uuid
from pathlib import Path

import pytest
import tensorflow as tf
from clean import CleanProcess
from control_flow import control_flow
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


# They take the longest: begun last, each would keep one process busy while the others have ended.
LONG = (
    "sources/test_slim_nets.py",
    "plan/fingerprint/test_traced_from.py",
    "sources/keras/test_zoo.py",
    "training/test_keras_callback.py",
    "test_examples.py",
    "sources/keras/test_batches.py",
    "training/test_keras_callback_in_fit.py",
    "sources/keras/test_end_names.py",
    "proof/test_mutations.py",
    "training/test_estimator.py",
    "sources/test_random_graphs.py",
    "attacks/test_fuzz.py",
    "attacks/test_attacks.py",
    "attacks/test_saved_models.py",
    "training/test_keras_callback_in_several_fits.py",
    "training/test_keras_callback_edges.py",
    "on_publish/onnx/test_keras_layers.py",
    "regressions/test_notorious_ends.py",
)


def pytest_configure(config):
    config.option.loadscopereorder = False  # pytest-xdist puts files of many tests first


def pytest_collection_modifyitems(items):
    """Files of LONG first; in all else the order stays."""
    here = Path(__file__).parent
    place = {str(here / name): number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(str(item.fspath), len(LONG)))


def pytest_collection_finish():
    """Imports leave a million objects; each full collection, as of clear_session, looks at them."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(params=["file", "ram"])
def remote(request, tmp_path):
    """An empty directory whose path has a scheme."""
    if request.param == "file":
        return f"file://{tmp_path}"
    if tf.__version__.startswith("1."):
        pytest.skip("ram:// came with TensorFlow 2.4")
    return f"ram://{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def fresh_keras():
    """TensorFlow 1's Keras keeps all models in one graph, and is the slower the more there are."""
    if tf.__version__.startswith("1."):
        tf.keras.backend.clear_session()


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


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a small file system in memory, or changes its options."""
    points = []

    def mount(options, point=None):
        where = point or tmp_path / "mounted"
        where.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)]
        try:
            subprocess.run(command, check=True, stderr=subprocess.PIPE, timeout=60)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not mount a file system")
        points.extend([where] if point is None else [])
        return where

    yield mount
    for point in points:
        subprocess.run(["umount", "-l", str(point)], check=True, timeout=60)
