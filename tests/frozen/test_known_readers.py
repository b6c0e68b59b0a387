"""What `inspect(path, reader=)` says about OpenVINO and OpenCV is tried in them. A model with a
finding is refused or answered wrongly. A model without one is answered rightly."""

import importlib.util
import json
import os

import numpy as np
import pytest
import started
import tensorflow as tf
from fitting import HAS_KERAS_3

import freeze_hooks as fh
from freeze_hooks.frozen import known_readers

v1 = tf.compat.v1
MODULES = {"openvino": "openvino", "opencv": "cv2"}
RANDOM = np.random.RandomState(0)
X = RANDOM.uniform(-2, 2, (3, 5)).astype(np.float32)
SQUARES = RANDOM.uniform(-1, 1, (3, 4, 4)).astype(np.float32)
IMAGES = RANDOM.uniform(-2, 2, (2, 8, 9, 3)).astype(np.float32)
KERNEL = RANDOM.uniform(-1, 1, (1, 1, 3, 6)).astype(np.float32)
BYTES = np.array([[-100, 50, 127, 3, -128]], np.int8)
LARGE = np.array([[2**40 + 3, 2**33 - 1]], np.int64)

MODERN = pytest.mark.skipif(
    tf.__version__.startswith("1."), reason="some of the ops are of TensorFlow 2"
)


def lacks(reader):
    return not importlib.util.find_spec(MODULES[reader])


def frozen(directory, function, value):
    """Return (a frozen file of the function, the answer of TensorFlow's session)."""
    path = str(directory / "m.pb")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(value.dtype, [None, *value.shape[1:]], "x")
        y = tf.identity(function(x), name="y")
        session.run(v1.tables_initializer())
        fh.freeze_session(session, path, ["y"])
        return path, session.run(y, {x: value})


def run(reader, path, value):
    if reader == "openvino":
        import openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        model = openvino.Core().compile_model(path, "CPU", exact)
        return model({"x:0": value})[model.output("y:0")]
    import cv2

    net = cv2.dnn.readNetFromTensorflow(path)
    net.setInput(np.transpose(value, (0, 3, 1, 2)) if value.ndim == 4 else value)
    found = net.forward()
    return np.transpose(found, (0, 2, 3, 1)) if found.ndim == 4 else found


def agrees(got, wanted):
    return got.shape == wanted.shape and np.allclose(
        got.astype(np.float64), wanted.astype(np.float64), 1e-4, 1e-4
    )


def kinds(path, reader):
    return [finding.kind for finding in fh.inspect(path, reader=reader).findings]


def hidden(function):
    """Return the function after a convolution, where OpenCV knows that it is applied to images."""
    return lambda x: tf.nn.relu6(function(tf.nn.conv2d(x, KERNEL, 1, "VALID")))


def product(x):
    by = np.full((5, 2), 100, np.int8)
    return tf.raw_ops.BatchMatMulV3(x=tf.cast(x, tf.int8), y=by, Tout=tf.int32)


FLAWS = {
    "openvino": [
        (product, BYTES.astype(np.float32)),
        (lambda x: x + x, BYTES),
        (lambda x: tf.raw_ops.FloorDiv(x=x, y=tf.constant(2, tf.int8)), BYTES),
        (lambda x: tf.reduce_sum(x, 1), BYTES.view(np.uint8)),
        (lambda x: x * 3, LARGE),
        (lambda x: x + tf.constant(2**40, tf.int64), LARGE),
        (lambda x: tf.scatter_nd([[0], [2], [0]], x, [4, 5]), X),
        (lambda x: tf.unique(x).y, np.array([3, 1, 3, 2], np.float32)),
    ],
    "opencv": [
        (hidden(lambda x: tf.nn.conv2d(x, KERNEL.reshape(3, 1, 6, 1), 1, "SAME", dilations=2)),)
        + (IMAGES,),
        (hidden(lambda x: 0.3 - x), IMAGES),
        (hidden(lambda x: tf.nn.softmax(x) * 3), IMAGES),
        (hidden(lambda x: x[:, 1:-1, 1:-1]), IMAGES),
        (hidden(lambda x: tf.nn.softplus(x * 90) * 0.01), IMAGES),
    ],
}
WRONG = [(reader, i) for reader in FLAWS for i in range(len(FLAWS[reader]))]


