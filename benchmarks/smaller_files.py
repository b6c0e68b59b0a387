"""The effect of weights= and optimize= on a file: its size, its answers, its speed in TensorFlow.

    python benchmarks/smaller_files.py              # results/smaller_files.json and a table

Only the digits net is trained; the other weights are random. Batch norms have random statistics. A
difference is the largest one of the outputs, relative to the largest output. The files run without
TensorFlow's own optimizers, which would fold the same nodes at load.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import freeze_hooks as fh

HERE = os.path.dirname(os.path.abspath(__file__))
WAYS = {
    "as it is": {},
    "float16": {"weights": "float16"},
    "bfloat16": {"weights": "bfloat16"},
    "optimize": {"optimize": True},
}


def stirred(model, random):
    """Return the model with random statistics in its batch norms."""
    for variable in model.non_trainable_variables:
        if variable.path.endswith("moving_mean"):
            variable.assign(random.normal(0, 0.1, variable.shape))
        if variable.path.endswith("moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def application(name):
    def build(random):
        model = getattr(tf.keras.applications, name)(weights=None, classifier_activation=None)
        return stirred(model, random), random.rand(4, 224, 224, 3).astype(np.float32)

    return build


def digits(random):
    """Build a conv net with batch norm, and train it on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = (data.images[..., None] / 16).astype(np.float32)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(32, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(64, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(x[:1500], data.target[:1500], epochs=8, verbose=0)
    return model, x[1500:]


def lstm(random):
    """Build an embedding of 20,000 words and an LSTM."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((40,), dtype="int32"),
            layers.Embedding(20000, 64),
            layers.LSTM(128),
            layers.Dense(5),
        ]
    )
    return model, random.randint(0, 20000, (32, 40)).astype(np.int32)


MODELS = {
    "digits, trained": digits,
    "MobileNetV2": application("MobileNetV2"),
    "ResNet50": application("ResNet50"),
    "embedding and LSTM": lstm,
}


def unoptimized(path):
    """Return a function that runs a file without optimizers, and the file's number of nodes."""
    v1 = tf.compat.v1
    graph_def = v1.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    signature = fh.inspect(path).signature
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default() as graph:
        v1.import_graph_def(graph_def, name="")
    session = v1.Session(graph=graph, config=config)
    fetch, feed = signature.outputs[0].tensor, signature.inputs[0].tensor
    return (lambda x: session.run(fetch, {feed: x})), len(graph_def.node)


def measured(model, x, directory, rounds):
    """Return {way: figures} of one model; the ways take turns."""
    runs, found, answers = {}, {}, {}
    for way, how in WAYS.items():
        path = os.path.join(directory, way + ".pb")
        start = time.perf_counter()
        made = fh.freeze_keras_model(model, path, **how)
        seconds = time.perf_counter() - start
        runs[way], nodes = unoptimized(path)
        found[way] = {"bytes": made.bytes, "nodes": nodes, "freeze": seconds, "run": []}
    for turn in range(rounds + 1):
        for way, run in runs.items():
            start = time.perf_counter()
            answers[way] = run(x)
            if turn:
                found[way]["run"].append(time.perf_counter() - start)
    scale = np.abs(answers["as it is"]).max()
    for way, answer in answers.items():
        found[way]["difference"] = float(np.abs(answer - answers["as it is"]).max() / scale)
        same = answer.argmax(-1) == answers["as it is"].argmax(-1)
        found[way]["same_class"] = float(same.mean())
    return found


def row(model, way, result):
    plain = result["as it is"]
    figures = result[way]
    run, before = (statistics.median(each["run"]) for each in (figures, plain))
    cells = [
        model,
        way,
        f"{figures['bytes'] / 1e6:.2f}",
        f"{figures['nodes']}",
        f"{figures['difference']:.1e}",
        f"{figures['same_class']:.1%}",
        f"{figures['freeze']:.2f}",
        f"{run * 1e3:.1f}",
        f"{run / before:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| model | file | MB | nodes | difference | same class | freeze s | run ms | ratio |\n|"
    + "---|" * 9
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    tf.keras.utils.set_random_seed(0)
    results = {}
    print(HEAD)
    for name, build in MODELS.items():
        model, x = build(np.random.RandomState(0))
        with tempfile.TemporaryDirectory() as directory:
            results[name] = measured(model, x, directory, args.rounds)
        for way in WAYS:
            print(row(name, way, results[name]), flush=True)
    with open(os.path.join(HERE, "results", "smaller_files.json"), "w") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
