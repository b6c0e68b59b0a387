"""What runs in a process of its own, with Keras on TensorFlow, to plan a model of elsewhere."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pickle
import traceback
from typing import Any, Optional, Tuple

from .batches import Batches
from .errors import FreezeError, NotFreezableError
from .keras_arguments import Arguments
from .keras_model import handles_of, plan_traced
from .keras_trace import traced, traced_as_built
from .layer_numbers import set_numbers
from .planning import ANSWER, MODEL, TASK, Answer, Task


def main(where: str) -> None:
    """Answer the task in a directory by a file beside it."""
    with open(os.path.join(where, TASK), "rb") as file:
        task = pickle.load(file)
    try:
        answer = _plan(os.path.join(where, MODEL), task)
    except Exception as error:
        answer = _failure(error)
    with open(os.path.join(where, ANSWER), "wb") as file:
        pickle.dump(answer, file)


def _plan(path: str, task: Task) -> Answer:
    import keras

    keras.config.disable_traceback_filtering()  # so that the layer at fault is found in it
    for name, value in task.settings.items():
        getattr(keras.config, "set_" + name)(value)
    classes = [_imported(*where) for where in task.classes]
    for module in task.custom_modules:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    # The model was made by the same user a moment ago, Lambda layers and all.
    model = keras.saving.load_model(
        path, {kind.__name__: kind for kind in classes}, compile=False, safe_mode=False
    )
    set_numbers([model, *model._flatten_layers(include_self=False)], task.numbers)
    plan, taken, _ = plan_traced(model, _traced(model, task), None, task.form)
    indices = {id(h): i for i, v in enumerate(model.variables) for h in handles_of(v)}
    found = [indices.get(id(handle)) for handle in plan.handles]
    places = [(i, "" if i is None else str(model.variables[i].path)) for i in found]
    return Answer(plan.plan, taken, places)


def _traced(model: Any, task: Task) -> Tuple[Arguments, Any]:
    if task.wider is not None:
        with contextlib.suppress(NotFreezableError):  # layers may want the size they were built for
            return traced(model, task.wider, None)
    if task.shapes is not None:
        return traced_as_built(model, task.shapes)
    seen = Batches()
    seen.spec, seen.inputs = task.spec, task.inputs
    return traced(model, task.input_signature, seen)


def _imported(module: str, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def _failure(error: BaseException) -> Answer:
    if isinstance(error, FreezeError) and error.__cause__ is None:
        return Answer(error=str(error), kind=type(error).__name__)
    root = _root(error)
    said = str(root).strip().splitlines()
    text = type(root).__name__ + (f": {said[0]}" if said else "")
    return Answer(error=text, layer=_layer_at_fault(root) or _layer_at_fault(error))


def _root(error: BaseException) -> BaseException:
    """What went wrong first, behind what Keras says of it when it loads a model."""
    while True:
        wrapped = "ncountered: " in str(error) or "ncountered:\n" in str(error)
        behind = error.__cause__ or (error.__context__ if wrapped else None)
        if behind is None:
            return error
        error = behind


def _layer_at_fault(error: BaseException) -> Optional[str]:
    """The innermost layer, not one of Keras's own, whose code an error passed through."""
    import keras

    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.layers.Layer) and _is_own(owner):
            found = f"layer {owner.name!r} ({type(owner).__name__})"
    return found


def _is_own(layer: Any) -> bool:
    kind = type(layer)
    return kind.__module__.split(".")[0] != "keras" or kind.__name__ == "Lambda"
