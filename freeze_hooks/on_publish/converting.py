"""What converters of frozen files have in common: one at a time, one kind of error, whole files."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import Callable, Iterator, Optional

from ..errors import ConversionError, FreezeError
from ..frozen.writer import Artifact
from ..storage import atomic
from ..storage.paths import plain_path

After = Callable[[Artifact], str]

_ONE_AT_A_TIME = threading.Lock()  # converters keep counters and settings in their modules
_SAID = 400  # characters of a converter's message that are passed on


@contextlib.contextmanager
def converting(artifact: Artifact, converter: str) -> Iterator[None]:
    """One conversion at a time; what a converter raises, as our own error."""
    with _ONE_AT_A_TIME:
        try:
            yield
        except (FreezeError, OSError):  # the file is not there, or broken
            raise
        except Exception as error:
            raise ConversionError(
                f"{converter} cannot convert {artifact.path}: {shortened(error)}"
            ) from error


def shortened(error: Exception) -> str:
    """What an error says, in a line."""
    text = " ".join(str(error).split()) or type(error).__name__
    missing = re.search(r"you will need custom implementations: ([\w, ]+)", text)
    if missing:  # TensorFlow 1.15 says so after a page about other things
        return f"it does not support {missing.group(1)}"
    return text if len(text) <= _SAID else text[: _SAID - 3] + "..."


def destination(path: Optional[str]) -> Optional[str]:
    """A path to write at, in a directory that can be written in."""
    if path is not None:
        path = plain_path(path)
        atomic.ensure_writable(atomic.directory_of(path))
    return path


def beside(artifact: Artifact, path: Optional[str], ending: str) -> str:
    """Where to write: `path`, or beside the artifact."""
    if path is not None:
        return path
    return (artifact.path[:-3] if artifact.path.endswith(".pb") else artifact.path) + ending


def write(path: str, content: bytes, check: Optional[Callable[[bytes], None]] = None) -> str:
    """Publish a converted file; `check` is given what was written before it appears."""

    def checked(temporary: str) -> None:
        assert check is not None
        check(atomic.read(temporary))

    wanted = None if check is None else checked
    atomic.publish(path, lambda file: file.write(content), len(content), check=wanted)
    return path
