"""The exceptions that freeze_hooks raises."""

from __future__ import annotations

import contextlib
import difflib
from typing import Iterable, Iterator, List, Tuple, Type


class FreezeError(ValueError):
    """Base class: catch it to catch every error that freeze_hooks raises itself."""


class UnknownNameError(FreezeError):
    """A node or tensor name is not in the graph; the message lists near matches."""


class MissingNodeError(UnknownNameError, AssertionError):
    """A node is not in a graph; an AssertionError too, which TensorFlow's own functions raise."""


class NotFreezableError(FreezeError):
    """The outputs need something that a frozen file cannot hold, such as an assignment."""


class TooLargeError(FreezeError):
    """The file would be larger than 2 GiB, the limit of protocol buffer parsers."""


class NotFiniteError(FreezeError):
    """A variable holds NaN or infinity, and check_numerics="raise" forbids them."""


class NotVerifiedError(FreezeError):
    """A file's answers are not the live model's, so the file is not published."""


class InvalidFileError(FreezeError):
    """A file is truncated, is not a GraphDef, or contradicts itself."""


class NotAFileError(InvalidFileError, IsADirectoryError):
    """A path is a directory, but must be a file; the message lists what is in it."""


class ConversionError(FreezeError):
    """A converter does not support a frozen file's graph, or the converted file is wrong."""


LONGEST = 2000  # characters: the content of a file must not fill the log
# Raised by Python code for a broken graph, in which something is missing or has another type.
BROKEN: Tuple[Type[Exception], ...] = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    RecursionError,
)


@contextlib.contextmanager
def refused(
    what: str, *more: Type[Exception], kind: Type[FreezeError] = InvalidFileError
) -> Iterator[None]:
    """Raise InvalidFileError if a block of code fails because the content of `what` is broken.

    Args:
      what: the file's path, or what else is read; for the message.
      more: further exceptions that mean broken content.
      kind: the error to raise instead, if `what` is not a file.
    """
    try:
        yield
    except (FreezeError, OSError):
        raise
    except BROKEN + more as error:
        said = str(error) or type(error).__name__
        raise kind(f"{what} is truncated or broken: {said[:LONGEST]}") from error


@contextlib.contextmanager
def named(path: str, what: str) -> Iterator[None]:
    """Begin the message of a block's FreezeError with `what`, unless it names `path`."""
    try:
        yield
    except FreezeError as error:
        if path not in str(error):
            error.args = (f"{what}: {error}",)
        raise


def near(name: str, candidates: Iterable[str], most: int = 5) -> List[str]:
    """Return the candidates that a person who typed `name` may have meant, best first."""
    pool = list(candidates)
    lowered = name.lower()
    tail = lowered.rsplit("/", 1)[-1]
    scored = [c for c in pool if c.lower().rsplit("/", 1)[-1] == tail]
    scored += [c for c in pool if lowered in c.lower()]
    scored += difflib.get_close_matches(name, pool, n=most, cutoff=0.6)
    return list(dict.fromkeys(scored))[:most]
