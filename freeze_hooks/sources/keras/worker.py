"""Plans a JAX or PyTorch model on TensorFlow, in a separate process."""

from __future__ import annotations

import contextlib
import os
import pickle
import traceback
from typing import Any, Optional, Tuple

from ... import _keras
from ...errors import FreezeError, NotFreezableError
from ..own_lines import own_line, said
from .arguments import Arguments
from .batches import Batches
from .layer_numbers import set_numbers
from .model import handles_of, plan_traced
from .own_things import unpacked
from .trace import traced, traced_as_built
from .worker_protocol import ANSWER, MODEL, TASK, Answer, Task

_AUTOGRAPH = "in user code:"


def main(where: str) -> None:
    """Do the task in a directory, and write the answer into a file beside it."""
    try:
        with open(os.path.join(where, TASK), "rb") as file:
            task = pickle.load(file)
        answer = _plan(os.path.join(where, MODEL), task)
    except BaseException as error:  # also SystemExit from a module that is imported
        answer = _failure(error)
    with open(os.path.join(where, ANSWER), "wb") as file:
        pickle.dump(answer, file)


def _plan(path: str, task: Task) -> Answer:
    import keras

    keras.config.disable_traceback_filtering()  # so that the layer at fault is in the traceback
    for name, value in task.settings.items():
        getattr(keras.config, "set_" + name)(value)
    things = unpacked(task.things)
    keras.saving.get_custom_objects().update(things)  # for code that looks them up by name
    # Not safe mode: the same user made the model, with its Lambda layers, a moment ago.
    model = keras.saving.load_model(path, things, compile=False, safe_mode=False)
    set_numbers(_keras.all_layers(model), task.numbers)
    plan, taken = plan_traced(model, _traced(model, task), task.file, task.others)
    indices = {id(h): i for i, v in enumerate(model.variables) for h in handles_of(v)}
    found = [indices.get(id(handle)) for handle in plan.handles]
    places = [(i, "" if i is None else str(model.variables[i].path)) for i in found]
    return Answer(plan.plan, taken, places)


def _traced(model: Any, task: Task) -> Tuple[Arguments, Any]:
    if task.wider is not None:
        with contextlib.suppress(NotFreezableError):  # layers may need the size they were built for
            return traced(model, task.wider, None)
    if task.shapes is not None:
        return traced_as_built(model, task.shapes)
    seen = Batches()
    seen.spec, seen.inputs = task.spec, task.inputs
    return traced(model, task.input_signature, seen)


def _failure(error: BaseException) -> Answer:
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, FreezeError) and error.__cause__ is None:
        return Answer(error=str(error), kind=type(error).__name__, trace=trace)
    root = _root(error)
    layer = _layer_at_fault(root) or _layer_at_fault(error)
    return Answer(error=said(root), layer=layer, line=own_line(error), trace=trace)


def _root(error: BaseException) -> BaseException:
    """Return the original error behind those that Keras and AutoGraph raise from it."""
    while True:
        text = str(error)
        wrapped = "ncountered: " in text or "ncountered:\n" in text or text.startswith(_AUTOGRAPH)
        behind = error.__cause__ or (error.__context__ if wrapped else None)
        if behind is None:
            return error
        error = behind


def _layer_at_fault(error: BaseException) -> Optional[str]:
    """Return the innermost layer, not Keras's own, whose code an error passed through."""
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
