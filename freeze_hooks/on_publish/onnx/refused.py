"""What ONNX, or tf2onnx, cannot express: named with its node, and with a way out."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A node has no place in an ONNX file."""


def cannot(node: Any, why: str) -> Refused:
    """The error to raise for a node."""
    return Refused(f"op {node.op}, node {node.name!r}: {why}")
