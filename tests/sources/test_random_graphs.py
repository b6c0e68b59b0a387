"""A property of every graph: its frozen file answers as the session it was frozen from.

    RANDOM_GRAPHS=20000 pytest tests/sources/test_random_graphs.py --hypothesis-seed=1

checks more graphs than a plain run, which checks the same 300 each time.
"""

import os
import tempfile

import numpy as np
import tensorflow as tf
from frozen_files import read_graph_def
from hypothesis import assume, given, reject, settings
from random_graphs import cases

import freeze_hooks as fh

v1 = tf.compat.v1
MORE = os.environ.get("RANDOM_GRAPHS")
LIMITED = v1.RunOptions(timeout_in_ms=60000)  # an endless loop is an error, not a hang
COMMON = settings(derandomize=MORE is None)


def unoptimized():
    """Return a session without Grappler, which may change two equal graphs in different ways."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = v1.OptimizerOptions.L0
    return v1.Session(config=config)


def run_here(path, feeds, fetches):
    with tf.Graph().as_default():
        v1.import_graph_def(read_graph_def(path), name="")
        with unoptimized() as session:
            return [session.run(fetches, feed, options=LIMITED) for feed in feeds]


def check(case, run):
    with tempfile.TemporaryDirectory() as directory, case.graph.as_default():
        path = os.path.join(directory, "frozen.pb")
        with unoptimized() as session:
            session.run(v1.global_variables_initializer())
            try:
                live = [
                    session.run(case.outputs, dict(feed, **case.fixed), options=LIMITED)
                    for feed in case.feeds
                ]
            except tf.errors.DeadlineExceededError:
                reject()  # a loop is endless with this feed
            made = fh.freeze_session(session, path, **case.arguments)
        signature = made.signature
        live_names = {end.name: end.tensor for end in signature.inputs}
        asked = case.arguments.get("inputs")
        if isinstance(asked, dict):
            source = {key: tensor.name for key, tensor in asked.items()}
        else:
            names = [tensor.name for feed in case.feeds[:1] for tensor in asked or ()]
            source = {live_names_key(n): n for n in names or case.feeds[0]}
        feeds = [
            {tensor: feed[source[name]] for name, tensor in live_names.items()}
            for feed in case.feeds
        ]
        frozen = run(path, feeds, [end.tensor for end in signature.outputs])
    for ours, theirs in zip(frozen, live):
        for end, a, b in zip(signature.outputs, ours, theirs):
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_array_equal(a, b, err_msg=end.name)


def live_names_key(name):
    """Return the name of an input that was given none: a for a:0, a_1 for a:1."""
    node, port = name.split(":")
    return node if port == "0" else f"{node}_{port}"


@settings(COMMON, max_examples=int(MORE or 300))
@given(case=cases())
def test_frozen_answers_as_live(case):
    check(case, run_here)


@settings(COMMON, max_examples=15)
@given(case=cases())
def test_in_a_clean_process(clean, case):
    assume(all(tensor.dtype != tf.string for tensor in case.outputs))  # .npz holds no strings
    check(
        case,
        lambda path, feeds, fetches: [
            clean.run(path, feed, fetches, optimize=False) for feed in feeds
        ],
    )
