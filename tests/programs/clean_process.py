"""Runs frozen files in a process that knows TensorFlow and nothing of freeze_hooks.

Reads lines of JSON {"path", "feeds": npz path, "fetches": [names], "out": npz path, "optimize":
whether TensorFlow may rewrite the graph (it never does a large one, which takes gigabytes)}, and
answers each with a line: "ok", or the error.
"""

import gc
import json
import os
import sys

import numpy as np
import tensorflow as tf

LARGE = 32 << 20  # bytes


def run(path, feeds, fetches, optimize):
    graph_def = tf.compat.v1.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimize
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph, config=config) as session:
            return session.run(fetches, feeds)


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        task = json.loads(line)
        try:
            with np.load(task["feeds"], allow_pickle=True) as feeds:
                large = os.path.getsize(task["path"]) > LARGE
                optimize = task["optimize"] and not large
                values = run(task["path"], dict(feeds), task["fetches"], optimize)
            if large:
                gc.collect()  # graphs refer to themselves
            np.savez(task["out"], **{f"v{i}": v for i, v in enumerate(values)})
            answer = "ok"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        assert "freeze_hooks" not in sys.modules
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
