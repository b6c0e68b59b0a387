"""Sends a user's own classes and functions to the process that plans a model.

What that process can import is sent by name. The rest (from the main program, a notebook, or
inside a function) is sent by value, with cloudpickle.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import importlib
import io
import json
import marshal
import pickle
import sys
import types
import zipfile
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Set, Tuple

from ...errors import NotFreezableError
from ..own_lines import said

_LAMBDA = "<lambda>"


@dataclasses.dataclass(frozen=True)
class Thing:
    """A user's own class or function.

    Attributes:
      name: its name in the saved model.
      module, qualname: where it is defined.
      content: its pickled value if it cannot be imported, else empty.
      needed: whether the saved model refers to it.
    """

    name: str
    module: str
    qualname: str
    content: bytes
    needed: bool


def things_of(layers: Iterable[Any]) -> Tuple[List[Any], List[Any]]:
    """Return classes and functions that layers' configs may hold, and those registered in Keras.

    Not all of them may be needed.
    """
    import keras

    found = [thing for layer in layers for thing in _of_layer(layer)]
    registered = keras.saving.get_custom_objects().values()
    return _distinct(filter(_is_own, found)), _distinct(filter(_is_own, registered))


def _of_layer(layer: Any) -> Iterator[Any]:
    yield type(layer)
    for name, value in list(vars(layer).items()):
        if isinstance(value, types.FunctionType):
            if not hasattr(type(layer), name):  # else Keras has wrapped a method
                yield value
        elif isinstance(value, type):
            yield value
        elif hasattr(type(value), "get_config"):
            yield type(value)


def _is_own(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or ""
    return hasattr(thing, "__qualname__") and module.split(".")[0] not in ("", "keras", "builtins")


def _distinct(things: Iterable[Any]) -> List[Any]:
    return list({id(thing): thing for thing in things}.values())


@contextlib.contextmanager
def named_apart(things: Sequence[Any]) -> Iterator[Dict[str, Any]]:
    """Give {name in a saved model: thing}, with different names for all in the block.

    Keras stores functions that are not registered by `__name__`, which several may share. It stores
    a lambda's code without what it refers to. In the block, such functions have unique names.

    Raises:
      NotFreezableError: several classes have the same name.
    """
    import keras

    name_of = keras.saving.get_registered_name
    shared = collections.Counter(map(name_of, things))
    before = []
    try:
        for i, thing in enumerate(things):
            name = name_of(thing)
            if name != thing.__name__ or not (shared[name] > 1 or name == _LAMBDA):
                continue
            if isinstance(thing, type):
                places = [f"{t.__module__}.{t.__qualname__}" for t in things if name_of(t) == name]
                raise NotFreezableError(
                    f"several classes are called {name!r} where a model is saved "
                    f"({', '.join(places)}): register each with a package of its own, "
                    "@keras.saving.register_keras_serializable('package')"
                )
            before.append((thing, thing.__name__))
            thing.__name__ = f"{'function' if name == _LAMBDA else name}_{i}_of_freeze_hooks"
        yield {name_of(thing): thing for thing in things}
    finally:
        for thing, name in before:
            thing.__name__ = name


def asked_for(saved_model: str) -> Set[str]:
    """Return the names of classes and functions in a saved `.keras` file."""
    with zipfile.ZipFile(saved_model) as archive:
        return set(_names_in(json.loads(archive.read("config.json").decode())))


def _names_in(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        for key in ("class_name", "registered_name", "config"):
            if isinstance(config.get(key), str):
                yield config[key]
        config = list(config.values())
    if isinstance(config, list):
        for inner in config:
            yield from _names_in(inner)


def packed(named: Dict[str, Any], registered: Sequence[Any], asked: Set[str]) -> List[Thing]:
    """Return things in the form to send: needed ones of layers, and registered ones.

    Raises:
      NotFreezableError: a needed one cannot be sent.
    """
    import keras

    everything = {keras.saving.get_registered_name(thing): thing for thing in registered}
    everything.update((name, thing) for name, thing in named.items() if name in asked)
    found = []
    for name, thing in everything.items():
        try:
            found.append(_packed(name, thing, name in asked))
        except NotFreezableError:
            if name in asked:
                raise
    return found


def _packed(name: str, thing: Any, needed: bool) -> Thing:
    module, qualname = thing.__module__, thing.__qualname__
    if _can_be_imported(thing):
        return Thing(name, module, qualname, b"", needed)
    kind = "class" if isinstance(thing, type) else "function"
    where = "a function" if "<locals>" in qualname else f"the module {module!r}"
    where = "the main program" if module == "__main__" and "<locals>" not in qualname else where
    told = (
        f"{kind} {qualname} is defined in {where}, where the process that plans the model on "
        "TensorFlow cannot import it"
    )
    move = (
        "move it to the top level of a module that can be imported, and decorate it with "
        "@keras.saving.register_keras_serializable()"
    )
    try:
        import cloudpickle
    except ImportError:
        raise NotFreezableError(
            f"{told}: pip install cloudpickle, which sends it there, or {move}"
        ) from None
    try:
        with _by_value(cloudpickle, module):
            return Thing(name, module, qualname, _pickled(cloudpickle, thing), needed)
    except Exception as error:
        raise NotFreezableError(
            f"{told}, nor can it be sent there: {said(error)}; {move}"
        ) from error


def _pickled(cloudpickle: Any, thing: Any) -> bytes:
    """Return a thing pickled by value; its code keeps the file and lines that errors name."""

    table = collections.ChainMap(
        {types.CodeType: lambda code: (marshal.loads, (marshal.dumps(code),))},
        cloudpickle.CloudPickler.dispatch_table,
    )
    pickler: Any = type("Pickler", (cloudpickle.CloudPickler,), {"dispatch_table": table})
    buffer = io.BytesIO()
    pickler(buffer).dump(thing)
    return buffer.getvalue()


@contextlib.contextmanager
def _by_value(cloudpickle: Any, module: str) -> Iterator[None]:
    """Pickle a module's classes and functions by value in the block."""
    there = sys.modules.get(module)
    if there is None or module == "__main__" or _is_found(module):
        yield
        return
    cloudpickle.register_pickle_by_value(there)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(there)


def _can_be_imported(thing: Any) -> bool:
    if thing.__module__ == "__main__" or not _is_found(thing.__module__):
        return False
    try:
        return _imported(thing.__module__, thing.__qualname__) is thing
    except (ImportError, AttributeError):
        return False


def _is_found(module: str) -> bool:
    """Return whether a new process finds a module; this one may have made it in memory."""
    path = None
    parts = module.split(".")
    for i in range(len(parts)):
        name = ".".join(parts[: i + 1])
        specs = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def _imported(module: str, qualname: str) -> Any:
    return functools.reduce(getattr, qualname.split("."), importlib.import_module(module))


def unpacked(things: Sequence[Thing]) -> Dict[str, Any]:
    """Return {name: class or function} in the process that they were sent to.

    Raises:
      BaseException: raised by the import of a needed user module.
    """
    found = {}
    for thing in things:
        try:
            if thing.content:
                found[thing.name] = pickle.loads(thing.content)
            else:
                found[thing.name] = _imported(thing.module, thing.qualname)
        except BaseException:  # such as SystemExit from a module that is a program
            if thing.needed:
                raise
    return found
