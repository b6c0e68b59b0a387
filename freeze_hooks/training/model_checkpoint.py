"""Runs a ModelCheckpoint inside another callback, and finds out when it writes a file."""

from __future__ import annotations

import re
from typing import Any, Mapping, Optional, Tuple

from ..errors import FreezeError
from ..storage.filesystem import filesystem_of
from .path_template import values_for

_ENDINGS = re.compile(r"(\.weights)?\.(keras|h5|hdf5)$")


def frozen_path(path: str, suffix: str) -> str:
    """Return the path of the artifact beside a file of a ModelCheckpoint."""
    return _ENDINGS.sub("", path) + suffix


class Beside:
    """Runs a ModelCheckpoint of any Keras, and checks whether it wrote a file.

    Args:
      callback: a callback with `filepath`, as ModelCheckpoint has it, that saves in on_epoch_end
        and on_train_batch_end.
      suffix: the ending of the artifacts' names.
    """

    def __init__(self, callback: Any, suffix: str) -> None:
        if not isinstance(getattr(callback, "filepath", None), str):
            raise FreezeError(
                f"beside= takes a ModelCheckpoint, which says where it writes, not {callback!r}"
            )
        self.callback = callback
        self._suffix = suffix

    def run(self, epoch: int, batch: Optional[int], logs: Optional[Mapping[str, Any]]) -> Any:
        """Run it at the end of a batch, or of an epoch if `batch` is None.

        Returns:
          The path for the frozen file if a file was written, else None.
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
        return frozen_path(path, self._suffix)

    def _path(self, epoch: int, batch: Optional[int], logs: Mapping[str, Any]) -> Optional[str]:
        try:
            return str(self.callback.filepath.format(**values_for(epoch, batch, logs)))
        except (KeyError, IndexError, ValueError):  # it raises this itself when it saves
            return None


def _stamp(path: Optional[str]) -> Optional[Tuple[int, ...]]:
    """Return a value that changes if a file, checkpoint or SavedModel is written again."""
    for file in [] if path is None else [path, path + ".index", path + "/saved_model.pb"]:
        found = filesystem_of(file).stamp(file)
        if found is not None:
            return found
    return None
