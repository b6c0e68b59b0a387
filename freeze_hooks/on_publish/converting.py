"""Shared by all converters: one conversion at a time, one error type, whole files."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import Any, Callable, Iterator, Optional

from .._protos import GraphDef
from ..errors import ConversionError, FreezeError
from ..frozen.artifact import Artifact
from ..frozen.reader import read_graph_def
from ..graph.names import split
from ..graph.walks import above
from ..signature import SERVING
from ..storage import atomic
from ..storage.filesystem import directory_of, read
from ..storage.paths import plain_path

After = Callable[[Artifact], str]

_ONE_AT_A_TIME = threading.Lock()  # converters keep counters and settings in module globals
_SAID = 400  # characters: longer messages of a converter are cut


@contextlib.contextmanager
def converting(artifact: Artifact, converter: str) -> Iterator[None]:
    """Run one conversion at a time; raise a converter's error as ConversionError."""
    with _ONE_AT_A_TIME:
        try:
            yield
        except (FreezeError, OSError):  # the file is missing or broken
            raise
        except Exception as error:
            raise ConversionError(
                f"{converter} cannot convert {artifact.path}: {shortened(error)}"
            ) from error


def shortened(error: Exception) -> str:
    """Return an error's message, shortened to one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    missing = re.search(r"you will need custom implementations: ([\w, ]+)", text)
    if missing:  # TensorFlow 1.15 puts a page of other text before it
        return f"it does not support {missing.group(1)}"
    return text if len(text) <= _SAID else text[: _SAID - 3] + "..."


def destination(path: Optional[str]) -> Optional[str]:
    """Return a path to write to; raise OSError if its directory is not writable."""
    if path is not None:
        path = plain_path(path)
        atomic.ensure_writable(directory_of(path))
    return path


def beside(artifact: Artifact, path: Optional[str], ending: str) -> str:
    """Return the path to write to: `path`, or the artifact's with another ending."""
    if path is not None:
        return path
    return (artifact.path[:-3] if artifact.path.endswith(".pb") else artifact.path) + ending


def ending_of(signature: str, ending: str) -> str:
    """Return the ending of a converted file's name; only the main signature has the plain one."""
    return ending if signature == SERVING else f".{signature}{ending}"


def graph_of(artifact: Artifact) -> Any:
    """Return the GraphDef of an artifact: the part that its main signature needs."""
    graph_def = read_graph_def(artifact.path)
    if not artifact.others:
        return graph_def
    ends = (artifact.signature.outputs, artifact.signature.inputs)
    wanted = [split(info.tensor)[0] for infos in ends for info in infos]
    nodes = {node.name: node for node in graph_def.node}
    kept = above(nodes, wanted)
    part = GraphDef(versions=graph_def.versions, library=graph_def.library)
    part.node.extend(node for node in graph_def.node if node.name in kept)
    return part


def write(path: str, content: bytes, check: Optional[Callable[[bytes], None]] = None) -> str:
    """Publish a converted file; first call `check` with the bytes written."""

    def checked(temporary: str, _: str) -> None:
        assert check is not None
        check(read(temporary))

    wanted = None if check is None else checked
    atomic.publish(path, lambda file: file.write(content), len(content), check=wanted)
    return path
