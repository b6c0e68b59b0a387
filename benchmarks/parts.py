"""The parts of the benchmark, with their models and processes.

This module does not import TensorFlow: ru_maxrss of a new process includes its parent's memory
until it has started, so that the parent must be small.
"""

import functools
from collections import namedtuple

import checkpoint_freeze
from measure import apart

MEMORY_FROM = 50  # MiB: smaller files need little memory, and measuring it takes long
Part = namedtuple("Part", "run models quick")
Part.__doc__ = """One part: run(name, options) returns a model's numbers as JSON; `models` are the
default models, `quick` those for a short trial."""


def _once(module, name, options, **more):
    """Return the numbers of one process."""
    more.update(name=name, rounds=options.rounds, directory=options.dir)
    return apart(module, "times", **more)


def _with_memory(module, peers, name, options):
    """Return the same, and for large files each peer's memory. Each peer has a separate process:
    memory that one peer leaves would hide the memory of the next."""
    result = _once(module, name, options)
    if options.quick or result["file_mib"] >= MEMORY_FROM:
        result["memory_mib"] = _memory(module, peers, name, options)
    return result


def _memory(module, peers, name, options):
    return {
        peer: apart(module, "memory_of", name=name, peer=peer, directory=options.dir)
        for peer in peers
    }


def _scaling(name, options):
    """Measure one matrix, unless the part `session` has measured it in this run."""
    if name in options.measured:
        return options.measured[name]
    return _once("session_freeze", name, options, only=["freeze", "saver", "converter", "raw"])


def _saved_model(name, options):
    """Measure a model that has the peers of a session, or those of a Keras model."""
    result = _once("saved_models", name, options)
    if options.quick or result["file_mib"] >= MEMORY_FROM:
        peers = [peer for peer in result["seconds"] if peer != "raw"]
        result["memory_mib"] = _memory("saved_models", peers, name, options)
    return result


def _checkpoint(name, options):
    return checkpoint_freeze.times(name, options.rounds, options.dir)


_session = functools.partial(
    _with_memory, "session_freeze", ["freeze", "stall", "saver", "converter"]
)
_keras = functools.partial(_with_memory, "keras_freeze", ["freeze", "background", "v2", "keras"])
_proofs = functools.partial(_with_memory, "proofs", ["plain", "first", "later", "read_back"])
PROVED = ["digits", "resnet50", "vgg16", "lstm_100", "bert_12", "table_100k"]
PROVED_KERAS = ["digits", "resnet50", "vgg16", "lstm", "bert", "table"]

PARTS = {
    "session": Part(
        _session,
        ["digits", "mobilenet_v2", "resnet50", "vgg16", "embedding_1900", "nodes_20k", "rnn_500"],
        ["digits", "rnn_20"],
    ),
    "keras": Part(_keras, ["digits", "mobilenet_v2", "resnet50", "embedding"], ["digits"]),
    "checkpoint": Part(_checkpoint, ["vgg16", "lstm_263", "deep_556"], ["deep_20"]),
    "plan": Part(
        functools.partial(_once, "plan_nodes"),
        ["nodes_1k", "nodes_10k", "nodes_20k", "nodes_100k"],
        ["nodes_1k", "nodes_2k"],
    ),
    "scaling": Part(
        _scaling,
        ["embedding_1", "embedding_8", "embedding_64", "embedding_512", "embedding_1900"],
        ["embedding_1", "embedding_4"],
    ),
    "shares": Part(
        functools.partial(_once, "shares"),
        ["resnet50", "embedding_512", "embedding_1900"],
        ["digits"],
    ),
    "verify": Part(_proofs, [*PROVED, *("keras_" + name for name in PROVED_KERAS)], ["digits"]),
    "saved_model": Part(
        _saved_model,
        ["digits", "resnet50", "keras_digits", "keras_resnet50", "keras_vgg16"],
        ["digits", "keras_digits"],
    ),
    "throughput": Part(functools.partial(_once, "throughput"), ["convnet"], ["convnet"]),
}
