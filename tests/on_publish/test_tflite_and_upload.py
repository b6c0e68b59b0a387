"""Converters and uploads of frozen files; the runtimes read the results back."""

import json
import os
import sys
import threading

import consumers
import numpy as np
import pytest
import tensorflow as tf
from lacking import lacking
from small import FEEDS, FREEZE, X, build, frozen_steps

import freeze_hooks as fh

v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def programs_that_came_with_tensorflow(monkeypatch):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)


@pytest.fixture
def classifier(graph, tmp_path):
    """(artifact of the second save, its probabilities for X), as a hook wrote it."""
    train_op = build()
    hook = fh.FreezeHook(**FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path / "run"), save_checkpoint_steps=2, hooks=[hook]
    ) as session:
        for _ in range(2):
            session.run(train_op, FEEDS)
        probs = session.run("probs:0", {"net/x:0": X, "net/is_training:0": False})
    return hook.artifacts[-1], probs


needs_onnx = pytest.mark.skipif(lacking("onnx") is not None, reason=str(lacking("onnx")))


@needs_onnx
def test_onnx_beside_the_file(classifier):
    import onnxruntime

    artifact, probs = classifier
    before = dict(os.environ)
    written = fh.to_onnx(opset=15)(artifact)
    assert dict(os.environ) == before
    assert written == artifact.path[: -len(".pb")] + ".onnx"
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    (taken,) = [info.name for info in artifact.signature.outputs]
    (given,) = [info.name for info in artifact.signature.inputs]
    np.testing.assert_allclose(session.run([taken], {given: X})[0], probs, atol=1e-6)


@pytest.mark.parametrize("form", ["pb", "saved_model"])
def test_converters_of_one_signature(graph, tmp_path, form):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    hidden = tf.nn.relu(tf.matmul(x, v1.get_variable("w", [4, 6])), name="hidden")
    tf.matmul(hidden, v1.get_variable("v", [6, 3]), name="y")
    path = str(tmp_path / ("m.pb" if form == "pb" else "m"))
    ends = {"head": ({"h": "hidden"}, ["y"]), "embed": {"e": "hidden"}}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        artifact = fh.freeze_session(session, path, ["y"], signatures=ends, format=form)
        feeds = np.random.RandomState(0).randn(2, 4).astype(np.float32)
        wanted = session.run("hidden:0", {x: feeds})
    stem = str(tmp_path / "m")
    assert fh.to_tflite()(artifact) == stem + ".tflite"
    written = fh.to_tflite(signature="embed")(artifact)
    assert written == stem + ".embed.tflite"
    interpreter = tf.lite.Interpreter(model_path=written)
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], feeds.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], feeds)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(taken["index"]), wanted, rtol=1e-5)
    assert fh.to_tflite(signature="head")(artifact) == stem + ".head.tflite"
    with pytest.raises(fh.UnknownNameError, match="no signature 'hed': did you mean 'head'"):
        fh.to_tflite(signature="hed")(artifact)
    if lacking("onnx") is None:
        import onnxruntime

        written = fh.to_onnx(signature="embed")(artifact)
        assert written == stem + ".embed.onnx"
        session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
        (answer,) = session.run(["e"], {"x": feeds})
        np.testing.assert_allclose(answer, wanted, rtol=1e-5)
    if form == "pb":
        saved = fh.to_saved_model()(artifact)
        with tf.Graph().as_default(), v1.Session() as session:
            ends = v1.saved_model.loader.load(session, ["serve"], saved).signature_def
            assert sorted(ends) == ["embed", "head", "serving_default"]


@needs_onnx
def test_onnx_of_what_it_does_not_know_is_an_error_and_the_old_file_stays(graph, tmp_path):
    x = v1.placeholder(tf.string, [None], name="x")
    tf.identity(tf.strings.length(x), name="y")
    with v1.Session() as session:
        artifact = fh.freeze_session(session, str(tmp_path / "words.pb"), ["y"])
    (tmp_path / "words.onnx").write_bytes(b"the last one")
    with pytest.raises(fh.ConversionError) as caught:
        fh.to_onnx()(artifact)
    assert artifact.path in str(caught.value) and "StringLength" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert (tmp_path / "words.onnx").read_bytes() == b"the last one"
    assert sorted(os.listdir(str(tmp_path))) == ["words.onnx", "words.pb", "words.pb.json"]


