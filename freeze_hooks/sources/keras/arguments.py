"""Arguments of a Keras model's call: tensors by position or by name, nested, or omitted."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import tensorflow as tf

from ...errors import FreezeError, near
from ..naming import keys_of


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Arguments of a model's call, with tensors, or specs such as tf.TensorSpec in their place.

    Attributes:
      args: arguments by position.
      kwargs: arguments by name, without `training`.
      by_name: whether the file's inputs are named after the arguments, even after a single one.
    """

    args: Tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    by_name: bool = False

    @property
    def leaves(self) -> List[Any]:
        """The tensors or specs, in the order of tf.nest; a ragged or sparse one counts once."""
        return [leaf for leaf in tf.nest.flatten(self._structure()) if is_tensor(leaf)]

    def filled(self, leaves: Iterable[Any]) -> Arguments:
        """Return the arguments with other tensors; all else, such as None, stays."""
        rest = iter(leaves)
        old = tf.nest.flatten(self._structure())
        flat = [next(rest) if is_tensor(leaf) else leaf for leaf in old]
        args, kwargs = tf.nest.pack_sequence_as(self._structure(), flat)
        return Arguments(tuple(args), kwargs, self.by_name)

    def begun_by_position(self, model: Any) -> Arguments:
        """Return the arguments with the first one by position, as Keras requires."""
        first = next((p.name for p in _parameters(model) if p.kind in _BY_POSITION), None)
        if self.args or first is None or first not in self.kwargs:
            return self
        more = {name: value for name, value in self.kwargs.items() if name != first}
        return Arguments((self.kwargs[first],), more, self.by_name)

    def named(self, model: Any) -> Dict[str, Any]:
        """Return {parameter of the model's call: its argument} for those with tensors, in order."""
        found: Dict[str, Any] = {}
        positional = [p for p in _parameters(model) if p.kind in _BY_POSITION]
        for i, argument in enumerate(self.args):
            found[positional[i].name if i < len(positional) else f"args_{i}"] = argument
        found.update(sorted(self.kwargs.items()))
        return {name: _bare(value) for name, value in found.items() if _has_tensor(value)}

    def _structure(self) -> Tuple[List[Any], Dict[str, Any]]:
        return list(self.args), dict(self.kwargs)


_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_PACKED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def is_tensor(leaf: Any) -> bool:
    """Return whether a leaf is a tensor, an array or the spec of one."""
    return isinstance(leaf, tf.TypeSpec) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def takes_training(model: Any) -> bool:
    """Return whether a model's call has a parameter `training`."""
    return "training" in inspect.signature(model.call).parameters


def argument_names(arguments: Arguments, model: Any) -> List[str]:
    """Return a name for each tensor of several arguments: its spec's or its parameter's."""
    found = []
    for name, value in arguments.named(model).items():
        leaves = [leaf for leaf in tf.nest.flatten(value) if leaf is not None]
        parts = [getattr(part, "name", None) for part in tf.nest.flatten(leaves, True)]
        keys = keys_of({name: value}, name)
        found += [part or key for part, key in zip(parts, keys)]
    return found


def required(model: Any) -> List[str]:
    """Return the names of a model's required parameters."""
    return [parameter.name for parameter in _parameters(model) if _is_required(parameter)]


def packed_by_name(model: Any) -> List[str]:
    """Return the name of `**kwargs` in a model's call; an empty list if it has none."""
    return [p.name for p in _parameters(model) if p.kind == inspect.Parameter.VAR_KEYWORD]


def readings(model: Any, given: Any) -> List[Arguments]:
    """Return the possible meanings of an `input_signature=`, the most likely first.

    Args:
      model: the model whose call it is for.
      given: a structure for the call's first argument; a list of one for each argument; or a dict
        of them by the arguments' names.

    Raises:
      FreezeError: it is none of these.
    """
    if isinstance(given, Arguments):
        return [given]
    parameters = _parameters(model)
    needed = required(model)
    found = []
    if isinstance(given, Mapping) and _names_all(given, parameters, needed):
        found.append(_by_name(given, parameters))
    if len(needed) <= 1:
        found.append(Arguments((given,)))
    if isinstance(given, (list, tuple)) and not hasattr(given, "_fields"):
        places = [p for p in parameters if p.kind in _BY_POSITION]
        packed = any(p.kind == inspect.Parameter.VAR_POSITIONAL for p in parameters)
        if max(2, len(needed)) <= len(given) and (packed or len(given) <= len(places)):
            found.append(_by_position(given, model))
    if not found:
        raise _misfit(model, given, parameters, needed)
    return found


def _parameters(model: Any) -> List[inspect.Parameter]:
    found = inspect.signature(model.call).parameters.values()
    return [parameter for parameter in found if parameter.name not in ("self", "training")]


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind not in _PACKED


def _names_all(
    given: Mapping[str, Any], parameters: Sequence[inspect.Parameter], needed: Sequence[str]
) -> bool:
    known = {p.name for p in parameters if p.kind not in _PACKED}
    more = any(p.kind == inspect.Parameter.VAR_KEYWORD for p in parameters)
    return set(needed) <= set(given) and bool(known & set(given)) and (more or set(given) <= known)


def _by_name(given: Mapping[str, Any], parameters: Sequence[inspect.Parameter]) -> Arguments:
    """Return the arguments, the first one by position, as Keras requires."""
    first = next((p.name for p in parameters if p.kind in _BY_POSITION and p.name in given), None)
    more = {name: value for name, value in given.items() if name != first}
    return Arguments(() if first is None else (given[first],), more, True)


def _by_position(given: Sequence[Any], model: Any) -> Arguments:
    """Return the arguments; those after `training` are passed by name, to leave its place free."""
    args: List[Any] = []
    kwargs: Dict[str, Any] = {}
    rest = list(given)
    behind = False
    for parameter in inspect.signature(model.call).parameters.values():
        if parameter.name == "training":
            behind = True
        elif parameter.kind == inspect.Parameter.VAR_POSITIONAL:
            args, rest = args + rest, []
        elif parameter.kind in _BY_POSITION and parameter.name != "self" and rest:
            if behind:
                kwargs[parameter.name] = rest.pop(0)
            else:
                args.append(rest.pop(0))
    return Arguments(tuple(args), kwargs)


def _misfit(
    model: Any,
    given: Any,
    parameters: Sequence[inspect.Parameter],
    needed: Sequence[str],
) -> FreezeError:
    takes = ", ".join(
        p.name + ("" if _is_required(p) or p.kind in _PACKED else " (may be left out)")
        for p in parameters
    )
    said = f"call() of {model.name!r} takes {takes}, and input_signature= gives "
    names = [p.name for p in parameters]
    if isinstance(given, Mapping):
        said += ", ".join(map(repr, given))
        close = {name: near(name, names) for name in given if name not in names}
        said += "".join(f" ({n!r}: did you mean {c[0]!r}?)" for n, c in close.items() if c)
    elif isinstance(given, (list, tuple)):
        said += f"{len(given)} by position"
    else:
        said += "one alone"
    example = ", ".join(f"{name!r}: tf.TensorSpec(...)" for name in needed)
    return FreezeError(
        f"{said}: give a list of a tf.TensorSpec for each argument in their order, or a dict by "
        f"their names, {{{example}}}"
    )


def _bare(value: Any) -> Any:
    """Return a structure with None in place of all but tensors."""
    return tf.nest.map_structure(lambda leaf: leaf if is_tensor(leaf) else None, value)


def _has_tensor(value: Any) -> bool:
    return any(is_tensor(leaf) for leaf in tf.nest.flatten(value))
