"""Publishes one `.pb` file: a GraphDef, and its description in a file beside it."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator, Optional

from ...errors import TooLargeError
from ...plan.types import LIMIT, FreezePlan
from ...proof.proof import Proof
from ...storage import atomic
from ..description import completed
from .target import Target


@contextlib.contextmanager
def publishing(
    plan: FreezePlan,
    path: str,
    description: Dict[str, Any],
    proof: Optional[Proof],
    beside: bool = True,
) -> Iterator[Target]:
    """Give the Target for a plan's graph; the artifact appears when the block ends, or not at all.

    Args:
      plan: the structure.
      path: the file.
      description: the description that the graph has.
      proof: proves the file before it appears.
      beside: whether to write the description also to `path + ".json"`.
    """
    size, about = plan.graph_bytes + plan.weight_bytes, path + ".json"
    check = None if proof is None else proof.check
    with atomic.publishing(path, size, about, check) as file:  # no description of another file
        target = Target(file)
        yield target
        if file.bytes > LIMIT:
            raise TooLargeError(f"{path} would pass 2 GiB and could not be read")
    target.written = file.written
    difference = None if proof is None else proof.difference
    try:
        if beside:
            atomic.publish_json(about, completed(description, file.written.hash, difference))
    except OSError as error:
        target.trouble = error
