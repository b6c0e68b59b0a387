"""The warm-up requests of a SavedModel, as TensorFlow Serving's own messages read them."""

import numpy as np
import pytest
import tensorflow as tf
from lacking import lacking

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(6, 4)


@pytest.fixture
def session(graph):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    tf.identity(tf.matmul(x, v1.get_variable("w", [4, 3])), "y")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        yield live


@pytest.mark.skipif(lacking("serving") is not None, reason=str(lacking("serving")))
def test_a_request_is_beside_the_graph(session, tmp_path):
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    form = fh.SavedModel(warmup={"x": X})
    fh.freeze_session(session, str(tmp_path / "m"), ["y"], format=form)
    path = str(tmp_path / "m" / "assets.extra" / "tf_serving_warmup_requests")
    (record,) = v1.io.tf_record_iterator(path)
    request = PredictionLog.FromString(record).predict_log.request
    assert request.model_spec.signature_name == "serving_default"
    (array,) = map(tf.make_ndarray, request.inputs.values())
    assert list(request.inputs) == ["x"] and array.dtype == np.float32
    np.testing.assert_array_equal(array, X.astype(np.float32))


@pytest.mark.parametrize(
    "feeds, says",
    [
        ([X], "a dict of arrays by input name"),
        ({"X": X}, r"names 'X', but the inputs are \['x'\]"),
        ({}, r"lacks the inputs \['x'\]"),
        ({"x": X[:, :3]}, r"shape \[6, 3\] for 'x', whose shape is \[None, 4\]"),
        ({"x": ["text"]}, "x"),
    ],
)
def test_feeds_that_do_not_fit_are_refused_before_training(session, feeds, says, tmp_path):
    hook = fh.FreezeHook(
        outputs=["y"],
        format=fh.SavedModel(warmup=feeds),
        output_dir=str(tmp_path),
        save_steps=1,
    )
    with pytest.raises(fh.FreezeError, match=says):
        hook.begin()
