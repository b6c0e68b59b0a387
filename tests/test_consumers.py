"""Programs that are not TensorFlow read the digits example's file, and agree with it."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

import freeze_hooks as fh

EXAMPLE = os.path.join(
    os.path.dirname(__file__), os.pardir, "examples", "digits_monitored_session.py"
)


def needs(module):
    reason = f"extra 'consumers': {module} wants NumPy 2, which this TensorFlow does not"
    missing = np.__version__ < "2" and importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=reason)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """(path of the newest frozen file, held-out images, their probabilities)."""
    directory = tmp_path_factory.mktemp("digits")
    subprocess.check_call([sys.executable, EXAMPLE, str(directory)])
    images = np.load(str(directory / "held_out.npz"))["x"]
    return str(directory / "model.ckpt-300.pb"), images, np.load(str(directory / "probs.npy"))


@needs("cv2")
def test_opencv(digits):
    import cv2

    path, images, probs = digits
    net = cv2.dnn.readNetFromTensorflow(path)
    net.setInput(np.transpose(images, (0, 3, 1, 2)))
    np.testing.assert_allclose(net.forward(), probs, atol=1e-5)


@needs("openvino")
def test_openvino(digits):
    import openvino

    path, images, probs = digits
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # by default it rounds to bfloat16 on some CPUs
    model = openvino.Core().compile_model(path, "CPU", exact)
    np.testing.assert_allclose(model({"image:0": images})["probs:0"], probs, atol=1e-5)


def test_the_example_is_a_clean_inference_graph(digits):
    report = fh.inspect(digits[0])
    assert report.findings == ()
    assert set(report.ops) == {
        "AddV2",
        "Const",
        "Conv2D",
        "FusedBatchNormV3",
        "Identity",
        "MatMul",
        "MaxPool",
        "Placeholder",
        "Relu",
        "Reshape",
        "Softmax",
    }
