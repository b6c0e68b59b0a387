"""Names a Keras model's inputs and outputs as Keras does, but with numbers that start again."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import tensorflow as tf

from ... import _keras
from ..naming import keys_of, spread, stems_of
from .arguments import Arguments, argument_names

_AUTO_INPUT = re.compile(r"(input_layer|keras_tensor)(?:_(\d+))?$")  # Keras 3
_AUTO_INPUT_2 = re.compile(r"(input)_(\d+)$")  # Keras 2 counts from 1
_AUTO_MODEL = re.compile(r"(functional|sequential|model)(_\d+)*$")


def input_names(model: Any, arguments: Arguments) -> List[str]:
    """Return a name for each input tensor, in the order of tf.nest.flatten.

    Args:
      model: the model.
      arguments: specs of its call's arguments.
    """
    given = arguments.named(model)
    if len(given) != 1 or arguments.by_name:
        return argument_names(arguments, model)
    (specs,) = given.values()
    if isinstance(specs, Mapping):
        return keys_of(specs, "inputs")
    flat = tf.nest.flatten(arguments.leaves, expand_composites=True)
    try:
        tensors = tf.nest.flatten(_keras.functional_of(model).input)
    except (AttributeError, ValueError, RuntimeError):
        tensors = []
    if len(tensors) == len(arguments.leaves) and tensors:
        return spread(list(arguments.leaves), _layer_names(tensors))
    if all(spec.name for spec in flat):
        return [spec.name for spec in flat]
    alone = len(arguments.leaves) == 1
    return spread(list(arguments.leaves), ["inputs"]) if alone else keys_of(specs, "inputs")


def _layer_names(tensors: Sequence[Any]) -> List[str]:
    """Return names of the Input layers of symbolic tensors of any Keras."""
    found = [_keras.input_layer_of(tensor) for tensor in tensors]
    names = [name for name, _ in found]
    if all(is_of_keras_3 for _, is_of_keras_3 in found):
        return _renumbered(names, _AUTO_INPUT, 0)
    return renumbered_as_keras_2(names)


def renumbered_as_keras_2(names: Sequence[str]) -> List[str]:
    """Return names of inputs without the numbers that Keras 2 counts up in a process."""
    return _renumbered(names, _AUTO_INPUT_2, 1)


def _renumbered(names: Sequence[str], automatic: Any, first: int) -> List[str]:
    """Return names with Keras's automatic numbers as in a new process.

    The numbers keep their order, even if the inputs have another one. Names by users stay.
    """
    numbered: Dict[str, List[Tuple[int, int]]] = {}
    for i, match in enumerate(map(automatic.match, names)):
        if match:
            numbered.setdefault(match.group(1), []).append((int(match.group(2) or 0), i))
    found = list(names)
    for base, numbers in numbered.items():
        for count, (_, i) in enumerate(sorted(numbers), first):
            found[i] = f"{base}_{count}" if count else base
    return found


def output_names(model: Any, structure: Any) -> List[str]:
    """Return a name for each output tensor, in the order of tf.nest.flatten."""
    stems = stems_of(structure, "output")
    names = getattr(_keras.functional_of(model), "output_names", None)
    if not isinstance(structure, Mapping) and names and len(names) == len(stems):
        stems = [stem if _AUTO_MODEL.match(name) else name for stem, name in zip(stems, names)]
    return spread(structure, stems)


def scopes_of(model: Any) -> Callable[[str], bool]:
    """Return a test for leading name scopes that are only a model's name, numbered by Keras."""
    own = {model.name, _keras.functional_of(model).name}

    def is_scope(scope: str) -> bool:
        return (
            re.sub(r"(_\d+)+$", "", scope) in own or scope in own or bool(_AUTO_MODEL.match(scope))
        )

    return is_scope
