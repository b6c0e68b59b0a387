"""Finds what `signatures=` names in a Keras model: layers, tensors and functions."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from ... import _keras
from ...errors import FreezeError, UnknownNameError, near
from ...plan.spec import Signatures, ends_given, further


class Place(NamedTuple):
    """Where a symbolic tensor of a functional model is made, in any process.

    Attributes:
      layer: the layer's name.
      call: which of the layer's calls, from 0.
      output: which of the tensors that the call returns.
    """

    layer: str
    call: int
    output: int


class Further(NamedTuple):
    """A further signature: its inputs by name (None: those of the model), and its outputs."""

    inputs: Optional[Dict[str, Place]]
    outputs: Dict[str, Place]


def further_ends(model: Any, signatures: Signatures) -> Dict[str, Union[Further, Any]]:
    """Return {key: Further, or a function} for the argument `signatures=` of a Keras model.

    Raises:
      UnknownNameError: the model has no layer of this name; names near matches.
      FreezeError: a value is not possible, or the model's layers have no symbolic tensors.
    """
    found: Dict[str, Any] = {}
    for key, given in further(signatures).items():
        if callable(given) or (isinstance(given, tuple) and callable(given[0])):
            found[key] = given
            continue
        inputs, outputs = ends_given(key, given)
        try:
            found[key] = Further(
                None if inputs is None else dict(_places(model, inputs)),
                dict(_places(model, outputs)),
            )
        except UnknownNameError as error:
            raise UnknownNameError(f"signatures=: {key!r}: {error}") from None
        except FreezeError as error:
            raise FreezeError(f"signatures=: {key!r}: {error}") from None
    return found


def _places(model: Any, given: Any) -> List[Tuple[str, Place]]:
    """Return (name, place) of layers and tensors: one, a list, or a dict by names in the file."""
    if isinstance(given, Mapping):
        return [(str(name), _place(model, each)[1]) for name, each in given.items()]
    each = given if isinstance(given, (list, tuple)) else [given]
    found: List[Tuple[str, Place]] = []
    for one in each:
        name, place = _place(model, one)
        found.append((name, place))
    if len({name for name, _ in found}) < len(found):
        raise FreezeError("two of its ends have the same name: give a dict {name: layer or tensor}")
    return found


def _place(model: Any, given: Any) -> Tuple[str, Place]:
    layer = _layer(model, given) if isinstance(given, str) else _keras.layer_of(given)
    if layer is None:
        raise FreezeError(
            f"{given!r} is no layer's name, and no tensor of a functional model; a tf.function, or "
            "(function, input_signature), can be a signature too"
        )
    calls = _keras.calls_in(_keras.functional_of(model), layer)
    if not calls:
        raise FreezeError(
            f"{model.name!r} is not a functional or Sequential model that calls {layer.name!r} "
            "itself: give a tf.function that computes the signature, or (function, input_signature)"
        )
    places = [
        Place(layer.name, call, output)
        for call, tensors in enumerate(calls)
        for output, tensor in enumerate(tensors)
        if isinstance(given, str) or tensor is given
    ]
    if len(places) != 1:
        raise FreezeError(
            f"layer {layer.name!r} gives {len(places)} tensors here: give the tensor that you want"
        )
    return layer.name, places[0]


def _layer(model: Any, name: str) -> Any:
    layers = {layer.name: layer for layer in model.layers}
    if name not in layers:
        close = near(name, layers) or sorted(layers)
        raise UnknownNameError(
            f"{model.name!r} has no layer {name!r}: did you mean {', '.join(map(repr, close))}?"
        )
    return layers[name]


def submodel(model: Any, key: str, ends: Further) -> Any:
    """Return the functional model of a further signature, by its key; it has `model`'s layers.

    Raises:
      FreezeError: its outputs need more inputs.
    """
    inner = _keras.functional_of(model)
    named, outputs = tensors_of(model, ends)
    inputs = inner.input if named is None else named
    try:
        return _keras.model_class(model)(inputs, outputs)
    except ValueError as error:
        raise FreezeError(
            f"signatures=: {key!r}: its outputs cannot be computed from its inputs: {error}"
        ) from None


def tensors_of(model: Any, ends: Further) -> Tuple[Optional[Dict[str, Any]], Dict[str, Any]]:
    """Return the tensors of a further signature: (inputs by name, or None; outputs by name)."""
    outputs = {name: _tensor(model, place) for name, place in ends.outputs.items()}
    if ends.inputs is None:
        return None, outputs
    return {name: _tensor(model, place) for name, place in ends.inputs.items()}, outputs


def _tensor(model: Any, place: Place) -> Any:
    calls = _keras.calls_in(_keras.functional_of(model), _operation(model, place.layer))
    return calls[place.call][place.output]


def _operation(model: Any, name: str) -> Any:
    """Return a layer, or the operation of Keras 3 behind a computation with symbolic tensors."""
    inner = _keras.functional_of(model)
    return next(each for each in getattr(inner, "operations", inner.layers) if each.name == name)
