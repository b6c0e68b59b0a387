"""Finds the names that the user's own code mentions: a trace depends on no other names."""

from __future__ import annotations

import dis
import functools
import sysconfig
import types
from typing import Any, Dict, Iterator, List, Mapping, Set, Tuple

LIBRARIES = frozenset(
    ("builtins", "functools", "jax", "jaxlib", "keras", "numpy", "tensorflow", "tf_keras", "torch")
)
# with these, code reaches attributes that it does not name
_ANY_NAME = frozenset(
    ("__dict__", "__getattribute__", "attrgetter", "eval", "exec", "getattr", "vars")
)
ENTRIES = ("call", "__call__", "compute_mask")  # methods that Keras or a caller calls
_paths = sysconfig.get_paths()
_INSTALLED = tuple({_paths[kind] for kind in ("stdlib", "purelib", "platlib")})


def is_library(module: Any) -> bool:
    """Return whether a module of this name belongs to TensorFlow, Keras or another library."""
    return str(module).split(".")[0] in LIBRARIES


def is_foreign(module: Any) -> bool:
    """Return whether a module belongs to Python or a package, and not to the user's program."""
    file = getattr(module, "__file__", None)
    if file is None:
        return getattr(module, "__name__", "") != "__main__"
    return str(file).startswith(_INSTALLED)


class Mentioned:
    """Collects the names in all code that a trace may run.

    Attributes:
      names: the attributes, globals, methods and strings that the code mentions.
      anything: whether the code may reach names that it does not mention.
      functions: {id: function} of the user's functions in it.
    """

    def __init__(self) -> None:
        self.names: Set[str] = set(ENTRIES)
        self.anything = False
        self.functions: Dict[int, Any] = {}
        self._classes: Dict[int, type] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def add_class(self, kind: type) -> None:
        """Add a class and its base classes; `settle` adds the names in their mentioned methods."""
        for base in kind.__mro__:
            if not is_library(base.__module__):
                self._classes[id(base)] = base

    def add_function(self, function: Any) -> None:
        """Add the names in a function and in the one it wraps, unless a library defines it."""
        while callable(function) and id(function) not in self.functions:
            code = getattr(function, "__code__", None)
            if isinstance(code, types.CodeType):
                if is_library(getattr(function, "__module__", "") or ""):
                    return
                self.functions[id(function)] = function
                self.names.update(_names(code))
                self.anything = self.anything or bool(_ANY_NAME & self.names)
            function = getattr(function, "__wrapped__", None)

    def settle(self) -> None:
        """Add all functions that the code mentions, until there are no new ones."""
        before = -1
        while before != self.size:
            before = self.size
            for kind in list(self._classes.values()):
                for name, value in list(vars(kind).items()):
                    if name in self.names:
                        for function in _functions(value):
                            self.add_function(function)
            for function in list(self.functions.values()):
                for _, value in self.globals_of(function):
                    if isinstance(value, types.FunctionType) and not _is_installed(value):
                        self.add_function(value)

    @property
    def size(self) -> int:
        """The number of names, functions and classes; it only grows."""
        return len(self.names) + len(self.functions) + len(self._classes)

    def classes(self) -> List[type]:
        """Return the user's classes."""
        return list(self._classes.values())

    def globals_of(self, function: Any) -> Iterator[Tuple[str, Any]]:
        """Yield (name, value) of the globals that a function itself mentions."""
        found: Mapping[str, Any] = getattr(function, "__globals__", {})
        for name in loaded(function.__code__):
            if name in found:
                yield name, found[name]


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> Tuple[str, ...]:
    """Return the names, and strings that may be names, in code and in functions defined in it."""
    found: Dict[str, None] = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(_names(constant)))
        elif isinstance(constant, str) and constant.isidentifier():
            found[constant] = None
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def loaded(code: types.CodeType) -> Tuple[str, ...]:
    """Return the names of the globals that code and functions defined in it read."""
    found: Dict[str, None] = {}
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            found[str(instruction.argval)] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(loaded(constant)))
    return tuple(found)


def _functions(value: Any) -> Iterator[Any]:
    """Yield the functions behind an entry of a class."""
    if isinstance(value, property):
        yield from (f for f in (value.fget,) if f is not None)
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif hasattr(value, "python_function"):  # a tf.function
        yield value.python_function
    elif isinstance(value, types.FunctionType):
        yield value


def _is_installed(function: Any) -> bool:
    """Return whether a function belongs to Python or a package, and not to the user's program."""
    return str(function.__code__.co_filename).startswith(_INSTALLED)
