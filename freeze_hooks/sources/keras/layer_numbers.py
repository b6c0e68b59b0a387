"""Copies numbers and switches of users' own layers to the copies that Keras makes by config.

A config may lack what a callback has set since the layer was made.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Sequence, Tuple

import numpy as np

from ... import _keras
from ...plan.fingerprint.named_in_code import is_library
from ...plan.fingerprint.traced_from import layer_class, names_of_bare
from ...plan.fingerprint.value_images import image

Numbers = Tuple[str, Dict[str, Any]]  # of one layer: its class's name, and {attribute: value}
_KINDS = (bool, int, float, complex, np.generic)


def numbers_of(layers: Iterable[Any]) -> List[Numbers]:
    """Return the numbers among each layer's attributes; none for Keras's own layers.

    The configs of Keras's own layers are complete.
    """
    return [(type(layer).__qualname__, _numbers(layer)) for layer in layers]


def set_numbers(layers: Sequence[Any], numbers: Sequence[Numbers]) -> None:
    """Set the layers' numbers on their copies, which are in the same order."""
    if [type(layer).__qualname__ for layer in layers] != [kind for kind, _ in numbers]:
        return
    for layer, (_, known) in zip(layers, numbers):
        own = _numbers(layer)
        for name, value in known.items():
            if name in own and image(own[name]) != image(value):
                setattr(layer, name, value)


def _numbers(layer: Any) -> Dict[str, Any]:
    kind: Any = type(layer)
    if is_library(kind.__module__):
        return {}
    notes = names_of_bare(layer_class(kind))
    return {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, _KINDS) and name not in notes and not _keras.is_passing(name)
    }
