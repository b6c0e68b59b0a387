"""Finds what makes a file give wrong answers, or run only where it was trained."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Container, Dict, Iterable, Iterator, List, Mapping, Sequence, Set, Tuple

from .._protos import to_array
from .body import Body, data_inputs
from .names import split, unique
from .op_registry import comes_with_tensorflow
from .ops import (
    ANY_BATCH_NORM,
    CASES,
    IFS,
    PIPELINE,
    PLACEHOLDERS,
    PYTHON,
    RANDOM,
    SWITCHES,
    TABLES,
    TENSOR_FILLS,
    TRAINING_RESOURCES,
)
from .pipelines import with_cuts

CARRIED = "state"  # kind of finding: what a run leaves to the next one
_NORM = "training_batch_norm"
_PATTERNS = {  # {kind of finding: op types}
    _NORM: ANY_BATCH_NORM,
    "random": RANDOM,
    "python": PYTHON,
    "table": TABLES,
    "resource": TRAINING_RESOURCES,
    "pipeline": PIPELINE,
}
_SHAPE_INPUT = {"Reshape": 1, "Fill": 0, "BroadcastTo": 1, "RandomUniform": 0}
_NAMED_IN_FULL = frozenset(("python", "library"))  # none may stay if the file is to run elsewhere


@dataclasses.dataclass(frozen=True)
class Finding:
    """Read it in `fh.inspect(path).findings`; its text says what is wrong, where, and the remedy.

    Attributes:
      kind: a name for all findings of this sort, such as "unfed".
      nodes: the names of the nodes that it is about.
      problem: what is wrong with them.
      remedy: what to do, such as an argument to pass.
    """

    kind: str
    nodes: Tuple[str, ...]
    problem: str
    remedy: str

    def __str__(self) -> str:
        count = len(self.nodes) if self.kind in _NAMED_IN_FULL else 5
        shown = ", ".join(self.nodes[:count])
        more = f" and {len(self.nodes) - count} more" if len(self.nodes) > count else ""
        return f"{self.problem}: {shown}{more}; {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Asked:
    """How the graph is to be frozen; the findings' remedies depend on it.

    Attributes:
      inputs: {key: tensor of the training graph} of the file's inputs, without those that only a
        pipeline needs.
      unasked: placeholders that are in the graph though inputs= does not name them.
      unused: inputs that the outputs do not need.
      batches: batch sizes of the training that inputs= opened.
      one_call: whether the graph is a function's or model's, to which other remedies apply.
      updates: assignments whose results the outputs need.
      cuts: {tensor of the training graph: dtype and shape} to feed instead of a pipeline.
      carried: {variable or table: the op} that a run reads, and that the op changes for the next.
      outputs: {key: tensor of the training graph} of the file's outputs.
    """

    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unasked: Sequence[str] = ()
    unused: Sequence[str] = ()
    batches: Container[int] = ()
    one_call: bool = False
    updates: Sequence[str] = ()
    cuts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    carried: Mapping[str, str] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)


def lint(bodies: Iterable[Body], asked: Asked = Asked()) -> List[Finding]:
    """Return the findings in a graph and the functions that it uses.

    Args:
      bodies: the graph, with an empty name, then its functions' bodies.
      asked: how it is to be frozen.
    """
    found: Dict[str, List[str]] = {}
    switches: List[str] = []
    bodies = list(bodies)
    functions = {body.name[:-1] for body in bodies}
    for body in bodies:
        filled = _filled_tables(body)
        for node in body.nodes.values():
            op = node.op
            if op not in functions and not comes_with_tensorflow(op):
                found.setdefault("library", []).append(f"{body.name}{node.name} ({op})")
            for kind in _kinds(op):
                if node.name not in filled and (kind != _NORM or _is_training(node, body)):
                    found.setdefault(kind, []).append(body.name + node.name)
        switches += _switching_placeholders(body) if not body.name else []
        if asked.batches:
            found.setdefault("batch", []).extend(body.name + n for n in _baked(body, asked.batches))
    how = _binding(switches)
    remedies = _REMEDIES_OF_FUNCTIONS if asked.one_call else _cutting(asked)
    findings = [
        Finding(kind, tuple(nodes), _SAID[kind][0], remedies.get(kind) or _SAID[kind][1] or how)
        for kind, nodes in sorted(found.items())
        if nodes
    ]
    if switches:
        findings.append(
            Finding("switch", tuple(switches), "a placeholder chooses between branches", how)
        )
    missing = tuple(name for name in asked.unasked if name not in switches)
    if missing:
        remedy = "name them in inputs=, or fix them with bind="
        findings.append(Finding("unfed", missing, "placeholders that inputs= leaves out", remedy))
    findings += _carried(asked, how)
    if asked.updates:
        problem = "updates of variables go into the outputs, as the next step would make them"
        findings.append(Finding("update", tuple(asked.updates), problem, how))
    if asked.unused:
        remedy = "leave them out of inputs=, or name an output that needs them"
        unused = tuple(asked.unused)
        findings.append(Finding("unused", unused, "inputs that no output needs", remedy))
    return findings


def _carried(asked: Asked, how: str) -> Iterator[Finding]:
    """Yield the findings about state, such as a recurrent net's, a counter or a cache."""
    for tables in (False, True):
        names = [n for n, change in asked.carried.items() if change.startswith("Lookup") == tables]
        if not names:
            continue
        by = ", ".join(dict.fromkeys(asked.carried[name] for name in names))
        problem = f"each run reads what the last one left, by {by}, but a file holds it as it is"
        remedy = _REMEDIES_OF_FUNCTIONS[CARRIED]
        if tables:
            remedy = "cut behind its look-ups with inputs=, and keep it outside"
        elif not asked.one_call:
            inputs, outputs = with_cuts(asked.inputs, asked.cuts), dict(asked.outputs)
            for name in names:
                short = name.rsplit("/", 1)[-1]
                inputs[unique(short + "_in", inputs)] = name
                outputs[unique(short + "_out", outputs)] = name
            remedy = (
                "if inference itself carries it on, feed and return it, as in "
                f"inputs={inputs}, outputs={outputs}; if only training does, {how}"
            )
        yield Finding(CARRIED, tuple(names), problem, remedy)


