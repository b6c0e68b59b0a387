"""The error for models that ONNX or tf2onnx does not support."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A node cannot be converted to ONNX."""


def cannot(node: Any, why: str) -> Refused:
    """Return the error to raise for a node."""
    return Refused(f"op {node.op}, node {node.name!r}: {why}")
