"""Builds examples/c_api with the installed wheel, and runs frozen files and SavedModels by it."""

import os
import shutil
import subprocess
import sys

import numpy as np
import tensorflow as tf
from places import ROOT

SOURCE = os.path.join(ROOT, "examples", "c_api")


def lacking():
    """Why it cannot be built here; None if it can."""
    header = os.path.join(tf.sysconfig.get_include(), "tensorflow", "c", "c_api.h")
    if not os.path.exists(header):
        return "the wheels of TensorFlow 1 have no headers of the C API"
    if not os.path.exists(os.path.join(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")):
        return "the wheel of this TensorFlow has no libtensorflow_cc.so.2"
    if shutil.which("make") is None or shutil.which("cc") is None:
        return None if "CI" in os.environ else "there is no make or no C compiler"
    return None


def build(directory):
    """The path of the program, made in a directory."""
    for name in ("Makefile", "run.c"):
        shutil.copy(os.path.join(SOURCE, name), str(directory))
    made = subprocess.run(
        ["make", "CFLAGS=-Wall -Wextra -Werror", "PYTHON=" + sys.executable],
        cwd=str(directory),
        capture_output=True,
    )
    assert made.returncode == 0, made.stderr.decode()
    return os.path.join(str(directory), "run")


def run(program, path, tensor, value, output):
    """The output's numbers, in one dimension."""
    feed = os.path.join(os.path.dirname(program), "feed")
    if value.dtype.kind in "OUS":
        kind, content = "string", "".join(f"{word}\n" for word in value.ravel().tolist()).encode()
    else:
        kind = "float" if value.dtype == np.float32 else value.dtype.name
        content = np.ascontiguousarray(value).tobytes()
    with open(feed, "wb") as file:
        file.write(content)
    shape = ",".join(str(dim) for dim in value.shape)
    done = subprocess.run([program, path, tensor, kind, shape, feed, output], capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip().splitlines()[-1])
    return np.array(done.stdout.split(), np.float32)
