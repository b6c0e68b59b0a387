"""What TensorFlow knows of ops. It is imported when it is first asked, which takes seconds."""

from __future__ import annotations

import functools
from typing import Any, Optional


@functools.lru_cache(maxsize=None)
def _tensorflow() -> Any:
    from .. import _tf

    return _tf


def op_def(name: str) -> Optional[Any]:
    """The OpDef registered for an op type, also from loaded libraries; None if there is none."""
    return _tensorflow().op_def(name)


def comes_with_tensorflow(op: str) -> bool:
    """Whether an op type is TensorFlow's own, and not from a library that was loaded besides."""
    return bool(_tensorflow().comes_with_tensorflow(op))


def imports_rows() -> bool:
    """Whether LookupTableImportV2 takes values of a higher rank than keys."""
    return bool(_tensorflow().IMPORTS_ROWS)
