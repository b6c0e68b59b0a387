"""Finds ops that reach out of a graph: to files, the network, Python or devices."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from ..errors import NotFreezableError
from .body import UNSET
from .functions import Library
from .lint import Finding
from .op_registry import comes_with_tensorflow, op_def
from .ops import REACHES, REACHES_WHERE, REPORTS, SAVES, USUAL_FILES
from .walks import above, all_nodes

_LIBRARY = ("library", "runs code of a library that is not a part of TensorFlow")
_REMEDY = "a model needs none of these; load such a file only if you trust who wrote it"


def side_effects(graph_def: Any) -> List[Finding]:
    """Return a finding for each kind of op, in a graph and its library, that reaches out of it.

    Nodes that no output needs count too, since a session can run them. Ops of other loaded
    libraries count, since nobody knows what they do. Unknown ops cannot run, and do not count.
    An op such as FixedUnigramCandidateSampler counts if an attribute names a file.
    """
    nodes = [("", node) for node in graph_def.node]
    for function in graph_def.library.function:
        nodes += [(function.signature.name + "/", node) for node in function.node_def]
    found: Dict[str, List[str]] = {}
    for scope, node in nodes:
        for kind in _kinds(node):
            found.setdefault(kind, []).append(f"{scope}{node.name} ({node.op})")
    problems = {kind: problem for kind, problem, _ in REACHES}
    problems.update([_LIBRARY])
    return [Finding(k, tuple(names), problems[k], _REMEDY) for k, names in sorted(found.items())]


def refuse_to_run(graph_def: Any, what: str, roots: Optional[Iterable[str]] = None) -> None:
    """Check that no part of a graph from a file writes files or uses the network when it runs.

    Reading files, such as vocabularies, is allowed.

    Args:
      graph_def: the graph.
      what: why it would run, for the message.
      roots: the tensors or ops to run; in all else, the ops of a Saver are allowed. None is all.

    Raises:
      NotFreezableError: the graph has such an op; names the op.
    """
    for node in all_nodes(graph_def):
        kinds = {"files", "network", "process"} & set(_kinds(node))
        if kinds and not (node.op in USUAL_FILES or (node.op in SAVES and roots is not None)):
            raise _refusal(node, what)
    nodes = {node.name: node for node in graph_def.node}
    run = [nodes[name] for name in above(nodes, roots or ())]
    for function in Library(graph_def.library).used_by(run) if run else ():
        run += function.node_def
    for node in run:
        if node.op in SAVES:
            raise _refusal(node, what)


def _refusal(node: Any, what: str) -> NotFreezableError:
    return NotFreezableError(
        f"{what} would run {node.op} {node.name!r}, which reaches out of the graph; if you "
        "trust who wrote it, load it yourself, and freeze the session or function"
    )


def silence(graph_def: Any) -> bool:
    """Replace prints and summaries that write files by ops that do nothing, in place.

    Returns:
      Whether there were any.
    """
    found = [n for n in all_nodes(graph_def) if REPORTS.fullmatch(n.op) and _kinds(n)]
    for node in found:
        controls = [text for text in node.input if text.startswith("^")]
        node.op = "NoOp"
        node.attr.clear()
        node.input[:] = controls
    return bool(found)


def _kinds(node: Any) -> List[str]:
    kinds = [kind for kind, _, pattern in REACHES if pattern.match(node.op)]
    attr, names = REACHES_WHERE.get(node.op, ("", None))
    if names is not None and names.match(node.attr.get(attr, UNSET).s):
        kinds.append("files")
    if not kinds and not comes_with_tensorflow(node.op) and op_def(node.op):
        kinds.append(_LIBRARY[0])
    return kinds
