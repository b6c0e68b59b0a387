"""What can go wrong, as exceptions a caller can tell apart."""

from __future__ import annotations

import contextlib
import difflib
from typing import Iterable, Iterator, List, Tuple, Type


class FreezeError(ValueError):
    """Catch this to catch every error that freeze_hooks raises on its own account."""


class UnknownNameError(FreezeError):
    """An operation or tensor name is not in the graph; the message lists near matches."""


class MissingNodeError(UnknownNameError, AssertionError):
    """A node is not in a graph, where TensorFlow's function of the name raises AssertionError."""


class NotFreezableError(FreezeError):
    """The wanted outputs need something a frozen file cannot hold, such as an assignment."""


class TooLargeError(FreezeError):
    """The file would pass 2 GiB, the most a protocol buffer parser accepts."""


class NotFiniteError(FreezeError):
    """A variable holds NaN or infinity, and check_numerics="raise" forbids it."""


class NotVerifiedError(FreezeError):
    """A file that was written does not answer as the live model does, so it is not published."""


class InvalidFileError(FreezeError):
    """A file is truncated, not a GraphDef, or contradicts itself."""


class NotAFileError(InvalidFileError, IsADirectoryError):
    """A directory is where a file is needed; the message says what is in it."""


class ConversionError(FreezeError):
    """The converter of another format cannot express what a frozen file holds."""


_LONGEST = 2000  # letters: what is in a file must not fill the log
# What is raised by Python code that meets a graph in which something is missing or of another kind.
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
    """Raise InvalidFileError, of `what`, where reading it in this block fails for what is in it.

    Args:
      more: other exceptions that mean so.
      kind: the error to raise, of what is no file.
    """
    try:
        yield
    except (FreezeError, OSError):
        raise
    except BROKEN + more as error:
        said = str(error) or type(error).__name__
        raise kind(f"{what} is truncated or broken: {said[:_LONGEST]}") from error


def near(name: str, candidates: Iterable[str], most: int = 5) -> List[str]:
    """The candidates a person who typed `name` may have meant, best first."""
    pool = list(candidates)
    lowered = name.lower()
    tail = lowered.rsplit("/", 1)[-1]
    scored = [c for c in pool if c.lower().rsplit("/", 1)[-1] == tail]
    scored += [c for c in pool if lowered in c.lower()]
    scored += difflib.get_close_matches(name, pool, n=most, cutoff=0.6)
    return list(dict.fromkeys(scored))[:most]
