"""Runs a frozen file with TensorFlow alone, as any program would. It is a program itself.

    python run_standalone.py FILE WHERE

WHERE is a directory. The program reads there:
  batch-0.npz, batch-1.npz, ...: the feeds, {tensor name: array};
  names.json: {"fetches": [tensor names], "dtypes": [for each batch, {tensor name: dtype} of
  arrays whose dtype NumPy cannot save]}.
It writes there:
  found-0.npz, found-1.npz, ...: {index in "fetches": array};
  found.json: for each batch, {index: dtype} of arrays whose dtype NumPy cannot save.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, Iterable, List, Mapping, Sequence

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
Arrays = Mapping[str, Any]


def answers(path: str, batches: Iterable[Arrays], fetches: Sequence[str]) -> List[List[Any]]:
    """Return, for each batch {tensor name: array}, the values of `fetches` (tensor names).

    Raises:
      ValueError: an array has another dtype than the tensor that it is fed to.
    """
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        if os.path.basename(path) == "saved_model.pb":
            v1.saved_model.loader.load(session, ["serve"], os.path.dirname(path))
        else:
            tf.import_graph_def(_graph_def(path), name="")
        return [session.run(list(fetches), _checked(graph, batch)) for batch in batches]


def _graph_def(path: str) -> Any:
    graph_def = v1.GraphDef()
    with tf.io.gfile.GFile(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    return graph_def


def _checked(graph: Any, batch: Arrays) -> Dict[str, Any]:
    for name, value in batch.items():
        dtype = graph.get_tensor_by_name(name).dtype.base_dtype
        if dtype != tf.string and np.asarray(value).dtype != dtype.as_numpy_dtype:
            raise ValueError(f"{name} is {dtype.name} in it, and is fed {np.asarray(value).dtype}")
    return dict(batch)


def write_arrays(path: str, arrays: Arrays) -> Dict[str, str]:
    """Write an .npz file; return {name: TensorFlow's dtype} for dtypes that NumPy cannot save."""
    odd = {}
    plain: Dict[str, Any] = {}
    for name, value in arrays.items():
        array = np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)
        if array.dtype.kind == "V":
            odd[name] = tf.as_dtype(array.dtype).name
            array = np.ascontiguousarray(array).view(np.dtype(f"u{array.dtype.itemsize}"))
        plain[name.replace("/", "|")] = array  # a "/" would be a directory in the file
    np.savez(path, **plain)
    return odd


def read_arrays(path: str, odd: Mapping[str, str]) -> Dict[str, Any]:
    """Read a file that `write_arrays` wrote; `odd` is what it returned."""
    with np.load(path, allow_pickle=True) as held:
        found = {name.replace("|", "/"): held[name] for name in held.files}
    for name, dtype in odd.items():
        found[name] = found[name].view(tf.as_dtype(dtype).as_numpy_dtype)
    return found


def main(path: str, where: str) -> None:
    """Run a file on the batches in a directory, and write the results there."""
    with open(os.path.join(where, "names.json")) as file:
        asked = json.load(file)
    batches = [
        read_arrays(os.path.join(where, f"batch-{i}.npz"), odd)
        for i, odd in enumerate(asked["dtypes"])
    ]
    odd = []
    for i, found in enumerate(answers(path, batches, asked["fetches"])):
        arrays = {str(place): value for place, value in enumerate(found)}
        odd.append(write_arrays(os.path.join(where, f"found-{i}.npz"), arrays))
    with open(os.path.join(where, "found.json"), "w") as file:
        json.dump(odd, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
