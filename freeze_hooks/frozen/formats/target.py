"""What a format gives to the writer of a graph."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, Mapping, Optional, Sequence, Union

from ...plan.types import FreezePlan
from ...storage.sink import Sink, Written
from ...values.bundle_writer import BundleWriter
from ...values.linked import LinkedValues
from ...values.value import Value
from .. import stream

_NOTHING = Written(0, "")


@dataclasses.dataclass
class Target:
    """Where a graph is to be written; a format completes it afterwards.

    Attributes:
      file: takes the GraphDef.
      stored: takes the values of slots with a key.
      headers: what stands before each value in the graph, if that is known; see `stream.layout`.
      written: what was written in all, once the artifact is there.
      trouble: the error of a description beside the artifact, which could not be written.
    """

    file: Sink
    stored: Union[BundleWriter, LinkedValues, None] = None
    headers: Sequence[bytes] = ()
    written: Written = _NOTHING
    trouble: Optional[OSError] = None

    def write(
        self, plan: FreezePlan, values: Iterator[Value], description: Mapping[str, Any]
    ) -> None:
        """Write a plan with one value for each of its slots, and a description of JSON types.

        Raises:
          FreezeError: a value's shape is not what the graph declares, or it does not fit.
        """
        stream.write(plan, values, description, self.file, self.stored, self.headers)
