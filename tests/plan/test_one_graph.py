"""Random graphs with two signatures: each answers as its session does."""

import os

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import freeze_hooks as fh

v1 = tf.compat.v1
SIZE = 6


def built(choices):
    """A graph of one placeholder, two variables, and an op for each choice; its ops' names."""
    tensors = [v1.placeholder(tf.float32, [2], name="x")]
    tensors += [v1.get_variable(f"w{i}", [2]) for i in range(2)]
    for i, (kind, one, other) in enumerate(choices):
        a, b = tensors[one % len(tensors)], tensors[other % len(tensors)]
        made = (tf.add, tf.multiply, lambda a, b, name: tf.tanh(a, name), tf.maximum)[kind]
        tensors.append(made(a, b, name=f"op{i}"))
    return [f"op{i}" for i in range(len(choices))]


OPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 20)),
    min_size=SIZE,
    max_size=SIZE,
)
NODE = st.integers(0, SIZE - 1)


@settings(max_examples=40, deadline=None)
@given(OPS, NODE, NODE, NODE, st.booleans())
def test_two_signatures(tmp_path_factory, choices, main, other, cut, equal_names):
    path = str(tmp_path_factory.mktemp("m") / "m.pb")
    with tf.Graph().as_default() as graph:
        names = built(choices)
        cut = min(cut, other)
        ends = {"y": names[other]} if equal_names else [names[other]]
        out = "y" if equal_names else names[other]
        main_out = {"y": names[main]}
        feeds = np.array([0.5, -1.5], np.float32)
        with v1.Session(graph=graph) as live:
            live.run(v1.global_variables_initializer())
            signatures = {"other": ({"c": names[cut], "x": "x"}, ends)}
            fh.freeze_session(live, path, main_out, signatures=signatures)
            wanted = live.run(names[main] + ":0", {"x:0": feeds})
            # a fed tensor that is also fetched is itself
            wanted_other = live.run(
                names[other] + ":0", {"x:0": feeds, names[cut] + ":0": -2 * feeds}
            )
    with fh.load_frozen(path) as model:
        given_x = {"x": feeds} if "x" in model.inputs else {}
        np.testing.assert_array_equal(model(given_x)["y"], wanted)
        each = model.signatures["other"]
        fed = {"c": -2 * feeds, "x": feeds}
        answer = each({name: fed[name] for name in each.inputs})
        np.testing.assert_array_equal(answer[out], wanted_other)
    os.remove(path)
