"""Runs the frozen files of one plan: the first as any reader does, later ones in the same graph."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import mmap
import os
import threading
from typing import Any, Callable, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

import tensorflow as tf
import xxhash
from google.protobuf.message import DecodeError

from .._protos import GraphDef
from .._tf import load_saved_model, v1
from ..storage.filesystem import filesystem_of, read
from .fed_graph import FedGraph, filling_tables, without_optimizers
from .file_parts import graph_in
from .graph_models import MAIN, read_model
from .layout import Content, Layout
from .restored_graph import RestoredGraph

_MUCH = 16 << 20  # bytes of memory not to leave to a later collection


@dataclasses.dataclass(frozen=True)
class OpenFile:
    """A file that was read; `run` runs it.

    Attributes:
      content: what was read of it.
      graph: its graph; None if it is to run elsewhere.
    """

    content: Content
    graph: Union[FedGraph, RestoredGraph, None]

    def run(self, batches: Iterable[Mapping[str, Any]], fetches: Sequence[str]) -> List[List[Any]]:
        """Return, for each batch {tensor name: array}, the values of `fetches` (tensor names).

        Raises:
          ValueError, tf.errors.OpError: TensorFlow cannot run it.
        """
        assert self.graph is not None and self.content.values is not None
        return self.graph.run(self.content.values, batches, fetches)


class FileRuns:
    """Opens the files of one plan, one after the other, to run them.

    TensorFlow parses and imports a file with a new layout like any reader. Then the file's large
    constants and its weights become feeds of a graph that stays. A later file with the same layout
    is only read: its values are the feeds.

    Attributes:
      proven: whether a file of the present layout has been proved.
    """

    def __init__(self) -> None:
        self.proven = False
        self._lock = threading.Lock()
        self._layout: Optional[Layout] = None
        self._graph: Union[FedGraph, RestoredGraph, None] = None
        self._varying: Set[str] = set()
        self._same = ""  # of a TF.js model

    def __reduce__(self) -> Any:
        return FileRuns, ()  # a lock and a session cannot be copied

    def open(self, path: str, check: Callable[[str], None], here: bool = True) -> OpenFile:
        """Read a file, and import it if its layout is new.

        Args:
          path: the file.
          check: is called with the file's hash before the file is imported, and may refuse it.
          here: whether the file is to run in this process.

        Raises:
          ValueError: TensorFlow cannot read it.
        """
        with self._lock:
            if os.path.basename(path) == MAIN:
                return self._open_model(path, check, here)
            data = _bytes_of(path)
            content = None if self._layout is None else self._layout.read(data)
            check(_digest(data) if content is None else content.digest)
            if not here:
                return OpenFile(Layout(data).read(data), None)
            if content is None or content.values is None:
                self._layout, self._graph = self._imported(path, data)
                content = self._layout.read(data)
            elif isinstance(self._graph, RestoredGraph):
                self._graph.restore(os.path.dirname(path))
            return OpenFile(content, self._graph)

    def _open_model(self, path: str, check: Callable[[str], None], here: bool) -> OpenFile:
        check(digest_of(path))
        model = read_model(path)
        if not here:
            return OpenFile(model.content, None)
        if self._graph is None or self._same != model.same:
            self.proven = False
            if self._graph is not None:
                self._graph.close()
            self._graph, self._same = model.graph(), model.same
        return OpenFile(model.content, self._graph)

    def _imported(self, path: str, data: Any) -> Tuple[Layout, Union[FedGraph, RestoredGraph]]:
        self.proven = False
        if _has_variables(path):
            layout = Layout(data, self._varying)
            if self._graph is not None:
                self._graph.close()
            return layout, RestoredGraph(os.path.dirname(path), not layout.fed)
        tables = _import_whole(path, data)
        layout = Layout(data, self._varying, tables)
        changed = [] if self._layout is None else layout.changed(self._layout)
        if changed:  # such as a scalar that training changes
            self._varying.update(changed)
            layout = Layout(data, self._varying, tables)
        rest = GraphDef.FromString(layout.rest(data))
        if self._graph is not None:
            self._graph.close()
        return layout, FedGraph(rest, layout.fed)


def _has_variables(path: str) -> bool:
    files = filesystem_of(path)
    index = files.join(os.path.dirname(path), "variables/variables.index")
    return os.path.basename(path) == "saved_model.pb" and files.stamp(index) is not None


def digest_of(path: str) -> str:
    """Return the xxh3_64 of a file, in hexadecimal."""
    return _digest(_bytes_of(path))


def _digest(data: Any) -> str:
    return str(xxhash.xxh3_64(data).hexdigest())


def _import_whole(path: str, data: Any) -> Set[str]:
    """Parse and import a file, and return the names of the nodes that fill its tables."""
    with tf.Graph().as_default(), v1.Session(config=without_optimizers()) as session:
        if os.path.basename(path) == "saved_model.pb":
            graph_def = load_saved_model(session, ["serve"], os.path.dirname(path)).graph_def
        else:
            graph_def = _graph_def(data)
            tf.import_graph_def(graph_def, name="")
    if graph_def.ByteSize() > _MUCH:
        gc.collect()  # a tf.Graph refers to itself, and holds the weights
    return filling_tables(graph_def)


def _graph_def(data: Any) -> Any:
    start, end, _ = graph_in(data)
    graph_def = GraphDef()
    try:
        graph_def.ParseFromString(data[start:end])
    except DecodeError as error:
        raise ValueError(f"it is not a GraphDef: {error}") from None
    return graph_def


def _bytes_of(path: str) -> Any:
    """Return a file's bytes; those of a local file are mapped, and arrays may share them."""
    if filesystem_of(path).rewrites:
        # some network file systems cannot map files
        with contextlib.suppress(OSError), open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return read(path)
