"""Finds checkpoints, and reads variables from their files without a session or restore."""

from __future__ import annotations

import collections
import itertools
import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from google.protobuf.message import DecodeError

from .._protos import TrackableObjectGraph, dtype_name, parse
from ..errors import FreezeError, InvalidFileError, UnknownNameError, near, refused
from ..frozen.other_kinds import told_at
from ..graph.restore_ops import SavedKey
from ..graph.variables import Variable
from ..storage.listing import exists, matching
from ..values.checkpoint_reads import SavedTensors
from ..values.value import Value
from .at_path import stem

_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})$")
_STEP = re.compile(r"-(\d+)$")  # how Saver.save appends the global step
_PART = re.compile(r"(.+)/part_(\d+)$")  # how get_variable names the parts of a variable
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_OBJECT_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_MOST_NAMED = 20


def step_in(prefix: str) -> Optional[int]:
    """Return the global step at the end of a prefix; None if there is none."""
    found = _STEP.search(prefix)
    return int(found.group(1)) if found else None


class Checkpoint:
    """An open checkpoint of either format; variables are read one by one.

    Attributes:
      prefix: its prefix.
      shapes: {key: dimensions}.
      dtypes: {key: DataType number}.

    Raises:
      InvalidFileError: a file is missing, truncated or not a checkpoint.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        _check_shards(prefix)
        try:
            self._saved = SavedTensors(prefix)
        except InvalidFileError as error:
            raise told_at(prefix) or error from error
        self.shapes = self._saved.shapes
        self.dtypes = self._saved.dtypes
        self._objects = self._object_keys()

    @property
    def step(self) -> Optional[int]:
        """The global step: from the name, or else from the variable `global_step`."""
        named = step_in(stem(self.prefix))
        if named is not None:
            return named
        if self.shapes.get("global_step") != ():
            return None
        with refused(f"{self.prefix}: global_step"):
            return int(self._saved.tensor("global_step"))

    def _object_keys(self) -> Dict[str, str]:
        """Return {variable's name, or path of attributes: key} of an object-based checkpoint."""
        if OBJECTS not in self.shapes:
            return {}
        with refused(f"{self.prefix}: {OBJECTS}", DecodeError):
            graph = parse(TrackableObjectGraph(), self._saved.tensor(OBJECTS))
        saved = [a for node in graph.nodes for a in node.attributes if a.checkpoint_key]
        counts = collections.Counter(a.full_name for a in saved)
        keys = {
            a.checkpoint_key[: -len(_OBJECT_SUFFIX)]: a.checkpoint_key
            for a in saved
            if a.checkpoint_key.endswith(_OBJECT_SUFFIX)
        }
        # a name that several objects share is not used
        keys.update((a.full_name, a.checkpoint_key) for a in saved if counts[a.full_name] == 1)
        return keys

    def place(self, name: str) -> Optional[SavedKey]:
        """Return where a variable is, given its name, key or object path; None if it is missing."""
        key = name if name in self.shapes else self._objects.get(name)
        return SavedKey(key) if key is not None and key in self.shapes else None

    def locate(
        self, variables: Sequence[Variable], hints: Iterable[Mapping[str, SavedKey]]
    ) -> List[SavedKey]:
        """Return where each variable is.

        Args:
          variables: with their names in the checkpoint, or in `hints`.
          hints: {variable's name: its place}; the first that fits the checkpoint counts.

        Raises:
          UnknownNameError: variables are missing; names them all, with near matches.
          FreezeError: a variable has another dtype or shape in the checkpoint.
        """
        found = self.there(variables, hints)
        missing = [variable.node for variable in variables if variable.node not in found]
        if missing:
            raise UnknownNameError(self._missing(missing))
        for variable in variables:
            self._check(variable, found[variable.node])
        return [found[variable.node] for variable in variables]

    def there(
        self, variables: Sequence[Variable], hints: Iterable[Mapping[str, SavedKey]]
    ) -> Dict[str, SavedKey]:
        """Return {name: place} of the variables that are in the checkpoint; see `locate`."""
        found: Dict[str, SavedKey] = {}
        missing = [variable.node for variable in variables]
        for hint in itertools.chain(hints, [self._own(missing), self._parts(variables)]):
            found.update((n, hint[n]) for n in missing if n in hint and hint[n].key in self.shapes)
            missing = [name for name in missing if name not in found]
            if not missing:
                break
        return found

    def _own(self, names: Iterable[str]) -> Dict[str, SavedKey]:
        places = ((name, self.place(name)) for name in names)
        return {name: place for name, place in places if place is not None}

    def _parts(self, variables: Sequence[Variable]) -> Dict[str, SavedKey]:
        """Return places of `w/part_0`, `w/part_1`... in a key `w`, by their shapes and order."""
        groups: Dict[str, List[Tuple[int, Variable]]] = {}
        for variable in variables:
            found = _PART.match(variable.node)
            if found and variable.shape is not None and found.group(1) in self.shapes:
                groups.setdefault(found.group(1), []).append((int(found.group(2)), variable))
        places: Dict[str, SavedKey] = {}
        for key, numbered in groups.items():
            parts = [part for _, part in sorted(numbered, key=lambda pair: pair[0])]
            places.update(_lined_up(key, self.shapes[key], parts))
        return places

    def _check(self, variable: Variable, place: SavedKey) -> None:
        dtype = self._saved.dtypes[place.key]
        shape = place.size if place.size is not None else self.shapes[place.key]
        fits = variable.shape is None or tuple(shape) == variable.shape
        if not fits or dtype != variable.dtype:
            raise FreezeError(
                f"variable {variable.node!r} is {dtype_name(variable.dtype)} {variable.shape} in "
                f"the graph, but {place.key!r} is {dtype_name(dtype)} {tuple(shape)} in checkpoint "
                f"{self.prefix}: take the graph and the checkpoint of one training"
            )

    def _missing(self, names: Sequence[str]) -> str:
        known = sorted(set(self.shapes) | set(self._objects))
        lines = []
        for name in names[:_MOST_NAMED]:
            close = ", ".join(map(repr, near(name, known, 3))) or "nothing alike"
            lines.append(f"  {name!r}: it has {close}")
        if len(names) > _MOST_NAMED:
            lines.append(f"  and {len(names) - _MOST_NAMED} more")
        return (
            f"checkpoint {self.prefix} lacks {len(names)} of the variables that the outputs need; "
            "variable_map= says which key each takes\n" + "\n".join(lines)
        )

    def values(self, places: Sequence[SavedKey]) -> Iterator[Value]:
        """Yield one value for each place; each is read when it is taken.

        Raises:
          InvalidFileError: a file is truncated or broken.
        """
        return map(self._saved.value, places)

    def arrays(self, places: Sequence[SavedKey]) -> Iterator[Any]:
        """Yield the values as arrays; each must be released before the next is taken."""
        return map(self._saved.array, places)


def _check_shards(prefix: str) -> None:
    if not exists(prefix + ".index"):
        return
    found = [_SHARD.search(name) for name in matching(prefix + ".data-?????-of-?????")]
    numbers = {(int(m.group(1)), int(m.group(2))) for m in found if m}
    if not numbers:
        raise InvalidFileError(f"{prefix}: its data files ({prefix}.data-...) are missing")
    for total in {total for _, total in numbers}:
        missing = [i for i in range(total) if (i, total) not in numbers]
        if missing:
            named = ", ".join(f"{prefix}.data-{i:05d}-of-{total:05d}" for i in missing[:5])
            raise InvalidFileError(f"{prefix}: {len(missing)} of {total} shards missing: {named}")


def _lined_up(
    key: str, whole: Tuple[int, ...], parts: Sequence[Variable]
) -> Iterator[Tuple[str, SavedKey]]:
    """Yield the places of parts, in order, if they fill the whole along one axis."""
    shapes = [part.shape or () for part in parts]
    for axis in range(len(whole)):
        if sum(shape[axis] for shape in shapes if len(shape) == len(whole)) != whole[axis]:
            continue
        offset = 0
        for part, shape in zip(parts, shapes):
            begin = [0] * len(whole)
            begin[axis] = offset
            offset += shape[axis]
            yield part.node, SavedKey(key, tuple(begin), shape)
        return