@MODERN
@pytest.mark.parametrize("reader, i", WRONG)
def test_what_is_wrong_is_found(reader, i, tmp_path):
    """If this fails, the reader now answers rightly: then remove the entry."""
    function, value = FLAWS[reader][i]
    path, live = frozen(tmp_path, function, value)
    assert kinds(path, reader) == ["reader_wrong"]
    assert kinds(path, None) == []
    if not lacks(reader):
        assert not agrees(run(reader, path, value), live)


@MODERN
def test_each_flaw_is_tried(tmp_path):
    for reader, cases in FLAWS.items():
        said = {f.problem for f in known_readers.READERS[reader].flaws if f.kind != "reader_wrong"}
        for function, value in cases:
            path, _ = frozen(tmp_path, function, value)
            said |= {f.problem for f in fh.inspect(path, reader=reader).findings}
        assert len(said) == len(known_readers.READERS[reader].flaws)


def refused():
    """Return {op: (a function that has it, its value)}."""
    raw, m = tf.raw_ops, tf.math
    positive = np.abs(X) + 0.1
    squares = SQUARES @ SQUARES.transpose(0, 2, 1) + 3 * np.eye(4, dtype=np.float32)
    ids = np.array([[1, 0, 2], [0, 1, 1]], np.int32)
    texts = (lambda x: tf.strings.as_string(x), ids)
    cases = {
        "Lgamma": (m.lgamma, positive),
        "Digamma": (m.digamma, positive),
        "Erfinv": (lambda x: raw.Erfinv(x=x), X / 3),
        "Cumprod": (lambda x: m.cumprod(x, 1), X),
        "CumulativeLogsumexp": (lambda x: raw.CumulativeLogsumexp(x=x, axis=1), X),
        "InTopKV2": (lambda x: raw.InTopKV2(predictions=x, targets=[1, 2, 3], k=2), X),
        "TensorScatterMax": (
            lambda x: raw.TensorScatterMax(tensor=x, indices=[[0]], updates=X[:1] + 1),
            X,
        ),
        "MatrixDiagV3": (tf.linalg.diag, X),
        "MatrixDiagPartV3": (tf.linalg.diag_part, squares),
        "MatrixDeterminant": (tf.linalg.det, squares),
        "Cholesky": (lambda x: raw.Cholesky(input=x), squares),
        "SegmentMean": (lambda x: m.segment_mean(x, [0, 0, 1]), X),
        "DenseBincount": (
            lambda x: raw.DenseBincount(input=x, size=5, weights=tf.zeros([0])),
            ids[0],
        ),
        "LowerBound": (lambda x: raw.LowerBound(sorted_inputs=np.sort(X), values=x), X),
        "Dilation2D": (
            lambda x: raw.Dilation2D(
                input=x,
                filter=IMAGES[0, :3, :3],
                strides=[1] * 4,
                rates=[1] * 4,
                padding="SAME",
            ),
            IMAGES,
        ),
        "ResizeBicubic": (lambda x: raw.ResizeBicubic(images=x, size=[5, 4]), IMAGES),
        "ResizeArea": (lambda x: raw.ResizeArea(images=x, size=[5, 4]), IMAGES),
        "ScaleAndTranslate": (
            lambda x: raw.ScaleAndTranslate(
                images=x, size=[5, 4], scale=[0.6, 0.5], translation=[0.0, 0.0]
            ),
            IMAGES,
        ),
        "QuantizeAndDequantizeV4": (
            lambda x: raw.QuantizeAndDequantizeV4(
                input=x, input_min=-1.0, input_max=1.0, range_given=True
            ),
            X,
        ),
        "Polygamma": (lambda x: m.polygamma(tf.ones_like(x), x), positive),
        "ImageProjectiveTransformV3": (
            lambda x: raw.ImageProjectiveTransformV3(
                images=x,
                transforms=[[1.0, 0.2, 0, 0.1, 1, 0, 0, 0]],
                output_shape=[8, 9],
                fill_value=0.0,
                interpolation="BILINEAR",
            ),
            IMAGES,
        ),
        "Igamma": (lambda x: m.igamma(x, x + 1), positive),
        "Betainc": (lambda x: m.betainc(x, x, x / 3), positive),
        "BesselI0e": (lambda x: m.bessel_i0e(x), positive),
        "Ndtri": (lambda x: raw.Ndtri(x=x), positive / 3),
        "Zeta": (lambda x: m.zeta(x + 1, x), positive),
        "NextAfter": (lambda x: raw.NextAfter(x1=x, x2=x + 1), X),
        "SoftmaxCrossEntropyWithLogits": (
            lambda x: raw.SoftmaxCrossEntropyWithLogits(features=x, labels=tf.nn.softmax(x))[0],
            X,
        ),
        "SparseSoftmaxCrossEntropyWithLogits": (
            lambda x: raw.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=[1, 2, 0])[0],
            X,
        ),
        "HistogramFixedWidth": (lambda x: tf.histogram_fixed_width(x, [-2.0, 2.0], 5), X),
        "AsString": texts,
        "StringToHashBucketFast": (
            lambda x: tf.strings.to_hash_bucket_fast(tf.strings.as_string(x), 10),
            ids,
        ),
    }
    cases["HashTableV2"] = cases["LookupTableFindV2"] = (_look_up, ids)
    return cases


