"""Other programs run files that hook, callback and drop-in wrote, and agree with the live model.

`pytest -s` prints the differences; `benchmarks/consumers.py` makes the table of them.
"""

import os
import re
import sys

import consumed
import consumers
import pytest
import tensorflow as tf
from lacking import lacking
from places import ROOT

import freeze_hooks as fh

sys.path.append(os.path.join(ROOT, "examples"))
# ResNet50 is in the benchmark alone: its conversions take too long.
MODELS = [model for model in consumed.MODELS if not model.__name__.startswith("resnet")]
TOLERANCE = 1e-4  # of the range of the outputs
# What programs say that they cannot read; the day they can, they must agree as the others do.
LIMITS = {
    ("lstm", "opencv"): "Input layer not found|not found in function",
    ("lstm_fixed_batch", "opencv"): "not found",
    ("lstm_unrolled", "opencv"): "Input layer not found",
    ("lstm", "tflite"): "TensorListReserve' op requires element_shape to be static",
    ("lookup_table", "opencv"): "data type is not supported",
    ("lookup_table", "openvino"): "failed for: HashTableV2, LookupTableFindV2",
    ("lookup_table", "tflite"): "HashTableV2",
}


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.__name__)
def case(request, tmp_path_factory):
    """(name of the model, its Case)."""
    name = request.param.__name__
    if name not in ("digits", "slim_net", "lookup_table") and tf.__version__.startswith("1."):
        pytest.skip("MobileNetV2 and LSTM are trained with the callback of TensorFlow 2's Keras")
    return name, request.param(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    with consumers.programs(tmp_path_factory.mktemp("programs")) as all_of_them:
        yield all_of_them


@pytest.mark.parametrize("program", list(consumers.NAMES))
def test_agrees_with_the_live_model(program, case, programs, tmp_path, monkeypatch):
    reason = lacking(program)
    if reason:
        pytest.skip(reason)
    # TensorFlow 1.15 converts in a program that came with it, as an activated environment has it
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    name, case = case
    limit = LIMITS.get((name, program))
    try:
        value = programs[program](case, tmp_path)
    except Exception as error:
        if limit is None or not re.search(limit, str(error)):
            raise
        print(f"{name}, {program}: {consumers.quoted(error)}")
        return
    difference = consumers.difference(value, case.expected)
    print(f"{name}, {program}: {difference:.1e}")
    assert difference < TOLERANCE


@pytest.mark.parametrize("case", [consumed.digits], ids=["digits"], indirect=True)
def test_the_example_is_a_clean_inference_graph(case):
    report = fh.inspect(case[1].path)
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
