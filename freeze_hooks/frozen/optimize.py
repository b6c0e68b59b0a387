"""Optimizes a frozen graph, with TensorFlow's own optimizers too. All of it must be in memory."""

from __future__ import annotations

from typing import Iterator

from .. import _tf
from .._protos import GraphDef
from ..graph.body import Body
from ..graph.names import split
from ..graph.passes.batch_norms import fold_batch_norms
from ..graph.prune import prune
from ..plan.compiler import plan_frozen
from ..plan.types import FreezePlan
from ..signature import input_tensors, output_tensors
from ..values.value import Value
from .stream import graph_def_of


def optimized(plan: FreezePlan, values: Iterator[Value]) -> FreezePlan:
    """Return a plan without slots: `plan` with these values as constants, simplified.

    First, batch normalizations are folded into the convolutions before them. Then Grappler's
    pruning, constant folding, arithmetic and dependency passes run. Inputs and outputs keep their
    names. Grappler's remapper does not run: only TensorFlow knows its fused ops.
    """
    graph_def = graph_def_of(plan, values)
    inputs = input_tensors(plan.signatures.values())
    outputs = output_tensors(plan.signatures.values())
    body = Body({node.name: node for node in graph_def.node}, outputs)
    if fold_batch_norms(body):
        kept = prune(body).nodes
        missing = [split(name)[0] for name in inputs if split(name)[0] not in kept]
        folded = GraphDef(versions=graph_def.versions, library=graph_def.library)
        folded.node.extend([*kept.values(), *(body.nodes[name] for name in missing)])
        graph_def = folded
    ends = list(dict.fromkeys(split(text)[0] for text in inputs + outputs))
    return plan_frozen(_tf.grappled(graph_def, ends), plan)