def _look_up(x):
    filled = tf.lookup.KeyValueTensorInitializer(tf.range(3), tf.range(3) * 2)
    return tf.lookup.StaticHashTable(filled, -1).lookup(x)


@MODERN
@pytest.mark.skipif(lacks("openvino"), reason="openvino is of the extra 'consumers'")
def test_what_openvino_refuses(tmp_path):
    cases = refused()
    assert set(cases) == known_readers.OPENVINO.refused
    for op, (function, value) in cases.items():
        path, _ = frozen(tmp_path, function, value)
        report = fh.inspect(path, reader="openvino")
        (finding,) = report.findings
        assert finding.kind == "reader_refuses" and f"({op})" in str(finding)
        with pytest.raises(RuntimeError):
            run("openvino", path, value)
            pytest.fail(f"{op} is refused no more: take it out of the table")


@MODERN
@pytest.mark.skipif(lacks("opencv"), reason="opencv is of the extra 'consumers'")
def test_what_opencv_refuses(tmp_path):
    import cv2

    functions = {
        "Neg": lambda x: -x,
        "Pow": lambda x: x**3,
        "IdentityN": tf.nn.silu,
        "PadV2": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=1.0),
        "StopGradient": tf.stop_gradient,
        "BatchMatMulV2": lambda x: tf.matmul(x, KERNEL[0, 0].T @ KERNEL[0, 0]),
        "GatherV2": lambda x: tf.gather(x, [1, 0], axis=3),
        "Prod": lambda x: tf.reduce_prod(x, 3),
        "Min": lambda x: tf.reduce_min(x, 3),
        "Cumsum": lambda x: tf.cumsum(x, 3),
        "FloorDiv": lambda x: x // 0.7,
        "FloorMod": lambda x: x % 0.7,
        "SelectV2": lambda x: tf.where(x > 0, x, x * 2),
        "TopKV2": lambda x: tf.math.top_k(x, 2).values,
        "LogSoftmax": tf.nn.log_softmax,
        "Log1p": lambda x: tf.math.log1p(tf.abs(x)),
        "Expm1": tf.math.expm1,
        "Erfc": tf.math.erfc,
        "SquaredDifference": lambda x: tf.math.squared_difference(x, x * 2),
        "ReverseV2": lambda x: tf.reverse(x, [1]),
        "Roll": lambda x: tf.roll(x, 2, 1),
        "Unpack": lambda x: tf.unstack(x, axis=3)[0],
        "SplitV": lambda x: tf.split(x, [2, 4], 3)[1],
        "ResizeBicubic": lambda x: tf.raw_ops.ResizeBicubic(images=x, size=[5, 4]),
    }
    assert set(functions) <= known_readers.OPENCV.refused
    for op, function in functions.items():
        path, _ = frozen(tmp_path, hidden(function), IMAGES)
        report = fh.inspect(path, reader="opencv")
        assert f"({op})" in str(report.findings[-1])
        with pytest.raises(cv2.error):
            run("opencv", path, IMAGES)
            pytest.fail(f"{op} is refused no more: take it out of the table")


