"""Which names the user's own code mentions: a trace does not depend on any others."""

from __future__ import annotations

import dis
import functools
import sysconfig
import types
from typing import Any, Dict, Iterator, List, Mapping, Set, Tuple

LIBRARIES = frozenset(
    ("builtins", "functools", "jax", "jaxlib", "keras", "numpy", "tensorflow", "tf_keras", "torch")
)
# by these, code reaches attributes whose names do not stand in it
_ANY_NAME = frozenset(
    ("__dict__", "__getattribute__", "attrgetter", "eval", "exec", "getattr", "vars")
)
ENTRIES = ("call", "__call__", "compute_mask")  # what Keras or a caller runs of an object
_paths = sysconfig.get_paths()
_INSTALLED = tuple({_paths[kind] for kind in ("stdlib", "purelib", "platlib")})


def is_library(module: Any) -> bool:
    """Whether a module of this name is TensorFlow's, Keras's or the like."""
    return str(module).split(".")[0] in LIBRARIES


def is_foreign(module: Any) -> bool:
    """Whether a module is of Python or of a package, rather than of the user's program."""
    file = getattr(module, "__file__", None)
    if file is None:
        return getattr(module, "__name__", "") != "__main__"
    return str(file).startswith(_INSTALLED)


class Mentioned:
    """The names in code that a trace may run, found step by step: it grows with what is added.

    Attributes:
      names: attributes, globals, methods and texts that are mentioned.
      anything: whether the code may reach other names too.
      functions: the user's functions among it.
    """

    def __init__(self) -> None:
        self.names: Set[str] = set(ENTRIES)
        self.anything = False
        self.functions: Dict[int, Any] = {}
        self._classes: Dict[int, type] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def add_class(self, kind: type) -> None:
        """Add what the mentioned methods of a class, and of those that it is made of, mention."""
        for base in kind.__mro__:
            if not is_library(base.__module__):
                self._classes[id(base)] = base

    def add_function(self, function: Any) -> None:
        """Add what a function mentions, and what it decorates, unless it is a library's."""
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
        """Follow what is mentioned to the functions that it means, until there are no new ones."""
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
        """How much is known: it grows."""
        return len(self.names) + len(self.functions) + len(self._classes)

    def classes(self) -> List[type]:
        """The user's classes."""
        return list(self._classes.values())

    def globals_of(self, function: Any) -> Iterator[Tuple[str, Any]]:
        """(name, value) of the globals that a function mentions itself."""
        found: Mapping[str, Any] = getattr(function, "__globals__", {})
        for name in loaded(function.__code__):
            if name in found:
                yield name, found[name]


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> Tuple[str, ...]:
    """Names and short texts in code, and in the functions that are defined in it."""
    found: Dict[str, None] = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(_names(constant)))
        elif isinstance(constant, str) and constant.isidentifier():
            found[constant] = None
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def loaded(code: types.CodeType) -> Tuple[str, ...]:
    """The globals that code reads, and the functions that are defined in it."""
    found: Dict[str, None] = {}
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            found[str(instruction.argval)] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(loaded(constant)))
    return tuple(found)


def _functions(value: Any) -> Iterator[Any]:
    """The functions behind what stands in a class."""
    if isinstance(value, property):
        yield from (f for f in (value.fget,) if f is not None)
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif hasattr(value, "python_function"):  # a tf.function
        yield value.python_function
    elif isinstance(value, types.FunctionType):
        yield value


def _is_installed(function: Any) -> bool:
    """Whether a function is of Python or of a package, rather than of the user's program."""
    return str(function.__code__.co_filename).startswith(_INSTALLED)