@pytest.mark.parametrize("broken", [None, type(sys)("tf2onnx.convert")], ids=["absent", "there"])
def test_a_missing_extra_is_told_at_once(broken, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tf2onnx", broken)
    monkeypatch.setitem(sys.modules, "tf2onnx.convert", None)
    with pytest.raises(fh.FreezeError, match=r"pip install 'freeze-hooks\[onnx\]'"):
        fh.to_onnx(str(tmp_path / "model.onnx"))


def test_tflite_beside_the_file(classifier):
    artifact, probs = classifier
    written = fh.to_tflite()(artifact)
    assert written == artifact.path[: -len(".pb")] + ".tflite"
    np.testing.assert_allclose(consumers.run_tflite(written, X), probs, atol=1e-6)


def test_tflite_to_one_path_with_settings_in_a_thread(classifier, tmp_path):
    artifact, probs = classifier
    seen, path = [], str(tmp_path / "lite" / "newest.tflite")

    def settings(converter):
        seen.append(type(converter).__name__)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    convert = fh.to_tflite(path, configure=settings)
    got = []
    thread = threading.Thread(target=lambda: got.append(convert(artifact)))
    thread.start()
    thread.join(300)
    assert got == [path] and len(seen) == 1
    np.testing.assert_allclose(consumers.run_tflite(path, X), probs, atol=0.05)
    assert os.listdir(str(tmp_path / "lite")) == ["newest.tflite"]


def test_tflite_that_answers_otherwise_is_not_published(classifier, tmp_path, monkeypatch):
    artifact, _ = classifier
    convert = v1.lite.TFLiteConverter.from_frozen_graph
    other = str(tmp_path / "other.pb")
    graph_def = v1.GraphDef()
    with open(artifact.path, "rb") as file:
        graph_def.ParseFromString(file.read())
    for node in graph_def.node:
        if node.name == "net/v":
            value = tf.make_ndarray(node.attr["value"].tensor) + 0.1 * np.arange(3)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
    with open(other, "wb") as file:
        file.write(graph_def.SerializeToString())
    mistaken = staticmethod(lambda path, *more: convert(other, *more))
    monkeypatch.setattr(v1.lite.TFLiteConverter, "from_frozen_graph", mistaken)
    path = str(tmp_path / "newest.tflite")
    with pytest.raises(fh.ConversionError, match="answers differently from TensorFlow"):
        fh.to_tflite(path)(artifact)
    assert not os.path.exists(path)
    assert fh.to_tflite(path, verify=False)(artifact) == path


def test_tflite_quantized_throughout_is_run_and_compared_if_told_how_far(classifier, tmp_path):
    artifact, _ = classifier
    (given,) = [info.name for info in artifact.signature.inputs]

    def eight_bits(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in X)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8

    path = str(tmp_path / "small.tflite")
    fh.to_tflite(path, configure=eight_bits)(artifact)
    fh.to_tflite(path, configure=eight_bits, verify=fh.Verify({given: X}, 0.1))(artifact)
    with pytest.raises(fh.ConversionError, match="differs by"):
        fh.to_tflite(path, configure=eight_bits, verify=fh.Verify({given: X}, 1e-6))(artifact)


def test_tflite_of_what_it_does_not_know_names_file_and_reason(graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    tf.identity(tf.linalg.qr(tf.matmul(x, x, transpose_a=True))[0], name="y")
    with v1.Session() as session:
        artifact = fh.freeze_session(session, str(tmp_path / "qr.pb"), ["y"])
    with pytest.raises(fh.ConversionError) as caught:
        fh.to_tflite()(artifact)
    assert artifact.path in str(caught.value) and "Qr" in str(caught.value)
    assert sorted(os.listdir(str(tmp_path))) == ["qr.pb", "qr.pb.json"]


def test_a_file_that_went_is_no_conversion_error(classifier):
    artifact, _ = classifier
    os.unlink(artifact.path)
    for convert in [fh.to_tflite()] + ([] if lacking("onnx") else [fh.to_onnx()]):
        with pytest.raises(OSError):
            convert(artifact)


needs_ram = pytest.mark.skipif(tf.__version__.startswith("1."), reason="has no ram:// yet")


@pytest.mark.parametrize("scheme", ["", pytest.param("ram://test_after", marks=needs_ram)])
def test_upload(scheme, classifier, tmp_path):
    artifact, probs = classifier
    prefix = scheme or str(tmp_path / "elsewhere" / "models")
    send = fh.upload(prefix)
    for _ in range(2):
        target = send(artifact)
    assert target == prefix + "/" + os.path.basename(artifact.path)
    names = [name for name in tf.io.gfile.listdir(prefix) if "ckpt" in name]
    assert sorted(names) == [os.path.basename(target), os.path.basename(target) + ".json"]
    with tf.io.gfile.GFile(target + ".json") as file:
        assert json.load(file)["hash"]["value"] == artifact.hash
    with fh.load_frozen(target) as model:
        (given,) = [info.name for info in artifact.signature.inputs]
        np.testing.assert_allclose(model(**{given: X})["probs"], probs, atol=1e-6)


@pytest.fixture(params=[False, True, "link"], ids=["constants", "variables", "link"])
def served(request, graph, tmp_path):
    """(artifact of a SavedModel, its probabilities for X), as a hook wrote it."""
    train_op = build()
    hook = fh.FreezeHook(**FREEZE, format=fh.SavedModel(variables=request.param), strict=True)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path / "run"), save_checkpoint_steps=2, hooks=[hook]
    ) as session:
        for _ in range(2):
            session.run(train_op, FEEDS)
        probs = session.run("probs:0", {"net/x:0": X, "net/is_training:0": False})
    return hook.artifacts[-1], probs


