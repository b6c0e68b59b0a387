"""Finds the line of the user's own code in an error's traceback; messages start with it."""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
import traceback
from typing import Any, Iterator, List, Optional, Sequence, Tuple

Line = Tuple[str, int, str]  # file, number, function

_HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_PYTHON = os.path.join(sysconfig.get_paths()["stdlib"], "")
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
_FRAMEWORKS = re.compile(
    r"[\\/](site|dist)-packages[\\/](tensorflow|tensorflow_core|keras|tf_keras|jax|jaxlib|torch|numpy)[\\/]"
)
_DUMPED = re.compile(r'^ +File "(.+)", line (\d+) in (\S+)$', re.MULTILINE)
_GENERATED = re.compile(r"^<frozen|__autograph_generated_file")


def causes(error: BaseException) -> List[BaseException]:
    """Return an error and its chain of causes and contexts, the earliest first."""
    found: List[BaseException] = []
    behind: Optional[BaseException] = error
    while behind is not None and all(behind is not known for known in found):
        found.append(behind)
        hidden = behind.__suppress_context__ and behind.__cause__ is None
        behind = behind.__cause__ or (None if hidden else behind.__context__)
    return found[::-1]


def own_line(error: BaseException) -> Optional[Line]:
    """Return the innermost line of the user's own code in the traceback of an error or its causes.

    If there is none, return a line of an installed package that is not a framework.
    """
    return _first([line for cause in causes(error) for line in list(_lines(cause))[::-1]])


def own_line_of_crash(said: str) -> Optional[Line]:
    """Return the user's own line from faulthandler's output for a crashed process."""
    return _first([(f, int(n), name) for f, n, name in _DUMPED.findall(said)])


def _first(lines: Sequence[Line]) -> Optional[Line]:
    for is_own in (_is_program, _is_package):
        for line in lines:
            if is_own(line[0]):
                return line
    return None


def shown(line: Line) -> str:
    """Return a line as text, such as "train.py:12, in call: return tanh(x)"."""
    file, number, function = line
    code = linecache.getline(file, number).strip()
    return f"{file}:{number}, in {function}" + (f": {code}" if code else "")


def told(error: BaseException) -> str:
    """Return the user's own line, and an error's class and full message."""
    line = own_line(error)
    return (shown(line) + "\n" if line else "") + said(error)


def said(error: BaseException) -> str:
    """Return an error's class and full message."""
    text = str(error).strip()
    return type(error).__name__ + (f": {text}" if text else "")


def _lines(error: BaseException) -> Iterator[Line]:
    for frame, number in traceback.walk_tb(error.__traceback__):
        yield frame.f_code.co_filename, number, frame.f_code.co_name
    # AutoGraph runs a translation of the user's code, and knows the original lines
    translated: Any = getattr(getattr(error, "ag_error_metadata", None), "translated_stack", ())
    for known in reversed(translated):
        yield known.filename, known.lineno, known.function_name


def _is_program(file: str) -> bool:
    others = _INSTALLED.search(file) or _GENERATED.search(file)
    return not (others or file.startswith((_HERE, _PYTHON)))


def _is_package(file: str) -> bool:
    return bool(_INSTALLED.search(file)) and not _FRAMEWORKS.search(file)
