"""What TensorFlow knows of ops; it is imported only for what `common_ops.pbtxt` does not say.

That file is an OpList of the ops of TensorFlow 1.15, 2.15 and 2.21, with one op a line. If an op is
the same in all three, the line has what they share: arguments, and attributes without those that
came later. If not, the line has the newest definition, and ends with "# newest". No line has lists
of allowed values. `tests/programs/common_ops.py` writes the file, and
`tests/graph/test_op_registry.py` compares it with the installed TensorFlow.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from typing import Any, Dict, Optional

from google.protobuf import text_format

from .._protos import OpDef


def op_def(name: str) -> Optional[Any]:
    """Return the OpDef of a registered op type, also of a loaded library's; None if unknown.

    Before TensorFlow is imported, the OpDef is that of common_ops.pbtxt.
    """
    if _is_common(name):
        return _common(name)
    return _tensorflow().op_def(name)


def comes_with_tensorflow(op: str) -> bool:
    """Return whether an op type is TensorFlow's own, and not from another loaded library."""
    return _is_common(op) or bool(_tensorflow().comes_with_tensorflow(op))


def imports_rows() -> bool:
    """Return whether LookupTableImportV2 takes values of a higher rank than the keys."""
    return bool(_tensorflow().IMPORTS_ROWS)


def common_ops() -> Dict[str, str]:
    """Return {op type: its line in common_ops.pbtxt}."""
    data = pkgutil.get_data(__package__, "common_ops.pbtxt") or b""
    return {line.split('"', 2)[1]: line for line in data.decode().splitlines()}


def _is_common(op: str) -> bool:
    return "tensorflow" not in sys.modules and op in _lines()


@functools.lru_cache(maxsize=None)
def _lines() -> Dict[str, str]:
    return common_ops()


@functools.lru_cache(maxsize=None)
def _common(op: str) -> Any:
    return parsed(_lines()[op])


def parsed(line: str) -> Any:
    """Return the OpDef in a line of common_ops.pbtxt."""
    return text_format.Parse(line[line.index("{") + 1 : line.rindex("}")], OpDef())


@functools.lru_cache(maxsize=None)
def _tensorflow() -> Any:
    from .. import _tf

    return _tf
