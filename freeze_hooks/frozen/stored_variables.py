"""Reads the variables of SavedModels that freeze_hooks wrote, from their checkpoints."""

from __future__ import annotations

from typing import Any, Dict, Iterable

from .._protos import TensorProto, itemsize
from ..errors import InvalidFileError
from ..graph.names import split
from ..graph.restore_ops import restored_keys
from ..graph.walks import above
from ..plan.types import LIMIT
from ..storage.filesystem import filesystem_of
from ..values.checkpoint_reads import SavedTensors

PREFIX = "variables/variables"


class StoredVariables:
    """The values of a SavedModel's variables, by the names of the ops that read them.

    Args:
      directory: the SavedModel.
      meta: its MetaGraphDef, whose restore op says where the checkpoint has the values.
      outputs: the tensors that the values are for.

    Raises:
      InvalidFileError: the checkpoint is broken, or lacks a value.
    """

    def __init__(self, directory: str, meta: Any, outputs: Iterable[str]) -> None:
        self._directory = directory
        self._saved = SavedTensors(filesystem_of(directory).join(directory, PREFIX))
        places = restored_keys(meta.graph_def, meta.saver_def.restore_op_name)
        self._places = {}
        nodes = {node.name: node for node in meta.graph_def.node}
        for name in above(nodes, [split(tensor)[0] for tensor in outputs]):
            if nodes[name].op == "ReadVariableOp":
                place = places.get(nodes[name].input[0])
                if place is None or place.key not in self._saved.shapes:
                    raise InvalidFileError(f"{directory} lacks the value of {name!r}")
                self._places[name] = place
                self._check(name, nodes[nodes[name].input[0]])

    def _check(self, name: str, handle: Any) -> None:
        """Check that a value has the dtype and shape of its variable's handle."""
        tensor, wanted = self.kind(name), handle.attr["shape"].shape
        if (tensor.dtype, tensor.tensor_shape) != (handle.attr["dtype"].type, wanted):
            raise InvalidFileError(
                f"{self._directory}: graph and variables differ in the dtype or shape of {name!r}"
            )

    def sizes(self) -> Dict[str, int]:
        """Return {name: the number of bytes of the value}."""
        return {name: _bytes_in(self.kind(name)) for name in self._places}

    def kind(self, name: str) -> Any:
        """Return a TensorProto with a value's dtype and shape alone."""
        place = self._places[name]
        tensor = TensorProto(dtype=self._saved.dtypes[place.key])
        tensor.tensor_shape.SetInParent()
        shape = self._saved.shapes[place.key] if place.size is None else place.size
        for dimension in shape:
            tensor.tensor_shape.dim.add(size=dimension)
        return tensor

    def tensor(self, name: str) -> Any:
        """Return a value as a TensorProto.

        Raises:
          InvalidFileError: the checkpoint is broken.
        """
        tensor = self.kind(name)
        chunks = self._saved.value(self._places[name]).chunks
        tensor.tensor_content = b"".join(map(bytes, chunks))
        return tensor

    def check_size(self) -> None:
        """Check that one graph can hold all values.

        Raises:
          InvalidFileError: it cannot.
        """
        size = sum(self.sizes().values())
        if size > LIMIT:
            raise InvalidFileError(
                f"{self._directory} has variables of {size / 1e9:.2f} GB, which pass the 2.15 GB "
                "(2 GiB) of one graph: fh.load_frozen and tf.saved_model.load run it as it is"
            )


def _bytes_in(tensor: Any) -> int:
    count = int(itemsize(tensor.dtype))
    for dimension in tensor.tensor_shape.dim:
        count *= dimension.size
    return count
