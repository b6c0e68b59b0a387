"""Freezes functions and SavedModels by each route; prints what each file and TensorFlow's own have.

A line of JSON, {model: {route: {"ops", "theirs", "difference"}}}: how often each op stands in the
file, functions included, and in what TensorFlow's converter makes (None where it cannot), and how
far the file's answers are from those of TensorFlow's loader, or of the function itself.
"""

import collections
import functools
import json
import sys

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

import freeze_hooks as fh
from freeze_hooks import graph_util

v1 = tf.compat.v1
v1.enable_v2_behavior()
ROWS = tf.TensorSpec([None, 4], tf.float32, name="x")
TIMES = tf.TensorSpec([], tf.int32, name="n")
FEEDS = {
    "x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "n": np.int32(3),
    "ids": np.array([3, 1], np.int64),
}


class Net(tf.Module):
    """What all models here are made of."""

    def __init__(self):
        super().__init__()
        random = np.random.RandomState(0)
        self.w = tf.Variable(random.randn(4, 4).astype(np.float32) / 2, name="w")
        self.u = tf.Variable(random.randn(4, 4).astype(np.float32) / 2, name="u")
        self.e = tf.Variable(random.randn(9, 4).astype(np.float32), name="e")


class ManyOutputs(Net):
    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        h = tf.matmul(x, self.w)
        return {key: tf.matmul(h, self.u) + i for i, key in enumerate("abcd")}


class Nested(Net):
    @tf.function
    def inner(self, x):
        return tf.tanh(tf.matmul(x, self.w))

    @tf.function
    def middle(self, x):
        return self.inner(self.inner(x)) + self.inner(-x)

    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        h = self.middle(self.inner(x))
        return {"h": h, "y": self.middle(h), "x again": x}


class Loop(Net):
    @tf.function(input_signature=[ROWS, TIMES])
    def serve(self, x, n):
        for _ in tf.range(n):
            x = tf.tanh(x @ self.w)
            if tf.reduce_sum(x) > 0:
                x = tf.tanh(x - 0.1)
            else:
                x = x * 1.1
                x = x + 0.1
        return {"last": x, "sum": tf.reduce_sum(x, 1)}


class LoopCalledTwice(Loop):
    @tf.function(input_signature=[ROWS, TIMES])
    def twice(self, x, n):
        first = self.serve(x, n)["last"]
        return {"first": first, "second": self.serve(first, n)["last"]}


class CallsInLoops(Nested):
    @tf.function(input_signature=[ROWS, TIMES])
    def run(self, x, n):
        scale = tf.constant([0.5])
        keep = lambda i, _: i < n  # noqa: E731
        step = lambda i, y: (i + 1, self.middle(y) * scale)  # noqa: E731
        return {"y": tf.while_loop(keep, step, [0, x])[1]}


class SharedWeight(Net):
    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        h = tf.matmul(tf.matmul(x, self.w), self.w, transpose_b=True)
        return {"y": h, "total": tf.reduce_sum(self.w)}


class Embedding(Net):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="ids")])
    def serve(self, ids):
        rows = tf.nn.embedding_lookup(self.e, ids)
        return {"rows": rows, "next": tf.gather(self.e, ids + 1), "y": rows @ self.w}


class SameNames(Net):
    """Functions of one name, each with its own body."""

    def __init__(self):
        super().__init__()
        self.steps = [self.step(self.w, 2.0), self.step(self.u, 3.0)]

    @staticmethod
    def step(weight, scale):
        @tf.function
        def step(x):
            if tf.reduce_sum(x) > 0:
                return tf.matmul(x, weight) * scale
            return tf.matmul(x, weight) + scale

        return step

    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        return {"y": self.steps[1](self.steps[0](x)), "z": self.steps[1](x)}


class Branches(Net):
    @tf.function(input_signature=[ROWS])
    def serve(self, x):
        def dense():
            return tf.einsum("ab,bc->ac", x, self.w), tf.nn.softmax(x)

        def shallow():
            return x * 2, tf.nn.softmax(tf.matmul(x, self.u))

        first, second = tf.cond(tf.reduce_mean(x) > 1, dense, shallow)
        return {"first": first, "second": second}


