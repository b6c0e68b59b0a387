"""All checks: `nox`. One of them: `nox -s lint`. Some tests: `nox -s tests -- -k name`."""

import os
import sys

import nox

nox.options.default_venv_backend = "venv"  # virtualenv no longer makes Python 3.7 environments
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
# CI must run everything; elsewhere a Python that is not there is reported and skipped.
nox.options.error_on_missing_interpreters = "CI" in os.environ

HERE = "{}.{}".format(*sys.version_info)  # the newest TensorFlow, on the Python that runs nox
OLD = "3.7"  # TensorFlow 1.15


@nox.session
def lint(session):
    session.install("-q", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=[OLD, HERE])
def tests(session):
    session.install("-q", ".[tensorflow,slim,consumers,test]")
    session.run(
        "pytest",
        *session.posargs,
        env={"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
    )


@nox.session(python=HERE)
def backends(session):
    # torch by its release: the newest may bring gigabytes of CUDA with it.
    session.install("-q", ".[tensorflow,jax,torch,test]", "torch==2.13.0")
    for backend in ("jax", "torch"):
        session.run(
            "pytest",
            "tests/test_backends.py",
            *session.posargs,
            env={
                "KERAS_BACKEND": backend,
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "CUDA_VISIBLE_DEVICES": "-1",
            },
        )