def _cutting(asked: Asked) -> Mapping[str, str]:
    """Return the remedies that name this graph's tensors."""
    if not asked.cuts:
        return {}
    inputs = with_cuts(asked.inputs, asked.cuts)
    are = ", ".join(f"{tensor} is {what}" for tensor, what in asked.cuts.items())
    return {
        "pipeline": f"feed its elements instead: inputs={inputs}, where {are}",
        "python": f"feed what they give instead: inputs={inputs}, where {are}",
    }


def _filled_tables(body: Body) -> Set[str]:
    """Return the tables whose users wait for their initialization."""
    filled_by = {
        "^" + node.name: split(node.input[0])[0]
        for node in body.nodes.values()
        if node.op in TENSOR_FILLS and node.input
    }
    found = set()
    for node in body.nodes.values() if filled_by else ():
        waits = {filled_by[text] for text in node.input if text in filled_by}
        found |= waits & {split(text)[0] for text in data_inputs(node)}
    return found


@functools.lru_cache(maxsize=None)
def _kinds(op: str) -> Sequence[str]:
    return [kind for kind, pattern in _PATTERNS.items() if pattern.match(op)]


def _is_training(norm: Any, body: Body) -> bool:
    return is_training(norm) and not is_layer_norm(norm, body)


def is_training(norm: Any) -> bool:
    """Return whether a batch norm takes the statistics of its batch, as it does by default."""
    return "is_training" not in norm.attr or bool(norm.attr["is_training"].b)


def is_layer_norm(norm: Any, body: Body) -> bool:
    """Return whether this is tf_keras's layer norm: a batch norm scaled by a 1 per example."""
    scale = body.nodes[split(norm.input[1])[0]]
    return scale.op == "Fill" and body.nodes[split(scale.input[0])[0]].op != "Const"


def _baked(body: Body, batches: Container[int]) -> List[str]:
    """Return constants that begin with the training's batch size: shapes and states."""
    found: Dict[str, None] = {}
    for node in body.nodes.values():
        index = _SHAPE_INPUT.get(node.op)
        if index is None:
            continue
        name = split(node.input[index])[0]
        if body.nodes[name].op == "Const" and "value" in body.nodes[name].attr:
            shape = to_array(body.nodes[name].attr["value"].tensor).reshape(-1)
            if shape.size and int(shape[0]) in batches:
                found[name] = None
    for node in body.nodes.values():
        if node.op == "Const" and "value" in node.attr:
            tensor = node.attr["value"].tensor
            dims = [dim.size for dim in tensor.tensor_shape.dim]
            # a state of zeros is stored as a single value
            if len(dims) > 1 and dims[0] in batches and len(tensor.tensor_content) == 0:
                found[node.name] = None
    return list(found)


def _switching_placeholders(body: Body) -> List[str]:
    found: Dict[str, None] = {}
    for node in body.nodes.values():
        if node.op in SWITCHES or node.op in IFS or node.op in CASES:
            index = 1 if node.op in SWITCHES else 0
            source = split(data_inputs(node)[index])[0]
            while body.nodes[source].op in ("Identity", "LogicalNot", "Cast"):
                source = split(body.nodes[source].input[0])[0]
            if body.nodes[source].op in PLACEHOLDERS:
                found[source] = None
    return list(found)


def _binding(switches: List[str]) -> str:
    if switches:
        return f"fix it for inference, as in bind={{'{switches[0]}:0': False}}"
    return "build the net once more with is_training=False, in inference_fn="


_SAID: Dict[str, Tuple[str, str]] = {  # problem, remedy ("": what _binding says)
    "batch": (
        "the training's batch size is a constant in the graph, and no other may work",
        "build these with tf.shape(x)[0] instead of a static size, or use inference_fn=",
    ),
    "training_batch_norm": (
        "batch normalization in training mode uses the statistics of each batch",
        "",
    ),
    "random": ("random ops put noise into the answer (dropout left on?)", ""),
    "python": (
        "Python functions run only in the process that made them",
        "cut behind them with inputs=",
    ),
    "library": (
        "ops of a library that is not a part of TensorFlow run only where it is loaded",
        "load it there, or cut behind them with inputs=",
    ),
    "table": (
        "lookup tables that nothing in the graph can fill are empty in a new process",
        "initialize them from constants or a file, or cut behind the look-up with inputs=",
    ),
    "resource": (
        "state that training keeps outside of variables is not in the file, so it does not run",
        "cut behind it with inputs=, or deploy a SavedModel",
    ),
    "pipeline": (
        "an input pipeline cannot travel in the file",
        "cut behind it with inputs=, and feed its elements",
    ),
}
_REMEDIES_OF_FUNCTIONS = {
    "training_batch_norm": "trace the function for inference, with training=False",
    "random": "trace the function for inference, with training=False",
    "python": "write them with TensorFlow's ops",
    "pipeline": "pass its elements as arguments",
    CARRIED: "make it an argument, and return its new value (of a Keras RNN: stateful=False, "
    "initial_state= an input, return_state=True)",
}
