"""Refuses models with nodes that tf2onnx left unconverted."""

from __future__ import annotations

import importlib
import logging
from typing import Any, Dict, Iterator, List

from .refused import Refused


class Failures(logging.Handler):
    """Collects, inside a `with` block, the errors that tf2onnx logs for nodes before it goes on.

    Attributes:
      causes: {node name: error message}.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.causes: Dict[str, str] = {}
        self._logger = logging.getLogger("tf2onnx")

    def emit(self, record: logging.LogRecord) -> None:
        """Note the error of a log record."""
        if record.exc_info and isinstance(record.args, tuple) and record.args:
            self.causes[str(record.args[0])] = " ".join(str(record.exc_info[1]).split())

    def __enter__(self) -> Failures:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *error: Any) -> None:
        self._logger.removeHandler(self)


def refuse_left_over(graph: Any, failures: Failures) -> None:
    """Check that tf2onnx converted all nodes.

    Args:
      graph: the ONNX graph.
      failures: the errors that tf2onnx logged.

    Raises:
      Refused: a node was not converted; the message names ops, a node and the cause.
    """
    operators = importlib.import_module("onnx.defs")
    left = [
        node
        for node in _all_nodes(graph)
        if node.name in failures.causes or not (node.domain or operators.has(node.op_type))
    ]
    if not left:
        return
    ops = sorted({node.op_type for node in left})
    first = min(left, key=lambda node: (node.op_type, node.name))
    cause = failures.causes.get(first.name)
    raise Refused(
        f"it does not support {ops[0]}"
        + (f", nor {', '.join(ops[1:])}" if ops[1:] else "")
        + f"; node {first.name!r}"
        + (f": {cause}" if cause else "")
        + _way_out(first.input)
    )


def _way_out(inputs: List[str]) -> str:
    before = ", ".join(repr(name) for name in inputs)
    if not before:
        return ""
    return (
        f". Freeze only the part before it, with outputs {before}, and compute the rest in your "
        "program"
    )


def _all_nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _all_nodes(inner)
