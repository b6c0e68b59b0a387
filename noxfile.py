"""All checks: `nox`. One of them: `nox -s lint`. Some tests: `nox -s newest -- -k name`."""

import os
import shutil
import sys

import nox

nox.options.default_venv_backend = "venv"  # virtualenv no longer makes Python 3.7 environments
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.sessions = ["lint", "docs", "oldest", "keras_2", "newest", "exchange", "backends"]
# CI must run everything; elsewhere a Python that is not there is reported and skipped.
nox.options.error_on_missing_interpreters = "CI" in os.environ

HERE = "{}.{}".format(*sys.version_info)  # the newest TensorFlow, on the Python that runs nox
# By file, so that never two large nets are trained at once.
PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")
# They send signals to processes, which inherit from pytest-xdist's that some are ignored.
ALONE = ("tests/integration/test_signals.py", "tests/integration/test_crash.py")
# Keras 2 and Estimator have no part in these: TensorFlow 1.15 and the newest try them each time.
OTHERS = (
    "tests/attacks/test_fuzz.py",
    "tests/sources/test_random_graphs.py",
    "tests/sources/test_slim_nets.py",
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
    test(session, ".[cli,slim,test]", "tensorflow==2.15.1", alone=(), without=OTHERS)


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
        for name in ("oldest", "keras_2", "newest"):
            python = os.path.join(".nox", name, "bin", "python")
            if os.path.exists(python) or "CI" in os.environ:
                program = os.path.join("tests", "programs", "exchange.py")
                session.run(python, program, task, directory, env=QUIET, external=True)


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


@nox.session(python=HERE)
def backends(session):
    # torch by its release: the newest may bring gigabytes of CUDA with it.
    session.install("-q", ".[tensorflow,jax,torch,test]", "torch==2.13.0")
    for backend in ("jax", "torch"):
        environment = dict(QUIET, KERAS_BACKEND=backend)
        session.run(
            "pytest",
            "tests/sources/keras/test_other_backends.py",
            *session.posargs,
            env=environment,
        )


def test(session, *packages, alone=ALONE, without=()):
    session.install("-q", *packages)
    if session.posargs:
        session.run("pytest", *session.posargs, env=QUIET)
        return
    ignored = [f"--ignore={file}" for file in ALONE + without]
    session.run("pytest", *PARALLEL, *ignored, env=QUIET)
    if alone:
        session.run("pytest", *alone, env=QUIET)
