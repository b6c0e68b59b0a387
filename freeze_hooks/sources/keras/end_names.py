"""What the inputs and outputs of a Keras model are called: as Keras calls them, counted anew."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import tensorflow as tf

from ... import _keras
from ..naming import keys_of, spread, stems_of
from .arguments import Arguments, argument_names

_AUTO_INPUT = re.compile(r"(input_layer|keras_tensor)(?:_(\d+))?$")  # of Keras 3
_AUTO_INPUT_2 = re.compile(r"(input)_(\d+)$")  # of Keras 2, which counts from 1
_AUTO_MODEL = re.compile(r"(functional|sequential|model)(_\d+)*$")


def input_names(model: Any, arguments: Arguments) -> List[str]:
    """A name for each input tensor, in the order of tf.nest.flatten.

    Args:
      model: whose call takes them.
      arguments: specs.
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
    """The Input layers that symbolic tensors of any Keras come from."""
    found = [_keras.input_layer_of(tensor) for tensor in tensors]
    names = [name for name, _ in found]
    if all(is_of_keras_3 for _, is_of_keras_3 in found):
        return _renumbered(names, _AUTO_INPUT, 0)
    return renumbered_as_keras_2(names)


def renumbered_as_keras_2(names: Sequence[str]) -> List[str]:
    """Names of inputs without the numbers that Keras 2 counts up over a process."""
    return _renumbered(names, _AUTO_INPUT_2, 1)


def _renumbered(names: Sequence[str], automatic: Any, first: int) -> List[str]:
    """Names that Keras counted up over a process, counted as in a fresh one; their order stays,
    whatever that of the inputs is, so that names which were given do not change places."""
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
    """A name for each output tensor, in the order of tf.nest.flatten."""
    stems = stems_of(structure, "output")
    names = getattr(_keras.functional_of(model), "output_names", None)
    if not isinstance(structure, Mapping) and names and len(names) == len(stems):
        stems = [stem if _AUTO_MODEL.match(name) else name for stem, name in zip(stems, names)]
    return spread(structure, stems)


def scopes_of(model: Any) -> Callable[[str], bool]:
    """Which leading name scopes are only a model's name, which Keras counts up."""
    own = {model.name, _keras.functional_of(model).name}

    def is_scope(scope: str) -> bool:
        return (
            re.sub(r"(_\d+)+$", "", scope) in own or scope in own or bool(_AUTO_MODEL.match(scope))
        )

    return is_scope
