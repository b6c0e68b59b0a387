"""Explains why a training has ended without a frozen file."""

from __future__ import annotations

import atexit
import json
import math
import os
from typing import Any, List, Optional, Tuple

from .. import _tf


class Saves:
    """Counts a training's saves by result."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Note that a training begins."""
        self._written = self._failed = self._passed_over = self._numbers = 0
        self._error = self._best = ""
        self._restored = False

    def wrote(self) -> None:
        """Note that a file was written."""
        self._written += 1

    def failed(self, error: str) -> None:
        """Note that a file could not be written."""
        self._failed += 1
        self._error = error

    def passed_over(self, best: Any, value: float) -> None:
        """Note that a value was not better than the best."""
        self._passed_over += 1
        self._numbers += not math.isnan(value)
        self._best = f"of {best.monitor!r} was better than {best.value}"

    def restored(self) -> None:
        """Note that a checkpoint was restored: perhaps the program does not train."""
        self._restored = True

    def why_none(self, no_save: str) -> Optional[str]:
        """Return why there is no file: `no_save` if no save was due; None if all is well."""
        if self._written:
            return None
        if self._failed:
            return f"all saves have failed ({self._failed}), the last one with: {self._error}"
        if self._numbers:
            return f"none of {self._numbers} values {self._best}, the best known or the threshold"
        if self._passed_over:
            return f"none of {self._passed_over} values {self._best}: they were all NaN"
        return None if self._restored else no_save

    def explain(self, who: str, no_save: str) -> None:
        """Warn, at the end of a training, if it has written no file."""
        why = self.why_none(no_save)
        if why is not None:
            _tf.warn(f"{who}: training has ended without a frozen file: {why}")


_until_exit: List[Tuple[Saves, str, str]] = []


def explain_at_exit(saves: Saves, who: str, no_save: str) -> None:
    """Explain at the end of the program, if nothing else tells the end of training."""
    if not _until_exit:
        atexit.register(_explain_all)
    _until_exit.append((saves, who, no_save))


def _explain_all() -> None:
    while _until_exit:
        saves, who, no_save = _until_exit.pop()
        saves.explain(who, no_save)


def writes_here(graph: Any) -> bool:
    """Return whether this process is likely the one that saves, by its graph and TF_CONFIG.

    If several train together, only the chief is sure to save.
    """
    try:
        config = json.loads(os.environ.get("TF_CONFIG", "{}"))
        task = config.get("task", {}) if config.get("cluster") else {}
    except (ValueError, AttributeError):
        task = {}
    if task:
        return task.get("type") in ("chief", "master")
    return not any("/job:" in op.device for op in graph.get_operations())
