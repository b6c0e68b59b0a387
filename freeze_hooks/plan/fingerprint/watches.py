"""Watches: each tells quickly whether one object has changed, and if so, how."""

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
        """Return whether each value is still the same object."""
        now = self._now()
        return len(now) == len(self.values) and all(map(operator.is_, now, self.values))

    def changes(self) -> Iterator[str]:
        """Yield the changes, as text."""
        now = self._now()
        if len(now) != len(self.values):
            yield f"{self._name}: {len(self.values)} -> {len(now)} items"
            return
        for i, (old, new) in enumerate(zip(self.values, now)):
            if old is not new and image(new) != self._images[i]:
                yield f"{self._called(i)}: {shown(old)} -> {shown(new)}"

    def renew(self) -> bool:
        """Accept equal new values; return False if a new value has content to watch."""
        before, self.values = self.values, self._now()
        new = [value for old, value in zip(before, self.values) if old is not value]
        return len(before) == len(self.values) and all(isinstance(value, PLAIN) for value in new)

    def _now(self) -> List[Any]:
        return list(self._of)

    def _called(self, i: int) -> str:
        return f"{self._name}[{i}]"


class Kept(Items):
    """Watches some items of a list that is an entry of a mapping.

    Args:
      of: the mapping.
      key: the entry's key.
      name: the list's name, for messages.
      counts: whether to watch an item.
    """

    def __init__(self, of: Any, key: str, name: str, counts: Callable[[Any], bool]) -> None:
        self._key, self._counts = key, counts
        super().__init__(of, name)
        self._all = self._listed()

    def same(self) -> bool:
        """Return whether the list, or at least the items to watch, are still the same objects."""
        now = self._listed()
        unchanged = len(now) == len(self._all) and all(map(operator.is_, now, self._all))
        return unchanged or super().same()

    def renew(self) -> bool:
        """Accept equal new values; return False if a new value has content to watch."""
        self._all = self._listed()
        return super().renew()

    def _listed(self) -> List[Any]:
        return list(self._of.get(self._key, ()))

    def _now(self) -> List[Any]:
        return [item for item in self._listed() if self._counts(item)]


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
      keys: the keys of the entries to watch.
      name: the mapping's name, for messages.
      form: formats an entry's name from the mapping's name and the key.
      counts: whether to watch an added entry, by its key and value.
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
        # itemgetter would make a defaultdict create a missing entry
        plain = len(self._keys) > 1 and not hasattr(type(of), "__missing__")
        self._quick = operator.itemgetter(*self._keys) if plain else None
        super().__init__(of, name)

    def same(self) -> bool:
        """Return whether each value is still the same object, and no entry was added."""
        if len(self._of) != len(self._known):
            return False
        if self._quick is None:
            return super().same()
        try:
            return all(map(operator.is_, self._quick(self._of), self.values))
        except KeyError:
            return False

    def changes(self) -> Iterator[str]:
        """Yield the changes, as text."""
        for i, (old, new) in enumerate(zip(self.values, self._now())):
            if new is _GONE:
                yield f"{self._called(i)}: {shown(old)} -> gone"
            elif old is not new and image(new) != self._images[i]:
                yield f"{self._called(i)}: {shown(old)} -> {shown(new)}"
        for key, value in self._added():
            yield f"{self._form.format(self._name, key)}: new, {shown(value)}"

    def renew(self) -> bool:
        """Accept equal new values; return False if a new value has content to watch."""
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
        """Return whether the content is still the same."""
        return bool(content(self._of) == self._content)

    def changes(self) -> Iterator[str]:
        """Yield that the content has changed."""
        yield f"{self._name}: other numbers in it"

    def renew(self) -> bool:
        """Return True: an array has nothing new to watch."""
        return True
