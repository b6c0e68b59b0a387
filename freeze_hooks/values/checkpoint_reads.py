"""Reads values from the files of a checkpoint, in pieces where possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional, Sequence, Tuple

import numpy as np

from .._protos import numpy_dtype
from ..errors import InvalidFileError
from ..graph.restore_ops import SavedKey
from ..graph.tables import Column
from ..graph.variables import Variable
from ..storage.listing import exists
from .bundle import Bundle, is_table
from .value import Value

if TYPE_CHECKING:
    from .session_reads import SessionValues

_BROKEN = (ValueError, RuntimeError, LookupError, MemoryError)  # of TensorFlow's reader, besides
_SMALL = 1 << 16  # bytes of what is read without TensorFlow's reader, such as a step


class SavedTensors:
    """Opens a checkpoint of either format and reads tensors from it.

    Attributes:
      shapes: {key: dimensions}.
      dtypes: {key: DataType number}.

    Raises:
      InvalidFileError: a file is missing, cut short or not a checkpoint.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._bundle = Bundle(prefix)
        self._opened: Optional[Any] = None
        if self._bundle.shapes is None:
            self.shapes, self.dtypes = self._maps()
        else:
            self.shapes, self.dtypes = self._bundle.shapes, self._bundle.dtypes
        self._last: Tuple[str, Any] = ("", None)

    def _reader(self) -> Any:
        """Return TensorFlow's reader, which has what the Bundle lacks; it is opened once."""
        if self._opened is None:
            from .._tf import v1

            self._opened = v1.train.NewCheckpointReader(self._prefix)
        return self._opened

    def _maps(self) -> Tuple[Dict[str, Tuple[int, ...]], Dict[str, int]]:
        if exists(self._prefix) and not is_table(self._prefix):  # format V1 is a table
            raise InvalidFileError(
                f"{self._prefix}: not a checkpoint that can be read: it is no table of tensors"
            )
        import tensorflow as tf

        try:
            shapes = self._reader().get_variable_to_shape_map()
            dtypes = self._reader().get_variable_to_dtype_map()
        except (tf.errors.OpError, *_BROKEN) as error:
            raise InvalidFileError(
                f"{self._prefix}: not a checkpoint that can be read: {error}"
            ) from None
        return (
            {key: tuple(shape) for key, shape in shapes.items()},
            {key: tf.as_dtype(dtype).as_datatype_enum for key, dtype in dtypes.items()},
        )

    def value(self, place: SavedKey) -> Value:
        """Return the saved value, in pieces where possible.

        For a slice, the whole tensor stays in memory, since its next slice usually follows.

        Raises:
          InvalidFileError: a file is cut short or broken; for pieces, raised when they are read.
        """
        found = self._bundle.find(place.key) if place.begin is None else None
        if found is None:
            from .session_reads import as_value  # imports TensorFlow

            return as_value(self.array(place))
        self._last = ("", None)
        return Value(*found)

    def array(self, place: SavedKey) -> Any:
        """Return the saved value as an array.

        Raises:
          InvalidFileError: a file is cut short or broken.
        """
        if place.begin is None or place.size is None:
            self._last = ("", None)
            return self.tensor(place.key)
        if place.key != self._last[0]:  # slices of one variable follow each other
            self._last = ("", None)  # frees the last tensor before the next is read
            self._last = (place.key, self.tensor(place.key))
        return self._last[1][tuple(slice(b, b + n) for b, n in zip(place.begin, place.size))]

    def tensor(self, key: str) -> Any:
        """Return a whole tensor as an array; a string scalar as bytes.

        Raises:
          InvalidFileError: a file is cut short or broken.
        """
        text = self._bundle.text(key)
        if text is not None:
            return text
        found = self._bundle.find(key)
        if found is not None and found[1] <= _SMALL:
            data = bytearray().join(found[2])
            return np.frombuffer(data, numpy_dtype(self.dtypes[key])).reshape(found[0])
        return self._by_tensorflow(key)

    def _by_tensorflow(self, key: str) -> Any:
        import tensorflow as tf

        self._bundle.refuse_cut(key)
        try:
            try:
                return self._reader().get_tensor(key)
            except tf.errors.UnimplementedError:
                return self._assembled(key)
        except (tf.errors.OpError, *_BROKEN) as error:
            raise InvalidFileError(
                f"{self._prefix}: {key!r} cannot be read, a file of the checkpoint is cut short, "
                f"broken or missing: {error}"
            ) from None

    def _assembled(self, key: str) -> Any:
        """Return a partitioned variable of format V1; only RestoreV2 can join its slices."""
        import tensorflow as tf

        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            whole = tf.raw_ops.RestoreV2(
                prefix=self._prefix,
                tensor_names=[key],
                shape_and_slices=[""],
                dtypes=[tf.as_dtype(self.dtypes[key]).base_dtype],
            )
            return session.run(whole[0])


class CheckpointValues:
    """Reads variables from a checkpoint, and those that it lacks from the session.

    A checkpoint holds one consistent state, even if training steps run while it is read.
    """

    def __init__(self, variables: Sequence[Variable], live: SessionValues) -> None:
        self._variables = variables
        self._live = live

    def read(self, session: Any, prefix: str, keys: Mapping[str, SavedKey]) -> Iterator[Value]:
        """Yield the values, in the order of the variables.

        Args:
          session: gives variables that the checkpoint does not hold.
          prefix: the checkpoint's prefix.
          keys: {variable's name: its place in the checkpoint}.

        Raises:
          InvalidFileError: a file of the checkpoint is cut short or broken.
        """
        saved = SavedTensors(prefix)
        for index, variable in enumerate(self._variables):
            place = keys.get(variable.node)
            if isinstance(variable, Column):  # one run gives keys and values that fit each other
                if variable.which == 0:
                    yield from self._live.read(session, slice(index, index + 2))
            elif place is None or place.key not in saved.shapes:
                yield from self._live.read(session, slice(index, index + 1))
            else:
                yield saved.value(place)
