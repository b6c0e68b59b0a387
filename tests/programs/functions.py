"""Freezes tf.functions, in eager mode; a process of its own, since TensorFlow 1.15 must choose it.

python functions.py DIRECTORY

Prints a line of JSON: what the functions themselves answer, and what the plans say.
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf

import freeze_hooks as fh

if tf.__version__.startswith("1."):
    tf.compat.v1.enable_eager_execution()
directory = sys.argv[1]
X = np.arange(12, dtype=np.float32).reshape(4, 3) - 5


def spec(shape, dtype=tf.float32, name=None):
    return tf.TensorSpec(shape, dtype, name=name)


def path(name):
    return os.path.join(directory, name)


def error_of(call):
    try:
        call()
    except fh.FreezeError as error:
        return type(error).__name__ + ": " + str(error)
    return None


weights = tf.Variable(np.ones((3, 2), np.float32), name="weights")
offset = tf.constant([1.0, 2.0])
half = tf.Variable(tf.cast([1.0, 2.0], tf.bfloat16), name="half")
words = tf.Variable(["a\0", "b"], name="words")
table = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(["yes", "no"], tf.constant([5, 6], tf.int64)), -1
)
rows = tf.Variable(np.random.RandomState(0).randn(50000, 100).astype(np.float32), name="rows")


@tf.function(input_signature=[spec([None, 3], name="x"), spec([None], tf.string, "key")])
def everything(x, key):
    if tf.reduce_sum(x) > 0:
        x = x + 1.0
    for _ in tf.range(3):
        x = x * 2.0
    found = tf.constant(0, tf.int64)
    if tf.size(key) > 1:  # a table that is used in a branch
        found = table.lookup(key)[1]
    product = tf.matmul(x, weights) + offset + tf.cast(half, tf.float32)
    return {"product": product, "found": {"first": table.lookup(key), "second": found}, "w": words}


@tf.function
def gathers(ids):
    return tf.nn.embedding_lookup(rows, ids), tf.shape(rows)


keys = ["no", "what"]
plan = fh.plan_function(everything)
said = {"inputs": [i.name for i in plan.signature.inputs]}
said["outputs"] = [o.name for o in plan.signature.outputs]
said["again"] = fh.plan_function(everything).plan.pieces == plan.plan.pieces
plan.write(path("one.pb"), step=1, metrics={"loss": 0.5})
weights.assign(weights * 3)
answers = everything(tf.constant(X), tf.constant(keys))
plan.write(path("two.pb"), step=2)
said["two"] = answers["product"].numpy().tolist()
said["negative"] = everything(tf.constant(-X), tf.constant(keys))["product"].numpy().tolist()
said["first"] = answers["found"]["first"].numpy().tolist()

artifact = fh.freeze_function(gathers, path("rows.pb"), input_signature=[spec([None], tf.int32)])
said["rows"] = [[o.name for o in artifact.signature.outputs], artifact.bytes]
named = fh.plan_function(
    lambda a, b: (a + b, a), input_signature=[spec([2]), spec([2])], outputs=["sum", "a2"]
)
said["named"] = [
    [i.name for i in named.signature.inputs],
    [o.name for o in named.signature.outputs],
]

dataset = iter(tf.data.Dataset.range(3))
said["errors"] = [
    error_of(lambda: fh.plan_function(lambda x: x)),
    error_of(lambda: fh.plan_function(tf.function(lambda x: x))),
    error_of(
        lambda: fh.plan_function(
            named and gathers, input_signature=[spec([1], tf.int32)], outputs=["a"]
        )
    ),
    error_of(
        lambda: fh.plan_function(
            lambda x: x + tf.cast(next(dataset), tf.float32), input_signature=[spec([1])]
        )
    ),
    error_of(
        lambda: fh.plan_function(
            lambda x: weights.scatter_nd_add([[0]], x[:1]), input_signature=[spec([3, 2])]
        )
    ),
]
print(json.dumps(said))
