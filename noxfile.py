"""What a change needs: `nox`. One session: `nox -s lint`. Some tests: `nox -s newest -- -k name`.

All that CI runs: `nox`, then `nox -s oldest keras_2 exchange backends alone`.
"""

import os
import shutil
import subprocess
import sys

import nox

nox.options.default_venv_backend = "venv"  # virtualenv no longer makes Python 3.7 environments
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.sessions = ["lint", "docs", "newest"]
# CI must run everything; elsewhere a Python that is not there is reported and skipped.
nox.options.error_on_missing_interpreters = "CI" in os.environ

HERE = "{}.{}".format(*sys.version_info)  # the newest TensorFlow, on the Python that runs nox
# By file, so that never two large nets are trained at once.
PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")
# Real processes: signals, crashes, clusters, programs that read the files. See `alone`.
ALONE = "tests/integration/"
# TensorFlow 1.15 and the newest both run these each time, and Keras and Estimator have no part in
# them: bytes and files, graphs, sessions, hooks and Savers of sessions.
OTHERS = (
    "tests/attacks/",
    "tests/frozen/test_optimize.py",
    "tests/frozen/test_reader.py",
    "tests/frozen/test_wire.py",
    "tests/graph/passes/test_defaults.py",
    "tests/graph/passes/test_lower.py",
    "tests/graph/passes/test_narrow_weights.py",
    "tests/graph/test_gradients_of_loops.py",
    "tests/graph/test_pipelines.py",
    "tests/graph/test_rewriting.py",
    "tests/graph/test_side_effects.py",
    "tests/integration/test_crash.py",
    "tests/integration/test_distributed.py::test_tasks_that_are_killed_and_started_again",
    "tests/integration/test_distributed.py::test_the_chief_alone_writes",
    "tests/integration/test_signals.py",
    "tests/plan/test_updates.py",
    "tests/regressions/",
    "tests/sources/test_checkpoint.py",
    "tests/sources/test_inference_graphs.py",
    "tests/sources/test_random_graphs.py",
    "tests/sources/test_session.py",
    "tests/sources/test_slim_nets.py",
    "tests/storage/test_atomic.py",
    "tests/storage/test_locks.py",
    "tests/test_benchmarks.py",
    "tests/test_file_format.py",
    "tests/test_freeze_graph.py",
    "tests/test_graph_util.py",
    "tests/test_house.py",
    "tests/test_release.py",
    "tests/training/test_background.py",
    "tests/training/test_best.py",
    "tests/training/test_delivery.py",
    "tests/training/test_saver.py",
    "tests/training/test_session_delivery.py",
    "tests/training/test_session_hook_edges.py",
    "tests/training/test_session_hook_lifecycle.py",
    "tests/values/test_averages.py",
    "tests/values/test_session_reads_of_replicas.py",
    "tests/values/test_static_tables.py",
    "tests/values/test_table_kinds.py",
)
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


@nox.session
def lint(session):
    session.install("-q", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def docs(session):
    """The site, into site/: links and anchors that lead nowhere are errors."""
    session.install("-q", ".[docs]")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(python="3.7")
def oldest(session):
    """TensorFlow 1.15, which has Keras as tf.keras."""
    test(session, ".[tensorflow,cli,slim,test]")


@nox.session(python="3.11")
def keras_2(session):
    """The last TensorFlow with Estimator and with Keras 2 as tf.keras."""
    test(session, ".[cli,slim,test]", "tensorflow==2.15.1", without=OTHERS)


@nox.session(python=HERE)
def newest(session):
    """With Keras 3, tf_keras, and other programs that read the files."""
    test(session, ".[tensorflow,cli,slim,tf-keras,consumers,test]")


@nox.session(venv_backend="none")
def exchange(session):
    """Files that each of the versions above writes, read by the others."""
    directory = session.create_tmp()
    shutil.rmtree(directory)
    os.mkdir(directory)
    for task in ("write", "read"):
        for python in installed("oldest", "keras_2", "newest"):
            program = os.path.join("tests", "programs", "exchange.py")
            session.run(python, program, task, directory, env=QUIET, external=True)


@nox.session(venv_backend="none")
def alone(session):
    """Tests of real processes, of all versions at once: most of the time they wait.

    Without pytest-xdist, whose processes ignore some signals.
    """
    started = []
    for name in ("oldest", "keras_2", "newest"):
        if not installed(name):
            continue
        log = os.path.join(session.create_tmp(), f"{name}.log")
        left_out = [f"--deselect={start}" for start in OTHERS] if name == "keras_2" else []
        command = [*installed(name), "-m", "pytest", ALONE, *left_out, *session.posargs]
        with open(log, "w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **QUIET}
            )
        started.append((process, command, log))
    failed = []
    for process, command, log in started:
        failed += [" ".join(command)] if process.wait() else []
        session.log(" ".join(command))
        with open(log, errors="replace") as file:
            shutil.copyfileobj(file, sys.stdout)
    if failed:
        session.error("failed: " + ", ".join(failed))


@nox.session
@nox.parametrize(
    "python,tensorflow",
    [
        nox.param("3.9", "2.11.*", id="2.11"),
        nox.param("3.11", "2.18.*", id="2.18"),
        nox.param("3.13", "2.21.*", id="2.21"),
    ],
)
def between(session, tensorflow):
    """Versions that are not tried each time: `nox -s between`."""
    if tensorflow < "2.16":  # it says nothing of NumPy 2, and fails with it
        test(session, ".[cli,slim,test]", f"tensorflow=={tensorflow}", "numpy<2")
    else:
        keras_2 = f"tf-keras=={tensorflow}"
        test(session, ".[cli,slim,consumers,test]", f"tensorflow=={tensorflow}", keras_2)
    if not session.posargs:
        session.run("pytest", ALONE, env=QUIET)


@nox.session(python=HERE)
def backends(session):
    # torch by its release: the newest may bring gigabytes of CUDA with it.
    session.install("-q", ".[tensorflow,jax,torch,test]", "torch==2.13.0")
    both = [f"--tx=popen//env:KERAS_BACKEND={backend}" for backend in ("jax", "torch")]
    tests = ("tests/sources/keras/test_other_backends.py", "tests/proof/test_mutations_keras.py")
    session.run("pytest", "--dist=each", *both, *tests, *session.posargs, env=QUIET)


def installed(*names):
    """The Pythons of these sessions; in CI all must be there."""
    pythons = [os.path.join(".nox", name, "bin", "python") for name in names]
    return [python for python in pythons if os.path.exists(python) or "CI" in os.environ]


def test(session, *packages, without=()):
    session.install("-q", *packages)
    if session.posargs:
        session.run("pytest", *session.posargs, env=QUIET)
        return
    left_out = [f"--deselect={start}" for start in without]
    session.run("pytest", *PARALLEL, f"--ignore={ALONE}", *left_out, env=QUIET)
