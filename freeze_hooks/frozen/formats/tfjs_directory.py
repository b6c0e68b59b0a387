"""Publishes a TF.js model: `model.json` with the graph, and the weights in shards.

Sources: tfjs-core/src/io/types.ts (ModelJSON, WeightsManifestConfig) and
tfjs-converter/src/data/compiled_api.ts in github.com/tensorflow/tfjs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

import numpy as np

from ... import __version__, _tf
from ..._protos import dtype_enum, numpy_dtype, to_array
from ...errors import FreezeError
from ...graph.tfjs import unheld
from ...plan.formats import TFJS
from ...plan.types import FreezePlan, Slot
from ...proof.proof import Proof
from ...storage.directories import publishing_directory
from ...storage.file_kinds import MODEL_JSON
from ...storage.sink import Written
from ...values.value import Value
from .. import stream
from ..frozen_graph_model import METADATA
from .directory_note import write_note
from .shards import Shards
from .target import Target
from .topology import Weight, as_json, ends_as_json, graph_and_weights


@contextlib.contextmanager
def publishing(
    plan: FreezePlan,
    path: str,
    description: Dict[str, Any],
    proof: Optional[Proof],
    beside: bool = True,
) -> Iterator[Target]:
    """Give the Target for a TF.js model; the arguments are those of `pb_file`.

    `beside` is not used: the description is in the directory.
    """
    assert isinstance(plan.format, TFJS)
    check, read_back = (None, None) if proof is None else (proof.check, proof.read_back)
    files: Dict[str, Written] = {}
    graph_def, weights = graph_and_weights(plan)
    with publishing_directory(path) as directory:
        # begun first, so that it appears last on a remote path
        with directory.file(MODEL_JSON, check=check) as top:
            shards = Shards(directory, plan.format.shard_bytes, _total(weights), read_back)
            target = GraphModel(top, shards=shards, weights=weights)
            with shards.open():
                yield target
            manifest = [{"paths": shards.names, "weights": target.manifest}]
            model = {
                "format": "graph-model",
                "generatedBy": _tf.VERSION,
                "convertedBy": f"freeze_hooks {__version__}",
                "signature": ends_as_json(plan.signature),
                "userDefinedMetadata": {METADATA: description},
                "weightsManifest": manifest,
                "modelTopology": as_json(graph_def),
            }
            top.write(json.dumps(model, allow_nan=False).encode())
        files = {MODEL_JSON: top.written, **shards.written}
        difference = None if proof is None else proof.difference
        whole = write_note(description, difference, files, directory)
    target.written = whole


def _total(weights: Iterable[Weight]) -> Optional[int]:
    """Return the number of bytes of all weights; None if only their values tell it."""
    total = 0
    for weight in weights:
        if weight.shape is None:
            return None
        total += int(np.prod(weight.shape, dtype=np.int64)) * weight.itemsize
    return total


@dataclasses.dataclass
class GraphModel(Target):
    """Where the weights of a TF.js model are to be written.

    Attributes:
      shards: take the bytes of the weights.
      weights: the weights in their order.
      manifest: the entry of each weight, once it is written.
    """

    shards: Optional[Shards] = None
    weights: List[Weight] = dataclasses.field(default_factory=list)
    manifest: List[Dict[str, Any]] = dataclasses.field(default_factory=list)

    def write(
        self, plan: FreezePlan, values: Iterator[Value], description: Mapping[str, Any]
    ) -> None:
        """Write the weights; see Target."""
        assert self.shards is not None
        for weight in self.weights:
            if isinstance(weight.source, Slot):
                value = next(values)
                stream.check_shape(weight.source, value)
                self.manifest.append(weight.noted(value.shape))
                for chunk in _chunks(weight, weight.source, value):
                    self.shards.write(chunk)
                    del chunk  # frees its memory before the next fetch
            else:
                array = to_array(weight.source)
                self.manifest.append(weight.noted(array.shape))
                self.shards.write(_bytes(array.astype(weight.stored)))


def _chunks(weight: Weight, slot: Slot, value: Value) -> Iterator[Any]:
    """Yield the bytes of a value in the dtype of the shards."""
    chunks = stream.chunks_of(slot, value)
    if weight.stored in (weight.dtype, "float16"):
        yield from chunks
        return
    for chunk in chunks:
        array = np.frombuffer(chunk, numpy_dtype(dtype_enum(weight.dtype)))
        problem = unheld(array, weight.dtype)
        if problem is not None:
            raise FreezeError(f"variable {slot.variable.node!r} does not fit into TF.js: {problem}")
        yield _bytes(array.astype(weight.stored))


def _bytes(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
