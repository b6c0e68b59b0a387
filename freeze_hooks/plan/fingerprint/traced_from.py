"""Remembers the Python values that a trace may have read, and finds those that changed since.

A trace fixes Python values: numbers and switches that a call reads become constants, layers and
tables that it uses become nodes. So each object that a trace may have read is watched. If nothing
has changed, a check is quick: it compares values by identity only.
"""

from __future__ import annotations

import collections
import functools
import re
import sys
import types
import weakref
from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple

import numpy as np

from ... import _keras
from .named_in_code import Mentioned, is_foreign, is_library, loaded
from .value_images import PLAIN
from .watches import Enclosed, Entries, Items, Kept, Numbers

# Attributes of Keras's models that concern training only.
_TRAINING = frozenset(
    re.findall(
        r"\w+",
        "autotune_steps_per_execution compiled compiled_loss compiled_metrics history input_names "
        "inputs jit_compile loss optimizer output_names outputs predict_function run_eagerly "
        "steps_per_execution stop_evaluating stop_predicting stop_training test_function "
        "train_function train_tf_function unrolled_steps_per_execution "
        "_jax_state _jax_state_synced",
    )
)
_GENERAL = ("Layer", "Model", "Network", "Functional", "Sequential")  # these compute nothing
_ROUNDS = 20  # each round may find code that leads to further code


class TracedFrom:
    """Create it when a trace is made; `changes` then lists what has changed since.

    It watches the attributes of a model and of all its layers, modules and other objects, the
    variables that functions enclose, globals and class attributes. Plain values (numbers, strings,
    containers of them, NumPy arrays) are compared by content; layers, variables and tables by
    identity. In the user's own objects, it watches only attributes that the code of their calls
    mentions: a counter that only `train_step` uses is not watched.

    Args:
      *roots: models of any Keras, tf.Modules, or functions.
    """

    def __init__(self, *roots: Any) -> None:
        self._roots = roots
        self._begin()

    def changes(self) -> List[str]:
        """Return what a new trace would read differently: "dense_1.temperature: 1.0 -> 0.5"."""
        stale = [watch for watch in self._watches if not watch.same()]
        found = [change for watch in stale for change in watch.changes()]
        if stale and not found and not all(watch.renew() for watch in stale):
            self._begin()
        return list(dict.fromkeys(found))

    def _begin(self) -> None:
        """Watch all objects; repeat until the code that they lead to mentions no new names."""
        self._mentioned = Mentioned()
        for _ in range(_ROUNDS):
            self._watches: List[Any] = []
            self._met: Dict[int, Any] = {}  # keeps objects alive, so that no other gets their id
            self._pending: Deque[Tuple[Any, str]] = collections.deque()
            known = self._mentioned.size
            for root in self._roots:
                self._meet(root, "")
            self._meet_all()
            self._meet_globals()
            for kind in self._mentioned.classes():
                self._watch(vars(kind), kind.__name__, self._is_of_class)
            self._meet_all()
            self._mentioned.settle()
            if self._mentioned.size == known:
                return

    def _meet(self, value: Any, name: str) -> None:
        """Put a value, called `name` in messages, on the list of those to watch."""
        if not isinstance(value, PLAIN) and id(value) not in self._met:
            self._met[id(value)] = value
            self._pending.append((value, name))

    def _meet_all(self) -> None:
        """Watch the values on the list, and those inside them; without recursion."""
        while self._pending:
            self._look_into(*self._pending.popleft())

    def _look_into(self, value: Any, name: str) -> None:
        if isinstance(value, np.ndarray):
            self._watches.append(Numbers(value, name))
        elif isinstance(value, (list, tuple, set, frozenset, collections.deque)):
            if not isinstance(value, (tuple, frozenset)):
                self._watches.append(Items(value, name))
            for i, item in enumerate(list(value)):
                self._meet(item, f"{name}[{i}]")
        elif isinstance(value, dict):
            self._watch(value, name, _always, "{}[{!r}]")
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._meet(part, name)
        elif isinstance(value, weakref.ref):  # a bound tf.function refers to its object so
            self._meet(value(), "")
        elif isinstance(value, types.MethodType):
            self._meet(value.__self__, name)
            self._meet(value.__func__, name)
        elif isinstance(value, types.FunctionType):
            self._meet_function(value)
        elif hasattr(type(value), "get_concrete_function") and hasattr(value, "python_function"):
            self._meet(value.python_function, name)
        elif not isinstance(value, (type, types.ModuleType)):
            self._meet_object(value, name)

    def _meet_function(self, function: Any) -> None:
        if is_library(function.__module__):
            return
        self._mentioned.add_function(function)
        name = function.__name__
        if function.__closure__:
            watch = Enclosed(function, name)
            self._watches.append(watch)
            for variable, item in zip(function.__code__.co_freevars, watch.values):
                self._meet(item, variable)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._meet(default, name)

    def _meet_globals(self) -> None:
        """Watch the globals that the user's functions read, in their own modules and in others."""
        places: Dict[int, Tuple[Any, Set[str]]] = {}
        for function in list(self._mentioned.functions.values()):
            here = function.__globals__
            places.setdefault(id(here), (here, set()))[1].update(loaded(function.__code__))
            for _, value in self._mentioned.globals_of(function):
                if isinstance(value, types.ModuleType) and not is_foreign(value):
                    there = vars(value)
                    places.setdefault(id(there), (there, set()))[1].update(self._mentioned.names)
        for place, names in places.values():
            counts = functools.partial(_is_of_module, names)
            self._watch(place, str(place.get("__name__")), counts)

    def _meet_object(self, thing: Any, name: str) -> None:
        attributes = _attributes(thing)
        kind: Any = type(thing)
        layer = layer_class(kind)
        if attributes is None or any(base.__name__ == "Metric" for base in kind.__mro__):
            return
        if layer is None and is_library(kind.__module__):
            return  # tensors, variables, tables, optimizers: the owner's watch compares identity
        if layer is not None or not is_foreign(sys.modules.get(kind.__module__)):
            self._mentioned.add_class(kind)
        if layer is not None:
            name = str(getattr(thing, "name", None) or kind.__name__)
        counts = functools.partial(self._is_read, kind, layer)
        self._watch(attributes, name or kind.__name__, counts)
        for key in _keras.LAYERS if layer is not None else ():
            kept = Kept(attributes, key, f"layers of {name}", _is_layer)
            self._watches.append(kept)
            for inner in kept.values:
                self._meet(inner, name)

    def _watch(
        self,
        entries: Any,
        name: str,
        counts: Callable[[Any, Any], bool],
        form: str = "{}.{}",
    ) -> None:
        keys = [key for key, value in list(entries.items()) if counts(key, value)]
        watch = Entries(entries, keys, name, form, counts)
        self._watches.append(watch)
        for key, value in zip(keys, watch.values):
            self._meet(value, form.format(name, key))

    def _is_read(self, kind: type, layer: Optional[type], key: str, value: Any) -> bool:
        """Return whether a call may depend on an attribute of an object of this class."""
        own = not is_library(kind.__module__)
        if layer is None:
            return key in self._mentioned or self._may_be_read(key)
        if key in _keras.STRUCTURE:
            return True
        if key in _keras.LAYERS:
            return False
        if key == _keras.TRAINABLE:
            return own and "trainable" in self._mentioned
        model = any(base.__name__ == "Model" for base in kind.__mro__)
        if _keras.is_passing(key) or key in names_of_bare(layer):
            return False
        if model and key in _TRAINING:
            return False
        if own and key in self._mentioned:
            return True
        if not _is_of_kerases(kind, layer):
            return own and self._may_be_read(key)
        return not key.startswith("_") or not (model or _is_tensor(value))

    def _may_be_read(self, key: str) -> bool:
        return self._mentioned.anything and not key.startswith("_")

    def _is_of_class(self, key: str, value: Any) -> bool:
        return key in self._mentioned and not key.startswith("__")