def test_a_saved_model_is_converted_and_uploaded(served, tmp_path):
    artifact, probs = served
    lite = fh.to_tflite()(artifact)
    assert lite == artifact.path + ".tflite"
    np.testing.assert_allclose(consumers.run_tflite(lite, X), probs, atol=1e-6)
    there = fh.upload(str(tmp_path / "elsewhere"))(artifact)
    (given,) = [info.name for info in artifact.signature.inputs]
    with fh.load_frozen(there) as model:
        np.testing.assert_allclose(model(**{given: X})["probs"], probs, atol=1e-6)
    if lacking("onnx") is None:
        import onnxruntime

        written = fh.to_onnx()(artifact)
        session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
        (found,) = session.run(["probs"], {given: X})
        np.testing.assert_allclose(found, probs, atol=1e-6)


def test_upload_to_where_the_file_is(classifier):
    artifact, _ = classifier
    directory, base = os.path.split(artifact.path)
    assert fh.upload(directory)(artifact) == artifact.path
    assert fh.load_frozen(artifact.path).metadata["step"] == artifact.step
    assert {base, base + ".json"} <= set(os.listdir(directory))


@needs_ram
def test_upload_brings_a_file_back(classifier, tmp_path):
    artifact, _ = classifier
    far = fh.upload("ram://test_after_back")(artifact)
    away = fh.Artifact(far, 2, artifact.signature, {}, artifact.bytes, 0.0, artifact.hash)
    near = fh.upload(str(tmp_path / "back"))(away)
    with open(near, "rb") as copy, open(artifact.path, "rb") as original:
        assert copy.read() == original.read()
    assert frozen_steps(tmp_path / "back") == [2]


def test_upload_to_where_it_cannot_write_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        fh.upload(str(tmp_path / "file" / "models"))
