"""Reads a SavedModel as a server would, and writes its answers; it knows nothing of freeze_hooks.

    python served.py READER DIRECTORY FEEDS.npz ANSWERS.npz

FEEDS has an array for each input of the signature, ANSWERS one for each output.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def loaded(directory, feeds):
    """By tf.saved_model.load, which TensorFlow 1.15 has as one of TensorFlow 2."""
    v1.enable_eager_execution()
    answer = tf.compat.v2.saved_model.load(directory).signatures["serving_default"]
    given = {name: tf.constant(value) for name, value in feeds.items()}
    return {name: value.numpy() for name, value in answer(**given).items()}


def session(directory, feeds):
    """By TensorFlow 1's loader, whose signature names the tensors."""
    with tf.Graph().as_default(), v1.Session() as live:
        ends = v1.saved_model.loader.load(live, ["serve"], directory)
        ends = ends.signature_def["serving_default"]
        fed = {ends.inputs[name].name: value for name, value in feeds.items()}
        return live.run({name: end.name for name, end in ends.outputs.items()}, fed)


def c_api(directory, feeds):
    """By TensorFlow's C API, in the program of examples/c_api, which takes the tensors' names."""
    from c_api import build, run
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    with open(os.path.join(directory, "saved_model.pb"), "rb") as file:
        (graph,) = SavedModel.FromString(file.read()).meta_graphs
    ends = graph.signature_def["serving_default"]
    ((name, value),), ((answer, end),) = feeds.items(), ends.outputs.items()
    with tempfile.TemporaryDirectory() as place:
        flat = run(build(place), directory, ends.inputs[name].name, value, end.name)
    return {answer: flat.reshape([dim.size for dim in end.tensor_shape.dim])}


def layer(directory, feeds):
    """By Keras 3's TFSMLayer."""
    import keras

    made = keras.layers.TFSMLayer(directory, call_endpoint="serving_default")
    (given,) = feeds.values()  # it takes one positional argument
    return {name: np.asarray(value) for name, value in made(given).items()}


def saved_model_cli(directory, feeds):
    """By the command that comes with TensorFlow."""
    start = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    which = ["--dir", directory, "--tag_set", "serve", "--signature_def", "serving_default"]
    shown = subprocess.run([*start, "show", *which], stdout=subprocess.PIPE, check=True).stdout
    for name in feeds:
        assert f"inputs['{name}']" in shown.decode()
    with tempfile.TemporaryDirectory() as place:
        given = []
        for name, value in feeds.items():
            np.save(os.path.join(place, "in.npy"), value)
            given.append(f"{name}={os.path.join(place, 'in.npy')}")
        run = ["run", *which, "--inputs", ";".join(given), "--outdir", place]
        subprocess.run([*start, *run], stdout=subprocess.PIPE, check=True)
        files = [name for name in os.listdir(place) if name != "in.npy"]
        return {name[: -len(".npy")]: np.load(os.path.join(place, name)) for name in files}


def tflite(directory, feeds):
    """By TensorFlow Lite's converter and interpreter."""
    converter = tf.lite.TFLiteConverter.from_saved_model(directory)
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    if hasattr(interpreter, "get_signature_runner"):
        return interpreter.get_signature_runner("serving_default")(**feeds)
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    ((name, value),) = feeds.items()
    assert given["name"] == name
    interpreter.resize_tensor_input(given["index"], value.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], value)
    interpreter.invoke()
    return {taken["name"]: interpreter.get_tensor(taken["index"])}


def openvino(directory, feeds):
    """By OpenVINO, in float32: its default here is bfloat16."""
    import openvino as ov

    model = ov.compile_model(directory, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model(feeds)
    names = [next(iter(port.get_names())) for port in model.outputs]
    return {name.split(":")[0]: found[index] for index, name in enumerate(names)}


def tf2onnx(directory, feeds):
    """By tf2onnx and ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "model.onnx")
        convert = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", directory]
        convert += ["--output", path, "--signature_def", "serving_default", "--tag", "serve"]
        subprocess.run(convert, check=True, capture_output=True)
        runner = onnxruntime.InferenceSession(path)
        names = [output.name for output in runner.get_outputs()]
        return dict(zip(names, runner.run(names, feeds)))


def main(reader, directory, feeds, answers):
    with np.load(feeds, allow_pickle=True) as given:
        found = globals()[reader](directory, dict(given))
    np.savez(answers, **found)
    assert "freeze_hooks" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