def _is_of_module(names: Set[str], key: str, value: Any) -> bool:
    """Return whether a global is among `names` and a trace takes its value."""
    if key.startswith("__") or key not in names:
        return False
    return not (isinstance(value, (type, types.ModuleType)) or _is_tensor(value))


def _always(key: Any, value: Any) -> bool:
    return True


def _attributes(thing: Any) -> Optional[Dict[str, Any]]:
    found = getattr(thing, "__dict__", None)
    return found if isinstance(found, dict) else None


def _is_layer(thing: Any) -> bool:
    kind: Any = type(thing)
    return layer_class(kind) is not None


@functools.lru_cache(maxsize=4096)
def layer_class(kind: Any) -> Any:
    """Return Keras's own Layer class that a class derives from; None if it is not a layer."""
    for base in kind.__mro__:
        if base.__name__ == "Layer" and is_library(base.__module__):
            return base
    return None


@functools.lru_cache(maxsize=None)
def names_of_bare(layer: Any) -> frozenset:
    """Return the attributes that Keras gives to every layer for its own use."""
    return frozenset(vars(layer(name="bare")))


def _is_of_kerases(kind: type, layer: type) -> bool:
    """Return whether Keras's own code computes for a class; it may read any attribute."""
    return any(
        is_library(base.__module__) and base.__name__ not in _GENERAL and issubclass(base, layer)
        for base in kind.__mro__
    )


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape") and not hasattr(value, "assign")
