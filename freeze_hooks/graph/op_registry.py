"""Asks TensorFlow about ops. The first call imports TensorFlow, which takes seconds."""

from __future__ import annotations

import functools
from typing import Any, Optional


@functools.lru_cache(maxsize=None)
def _tensorflow() -> Any:
    from .. import _tf

    return _tf


def op_def(name: str) -> Optional[Any]:
    """Return the OpDef of a registered op type, also of a loaded library's; None if unknown."""
    return _tensorflow().op_def(name)


def comes_with_tensorflow(op: str) -> bool:
    """Return whether an op type is TensorFlow's own, and not from another loaded library."""
    return bool(_tensorflow().comes_with_tensorflow(op))


def imports_rows() -> bool:
    """Return whether LookupTableImportV2 takes values of a higher rank than the keys."""
    return bool(_tensorflow().IMPORTS_ROWS)