RIGHT = {
    "openvino": [
        (lambda x: tf.nn.softmax(tf.matmul(x, X.T)) + tf.math.erf(x[:, :3]), X),
        (lambda x: 1 - tf.reduce_mean(x, [1, 2]), IMAGES),
        (lambda x: tf.nn.softplus(tf.nn.conv2d(x, KERNEL, 1, "SAME", dilations=2)), IMAGES),
        (lambda x: tf.cast(x, tf.int32) * 3 - tf.reduce_max(tf.cast(x, tf.int32)), BYTES),
        (lambda x: tf.gather(X.T, x), np.array([[1, 0, 4]], np.int32)),
        (lambda x: tf.tensor_scatter_nd_add(tf.zeros([4, 5]), [[0], [2], [0]], x), X),
    ],
    "opencv": [
        (hidden(lambda x: tf.nn.leaky_relu(x * 2 + 1) - x), IMAGES),
        (hidden(lambda x: (-1.0) * x + 1), IMAGES),
        (hidden(lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME")), IMAGES),
        (lambda x: tf.nn.softmax(hidden(lambda y: tf.reduce_mean(y, [1, 2]))(x)), IMAGES),
        (hidden(lambda x: tf.concat([x, x * 2], 3)), IMAGES),
    ],
}


@MODERN
@pytest.mark.parametrize("reader, i", [(r, i) for r in RIGHT for i in range(len(RIGHT[r]))])
def test_what_is_right_is_not_complained_of(reader, i, tmp_path):
    function, value = RIGHT[reader][i]
    path, live = frozen(tmp_path, function, value)
    assert kinds(path, reader) == []
    if lacks(reader):
        pytest.skip(f"{reader} is of the extra 'consumers'")
    assert agrees(run(reader, path, value), live)


@pytest.mark.skipif(not HAS_KERAS_3, reason="quantizes with Keras 3")
@pytest.mark.parametrize("layer", ["Dense", "EinsumDense"])
def test_a_quantized_keras_model(layer, tmp_path):
    import keras

    dense = keras.layers.Dense(3)
    if layer == "EinsumDense":
        dense = keras.layers.EinsumDense("ab,bc->ac", 3)
    model = keras.Sequential([keras.Input((5,)), dense])
    path, plain = str(tmp_path / "m.pb"), str(tmp_path / "plain.pb")
    fh.freeze_keras_model(model, plain)
    assert kinds(plain, "openvino") == []
    model.quantize("int8")
    artifact = fh.freeze_keras_model(model, path)
    live = model.predict(X, verbose=0)
    (finding,) = fh.inspect(path, reader="openvino").findings
    assert "cuts products of 8-bit matrices" in finding.problem
    assert "before quantize()" in finding.remedy
    (answer,) = fh.load_frozen(path)(X).values()
    np.testing.assert_allclose(answer, live, 1e-5, 1e-6)
    if not lacks("openvino"):
        import openvino

        model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        theirs = model({artifact.signature.inputs[0].tensor: X})[0]
        assert np.abs(theirs - live).max() > 0.5 * np.abs(live).max()


@pytest.mark.skipif(not HAS_KERAS_3, reason="quantizes with Keras 3")
def test_a_keras_model_of_float8(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.quantize("float8")
    path = str(tmp_path / "m.pb")
    artifact = fh.freeze_keras_model(model, path)
    (finding,) = fh.inspect(path, reader="openvino").findings
    assert finding.kind == "reader_refuses" and "cannot cast to float8" in finding.problem
    if not lacks("openvino"):
        import openvino

        with pytest.raises(RuntimeError):
            model = openvino.Core().compile_model(path, "CPU")
            model({artifact.signature.inputs[0].tensor: X})


def test_unknown_readers(tmp_path):
    path, _ = frozen(tmp_path, lambda x: x + 1, X)
    with pytest.raises(fh.UnknownNameError, match="no 'openvin': did you mean 'openvino'"):
        fh.inspect(path, reader="openvin")
    with pytest.raises(fh.UnknownNameError, match="'opencv', 'openvino'"):
        fh.inspect(path, reader="?")


@pytest.mark.skipif(not importlib.util.find_spec("rich"), reason="needs the extra 'cli'")
def test_the_command(tmp_path):
    path, _ = frozen(tmp_path, lambda x: x + x, BYTES)
    command = ["-m", "freeze_hooks.cli", "inspect", path, "--json", "--reader"]
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(fh.__file__))}
    for reader, found in (("openvino", ["reader_wrong"]), ("opencv", [])):
        printed = started.run([*command, reader], env=environment).stdout
        assert [f["kind"] for f in json.loads(printed)["findings"]] == found
    run = started.run([*command, "tensorrt"], env=environment, fails=True)
    assert run.returncode == 2 and "--reader has no 'tensorrt'" in run.stderr
