"""The answers of a stored graph with the values of a checkpoint, which its Saver restores."""

from __future__ import annotations

import dataclasses
import functools
from typing import (
    Any,
    Callable,
    Container,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
)

from ..errors import FreezeError
from .asking import Asking
from .copied import Copy
from .expected import Expected
from .feeds import check_feeds
from .hints import hints_in
from .renamed import renaming_among
from .restored import Reader, restored_by
from .tensor_ends import Ends, optional_in, taken_by


@dataclasses.dataclass(frozen=True)
class Stored:
    """A graph that was read from a file, and where its values are.

    Attributes:
      graph_def: the graph.
      prefix: the checkpoint's prefix; None if the graph has no variables.
      saver_def: the SaverDef, if the graph has its ops; otherwise variables are found by name.
      needed: names of the variables that the checkpoint must have.
      assets: {tensor: path of the file to feed} for ops that fill lookup tables.
      look: is called with each part of the graph before it runs, and may refuse it.
    """

    graph_def: Any
    prefix: Optional[str]
    saver_def: Optional[Any] = None
    needed: Container[str] = ()
    assets: Optional[Mapping[str, str]] = None
    look: Callable[[Any], None] = lambda part: None


class StoredAnswers:
    """The answers for a file of a stored graph.

    Args:
      asking: asks by a signature of the file.
      ends: the inputs and outputs that the user asked for.
      stored: the graph and its checkpoint.
      variable_map, ema: as in `freeze_checkpoint`.

    Raises:
      FreezeError: the feeds do not fit the graph.
    """

    def __init__(
        self,
        asking: Asking,
        ends: Ends,
        stored: Stored,
        variable_map: Any = None,
        ema: Any = None,
    ) -> None:
        self._asking, self._ends = asking, ends
        self._prefix, self._needed = stored.prefix, stored.needed
        self._variable_map, self._ema = variable_map, ema
        self._copy = Copy(stored.graph_def, ends, stored.assets, stored.look)
        self._taken = taken_by(self._copy.graph, ends)
        check_feeds(asking.verify, self._taken, optional_in(self._copy.graph, ends))
        self._restored = None
        if stored.prefix is not None:
            self._restored = restored_by(stored.graph_def, stored.saver_def, stored.look)

    def expected(self) -> Expected:
        """Return the answers that the file must repeat.

        Raises:
          FreezeError: the graph does not accept the feeds, or a value is not found.
        """
        hints = functools.partial(hints_in, self._copy.graph, self._ends)
        with self._copy.opened(self._filling) as answer:
            return self._asking.expected(self._taken, answer, hints)

    def _filling(self, names: Iterable[str]) -> Iterator[Tuple[str, Any]]:
        if self._prefix is None:
            return
        reader = Reader(self._prefix, self._copy.shapes)
        known = self._restored.names if self._restored else frozenset()
        there = lambda name: name in known or reader.has(name)  # noqa: E731
        listed = [*known, *reader.names()]
        named = renaming_among(listed, there, self._variable_map, self._ema)
        takers: Dict[str, List[str]] = {}
        for name in names:
            takers.setdefault(named(name), []).append(name)
        if self._restored:
            for source, value in self._restored.read(self._prefix, sorted(known & set(takers))):
                for name in takers[source]:
                    yield name, value
        for source in sorted(set(takers) - known):
            value = reader.value(source)
            for name in takers[source]:
                if value is not None:
                    yield name, value
                elif name in self._needed:
                    raise FreezeError(
                        f"verify= finds no value of variable {name!r} in checkpoint {self._prefix}"
                    )
