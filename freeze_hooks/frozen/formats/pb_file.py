"""Writes one `.pb` file: a GraphDef, and its description in a file beside it."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Optional, Tuple

from ...errors import TooLargeError
from ...plan.types import LIMIT, FreezePlan
from ...proof.proof import Proof
from ...storage import atomic
from ...storage.sink import Written
from ...values.value import Value
from .. import stream
from ..description import completed


def publish(
    plan: FreezePlan,
    values: Iterator[Value],
    path: str,
    description: Dict[str, Any],
    proof: Optional[Proof],
    beside: bool = True,
) -> Tuple[Written, Optional[OSError]]:
    """Publish a plan with these values as a `.pb` file.

    Args:
      plan: the structure.
      values: one value for each of its slots.
      path: the file.
      description: the description to write into it.
      proof: proves the file before it appears.
      beside: whether to write the description also to `path + ".json"`.

    Returns:
      What was written, and the error of the description beside it, if that could not be written.
    """
    size, about = plan.graph_bytes + plan.weight_bytes, path + ".json"
    check = None if proof is None else proof.check
    with atomic.publishing(path, size, about, check) as file:  # no description of another file
        stream.write(plan, values, description, file)
        if file.bytes > LIMIT:
            raise TooLargeError(f"{path} would pass 2 GiB and could not be read")
    difference = None if proof is None else proof.difference
    try:
        if beside:
            atomic.publish_json(about, completed(description, file.written.hash, difference))
    except OSError as error:
        return file.written, error
    return file.written, None
