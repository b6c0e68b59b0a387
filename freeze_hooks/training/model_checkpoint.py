"""A ModelCheckpoint that another callback drives, to know of each file that it writes."""

from __future__ import annotations

import re
from typing import Any, Mapping, Optional, Tuple

from ..errors import FreezeError
from ..storage.filesystem import filesystem_of
from .path_template import values_for

_ENDINGS = re.compile(r"(\.weights)?\.(keras|h5|hdf5)$")


def frozen_path(path: str) -> str:
    """Where a frozen file stands beside what a ModelCheckpoint writes."""
    return _ENDINGS.sub("", path) + ".pb"


class Beside:
    """Runs a ModelCheckpoint of any Keras, and looks whether it wrote.

    Args:
      callback: has `filepath`, as ModelCheckpoint does, and saves in on_epoch_end and
        on_train_batch_end.
    """

    def __init__(self, callback: Any) -> None:
        if not isinstance(getattr(callback, "filepath", None), str):
            raise FreezeError(
                f"beside= takes a ModelCheckpoint, which says where it writes, not {callback!r}"
            )
        self.callback = callback

    def run(self, epoch: int, batch: Optional[int], logs: Optional[Mapping[str, Any]]) -> Any:
        """Let it act at the end of a batch, or of an epoch if `batch` is None.

        Returns:
          Where a frozen file belongs, if a file was written; else None.
        """
        path = None
        if batch is None or self.callback.save_freq != "epoch":
            path = self._path(epoch, batch, logs or {})
        before = _stamp(path)
        if batch is None:
            self.callback.on_epoch_end(epoch, logs)
        else:
            self.callback.on_train_batch_end(batch, logs)
        after = _stamp(path)
        if path is None or after is None or after == before:
            return None
        return frozen_path(path)

    def _path(self, epoch: int, batch: Optional[int], logs: Mapping[str, Any]) -> Optional[str]:
        try:
            return str(self.callback.filepath.format(**values_for(epoch, batch, logs)))
        except (KeyError, IndexError, ValueError):  # its own error to raise, when it saves
            return None


def _stamp(path: Optional[str]) -> Optional[Tuple[int, ...]]:
    """What changes when a file, a TensorFlow checkpoint or a SavedModel is written anew."""
    for file in [] if path is None else [path, path + ".index", path + "/saved_model.pb"]:
        found = filesystem_of(file).stamp(file)
        if found is not None:
            return found
    return None
