"""Freezing a checkpoint from the command line: our command against TensorFlow's freeze_graph.

    python benchmarks/checkpoint_freeze.py               # results/checkpoint_freeze.json, a table
    python benchmarks/checkpoint_freeze.py --rounds 3

Each turn is a whole process: a bare `import tensorflow`, TensorFlow's tool, ours; they take turns.
Times are net of the import's median; memory is the process's peak (rusage) above the import's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", PYTHONPATH=os.path.dirname(HERE))
MIB = 1 << 20


def deep_net(layers=800):
    """A chain of small dense layers with batch normalization: some 10,000 nodes to freeze."""
    import tensorflow as tf

    v1 = tf.compat.v1
    h = v1.placeholder(tf.float32, [None, 16], "x")
    for i in range(layers):
        with v1.variable_scope(f"layer{i}"):
            w, b = v1.get_variable("w", [16, 16]), v1.get_variable("b", [16])
            mean = v1.get_variable("mean", [16], trainable=False)
            variance = v1.get_variable(
                "variance", [16], trainable=False, initializer=v1.ones_initializer()
            )
            z = tf.nn.batch_normalization(tf.matmul(h, w) + b, mean, variance, None, None, 1e-3)
            h = tf.nn.relu(z)
    return tf.identity(h, name="y")


def vgg16():
    """tf-slim's, for inference at 224 pixels."""
    import tensorflow as tf
    import tf_slim
    from tf_slim.nets import vgg

    images = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3], "x")
    with tf_slim.arg_scope(vgg.vgg_arg_scope()):
        logits, _ = vgg.vgg_16(images, 1000, is_training=False)
    return tf.identity(logits, name="y")


def build(model, directory):
    """In a child process: save a checkpoint of the model, and print what is in it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        {"vgg16": vgg16, "deep": deep_net}[model]()
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, os.path.join(directory, "model.ckpt"))
        needed = v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["y"]).node
        sizes = [v.shape.num_elements() * 4 / MIB for v in v1.global_variables()]
        about = {"nodes": len(graph.get_operations()), "needed": len(needed)}
        about.update(variables=len(sizes), mib=sum(sizes), largest_mib=max(sizes))
        print(json.dumps(about))


def commands(directory):
    """{peer: command} on one checkpoint."""
    prefix = os.path.join(directory, "model.ckpt")
    flags = [
        "--input_meta_graph=" + prefix + ".meta",
        "--input_binary=true",
        "--input_checkpoint=" + prefix,
        "--output_node_names=y",
    ]

    def tool(module, name):
        out = "--output_graph=" + os.path.join(directory, name + ".pb")
        return [sys.executable, "-m", module, *flags, out]

    return {
        "import": [sys.executable, "-c", "import tensorflow"],
        "tensorflow": tool("tensorflow.python.tools.freeze_graph", "theirs"),
        "freeze_hooks": tool("freeze_hooks.freeze_graph", "ours"),
    }


def measured(command):
    """(seconds, peak MiB) of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def run(model, rounds):
    """What one model's checkpoint takes: all figures of all turns."""
    with tempfile.TemporaryDirectory() as directory:
        builder = [sys.executable, os.path.abspath(__file__), "--build", model, directory]
        printed = subprocess.check_output(builder, env=ENV, stderr=subprocess.DEVNULL)
        about = json.loads(printed.decode().splitlines()[-1])
        peers = commands(directory)
        found = {name: [] for name in peers}
        for turn in range(rounds + 1):  # the first warms the file cache up
            for name, command in peers.items():
                figures = measured(command)
                if turn:
                    found[name].append(figures)
    return dict(about, peers=found)


def row(model, result):
    """A line of the table, from medians."""
    medians = {
        name: [statistics.median(column) for column in zip(*turns)]
        for name, turns in result["peers"].items()
    }
    base, theirs, ours = (medians[name] for name in ("import", "tensorflow", "freeze_hooks"))
    cells = [
        model,
        f"{result['needed']:,}",
        f"{result['mib']:.0f}",
        f"{base[0]:.2f}",
        f"{theirs[0] - base[0]:.2f}",
        f"{ours[0] - base[0]:.2f}",
        f"**{(theirs[0] - base[0]) / (ours[0] - base[0]):.1f}x**",
        f"{result['largest_mib']:.0f}",
        f"{theirs[1] - base[1]:.0f}",
        f"{ours[1] - base[1]:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| checkpoint | nodes | MiB | import s | freeze_graph s | ours s | ratio "
    "| largest variable MiB | freeze_graph MiB | ours MiB |\n|" + "---|" * 10
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--build", nargs=2, metavar=("MODEL", "DIRECTORY"))
    args = parser.parse_args()
    if args.build:
        build(*args.build)
        return
    results = {model: run(model, args.rounds) for model in ("vgg16", "deep")}
    with open(os.path.join(HERE, "results", "checkpoint_freeze.json"), "w") as file:
        json.dump(results, file, indent=1)
    print(HEAD)
    for model, result in results.items():
        print(row(model, result))


if __name__ == "__main__":
    main()