MODELS = {
    "many outputs": (ManyOutputs, "serve"),
    "nested": (Nested, "serve"),
    "loop": (Loop, "serve"),
    "loop called twice": (LoopCalledTwice, "twice"),
    "calls in loops": (CallsInLoops, "run"),
    "shared weight": (SharedWeight, "serve"),
    "embedding": (Embedding, "serve"),
    "same names": (SameNames, "serve"),
    "branches": (Branches, "serve"),
}


def counted(graph_def):
    """How often each op stands in a graph and in the functions that it uses."""
    functions = {f.signature.name: f for f in graph_def.library.function}
    found, stack = list(graph_def.node), list(graph_def.node)
    while stack:
        node = stack.pop()
        names = [node.op]
        for value in node.attr.values():
            names += [value.func.name] + [func.name for func in value.list.func]
        for function in (functions.pop(name, None) for name in names):
            if function is not None:
                found += function.node_def
                stack += function.node_def
    return collections.Counter(node.op for node in found)


def theirs(concrete, lower):
    try:
        frozen = convert_to_constants.convert_variables_to_constants_v2(
            concrete, lower_control_flow=lower
        )
    except Exception as error:
        print(error, file=sys.stderr)
        return None
    return counted(frozen.graph.as_graph_def())


def answers(graph_def, signature):
    """What TensorFlow answers with a file."""
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        fetches = {end.name: end.tensor for end in signature.outputs}
        return session.run(fetches, {end.tensor: FEEDS[end.name] for end in signature.inputs})


def difference(found, expected):
    """Of {name: array} and what a model answers itself."""
    expected = {key.replace(" ", "_"): tensor.numpy() for key, tensor in expected.items()}
    assert sorted(found) == sorted(expected), (found, expected)
    return max(float(np.max(np.abs(found[key] - expected[key]))) for key in expected)


def frozen(freeze, path, lower, expected):
    """What a function that writes a file makes."""
    artifact = freeze(path, lower_control_flow=lower)
    with open(path, "rb") as file:
        graph_def = v1.GraphDef.FromString(file.read())
    found = answers(graph_def, artifact.signature)
    return {"ops": counted(graph_def), "difference": difference(found, expected)}


def dropped_in(concrete, lower, feeds, expected):
    """What the drop-in for TensorFlow's converter makes."""
    made = graph_util.convert_variables_to_constants_v2(concrete, lower_control_flow=lower)
    found = dict(zip(sorted(expected), made(*feeds)))
    found = {key.replace(" ", "_"): tensor.numpy() for key, tensor in found.items()}
    return {"ops": counted(made.graph.as_graph_def()), "difference": difference(found, expected)}


def report(directory, name, make, attribute):
    module = make()
    function = getattr(module, attribute)
    concrete = function.get_concrete_function()
    names = [t.op.name for t in concrete.inputs if t.dtype != tf.resource]
    feeds = {key: tf.constant(FEEDS[key]) for key in names}
    saved, path = f"{directory}/{name}", f"{directory}/{name}.pb"
    signatures = {"serving_default": function, "doubled": doubled(function)}
    tf.saved_model.save(module, saved, signatures=signatures)
    loaded = v1.saved_model.load_v2(saved)
    said = {}
    for lower in (False, True):
        live = function(**feeds)
        made = {
            "function": frozen(functools.partial(fh.freeze_function, function), path, lower, live),
            "drop-in": dropped_in(concrete, lower, feeds.values(), live),
        }
        for route in made:
            made[route]["theirs"] = theirs(concrete, lower)
        for key in signatures:
            freeze = functools.partial(fh.freeze_saved_model, saved, signature=key)
            served = loaded.signatures[key]
            made[key] = frozen(freeze, path, lower, served(**feeds))
            made[key]["theirs"] = theirs(served, lower)
        said.update((f"{route} {lower}", result) for route, result in made.items())
    return said


def doubled(function):
    """Another signature, whose function calls a model's own."""

    def serve(**fed):
        return {key: value + value for key, value in function(**fed).items()}

    specs = function.get_concrete_function().structured_input_signature
    specs = {spec.name: spec for spec in tf.nest.flatten(specs) if isinstance(spec, tf.TensorSpec)}
    return tf.function(serve).get_concrete_function(**specs)


directory = sys.argv[1]
print(json.dumps({name: report(directory, name, *how) for name, how in MODELS.items()}))
