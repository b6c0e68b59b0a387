"""Runs a frozen file with TensorFlow alone, as any program would; also as a program of its own.

    python run_standalone.py FILE FEEDS.npz NAMES.json OUT.npz

NAMES.json holds {"feeds": [tensor names], "fetches": [tensor names]}; arrays are called by their
places in these lists.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Iterable, List, Mapping

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def answers(path: str, feeds: Mapping[str, Any], fetches: Iterable[str]) -> List[Any]:
    """The values of `fetches` (tensor names), given {tensor name: array}."""
    graph_def = v1.GraphDef()
    with tf.io.gfile.GFile(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph) as session:
            return list(session.run(list(fetches), dict(feeds)))


def main(path: str, feeds: str, names: str, out: str) -> None:
    """Run a file with what is in other files."""
    with open(names) as file:
        asked = json.load(file)
    with np.load(feeds, allow_pickle=True) as given:
        fed = {name: given[str(i)] for i, name in enumerate(asked["feeds"])}
    found = answers(path, fed, asked["fetches"])
    np.savez(out, **{str(i): value for i, value in enumerate(found)})


if __name__ == "__main__":
    main(*sys.argv[1:])
