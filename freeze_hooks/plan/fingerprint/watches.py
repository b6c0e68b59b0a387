"""Watches over one object each: quick to say that nothing in it has changed, else they say what."""

from __future__ import annotations

import operator
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from .value_images import PLAIN, cells, content, image, shown

_GONE = object()


class Items:
    """Watches the items of a list, tuple or set."""

    def __init__(self, of: Any, name: str) -> None:
        self._of, self._name = of, name
        self.values = self._now()
        self._images = list(map(image, self.values))

    def same(self) -> bool:
        """Whether each value is the very object that it was."""
        now = self._now()
        return len(now) == len(self.values) and all(map(operator.is_, now, self.values))

    def changes(self) -> Iterator[str]:
        """What is otherwise now."""
        now = self._now()
        if len(now) != len(self.values):
            yield f"{self._name}: {len(self.values)} -> {len(now)} items"
            return
        for i, (old, new) in enumerate(zip(self.values, now)):
            if old is not new and image(new) != self._images[i]:
                yield f"{self._called(i)}: {shown(old)} -> {shown(new)}"

    def renew(self) -> bool:
        """Take equal values for the ones before them; False where a new one is to be watched."""
        before, self.values = self.values, self._now()
        new = [value for old, value in zip(before, self.values) if old is not value]
        return len(before) == len(self.values) and all(isinstance(value, PLAIN) for value in new)

    def _now(self) -> List[Any]:
        return list(self._of)

    def _called(self, i: int) -> str:
        return f"{self._name}[{i}]"


class Kept(Items):
    """Watches those items of a list that are of a kind.

    Args:
      of: the mapping whose entry is the list.
      key: the entry.
      counts: whether an item is of the kind.
    """

    def __init__(self, of: Any, key: str, name: str, counts: Callable[[Any], bool]) -> None:
        self._key, self._counts = key, counts
        super().__init__(of, name)

    def _now(self) -> List[Any]:
        return [item for item in self._of.get(self._key, ()) if self._counts(item)]


class Enclosed(Items):
    """Watches the variables that a function encloses."""

    def _now(self) -> List[Any]:
        return cells(self._of)

    def _called(self, i: int) -> str:
        return f"{self._of.__code__.co_freevars[i]} of {self._name}"


class Entries(Items):
    """Watches some of a mapping's entries, such as an object's attributes.

    Args:
      of: the mapping.
      keys: those of its entries that count.
      form: what an entry is called, by the mapping's name and the key.
      counts: whether an entry that is added counts too, by its key and value.
    """

    def __init__(
        self,
        of: Any,
        keys: Sequence[Any],
        name: str,
        form: str,
        counts: Callable[[Any, Any], bool],
    ) -> None:
        self._keys, self._form, self._counts = list(keys), form, counts
        self._known = set(of)
        # a defaultdict would make what is gone
        plain = len(self._keys) > 1 and not hasattr(type(of), "__missing__")
        self._quick = operator.itemgetter(*self._keys) if plain else None
        super().__init__(of, name)

    def same(self) -> bool:
        """Whether each value is the very object that it was, and no entry was added."""
        if len(self._of) != len(self._known):
            return False
        if self._quick is None:
            return super().same()
        try:
            return all(map(operator.is_, self._quick(self._of), self.values))
        except KeyError:
            return False

    def changes(self) -> Iterator[str]:
        """What is otherwise now."""
        for i, (old, new) in enumerate(zip(self.values, self._now())):
            if new is _GONE:
                yield f"{self._called(i)}: {shown(old)} -> gone"
            elif old is not new and image(new) != self._images[i]:
                yield f"{self._called(i)}: {shown(old)} -> {shown(new)}"
        for key, value in self._added():
            yield f"{self._form.format(self._name, key)}: new, {shown(value)}"

    def renew(self) -> bool:
        """Take equal values for the ones before them; False where a new one is to be watched."""
        self._known = set(self._of)
        return super().renew()

    def _added(self) -> Iterator[Tuple[Any, Any]]:
        for key, value in list(self._of.items()):
            if key not in self._known and self._counts(key, value):
                yield key, value

    def _now(self) -> List[Any]:
        return [self._of.get(key, _GONE) for key in self._keys]

    def _called(self, i: int) -> str:
        return self._form.format(self._name, self._keys[i])


class Numbers:
    """Watches the content of a NumPy array, which may change in place."""

    def __init__(self, of: Any, name: str) -> None:
        self._of, self._name = of, name
        self._content = content(of)

    def same(self) -> bool:
        """Whether its content is what it was."""
        return bool(content(self._of) == self._content)

    def changes(self) -> Iterator[str]:
        """That its content is otherwise."""
        yield f"{self._name}: other numbers in it"

    def renew(self) -> bool:
        """Nothing new is to be watched."""
        return True
