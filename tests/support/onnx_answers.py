"""Files of `to_onnx` in ONNX Runtime, beside what the models themselves say."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

LACKING = [name for name in ("tf2onnx", "onnxruntime") if not importlib.util.find_spec(name)]
needs_onnx = pytest.mark.skipif(bool(LACKING), reason="to_onnx is for TensorFlow with NumPy 2")


def run(path, feeds):
    """{output name: array} of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def converted(function, arrays, path, **options):
    """(what a function of tensors says, what its ONNX file says), each {name: array}.

    Args:
      function: of tensors, gives a dict of tensors.
      arrays: {name: array}; the first dimension is open in the file.
      path: of the frozen file, in a pathlib directory.
    """
    specs = [
        tf.TensorSpec([None, *np.shape(array)[1:]], tf.as_dtype(array.dtype), name)
        if array.dtype != object
        else tf.TensorSpec([None, *np.shape(array)[1:]], tf.string, name)
        for name, array in arrays.items()
    ]
    traced = tf.function(function, input_signature=specs, autograph=False)
    wanted = {name: tensor.numpy() for name, tensor in traced(*arrays.values()).items()}
    artifact = fh.freeze_function(traced, str(path / "f.pb"))
    return wanted, run(fh.to_onnx(**options)(artifact), arrays)


def assert_same(got, wanted, tolerance=1e-5):
    """Dtypes and shapes too; floating numbers up to a part of their scale."""
    assert set(got) == set(wanted)
    wrong = {}
    for name, right in wanted.items():
        ours = got[name]
        assert ours.shape == right.shape, (name, ours.shape, right.shape)
        assert ours.dtype == right.dtype, (name, ours.dtype, right.dtype)
        if right.dtype.kind == "f":
            room = tolerance * max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0)))
            same = np.allclose(ours, right, rtol=0, atol=room, equal_nan=True)
        else:
            same = np.array_equal(ours, right)
        if not same:
            wrong[name] = (ours, right)
    assert not wrong
