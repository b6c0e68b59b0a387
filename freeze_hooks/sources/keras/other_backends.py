"""Freezes Keras 3 models on JAX or PyTorch: planned on TensorFlow, with values of the training."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from ... import _keras, _protos, errors
from ...errors import FreezeError, NotFreezableError
from ...plan.file_options import FileOptions
from ...plan.types import FreezePlan, Slot
from ...proof.asked import verify_of
from ...proof.asking import all_expected, askings_of
from ...proof.keras_call import array_of
from ...signature import SERVING
from ...values.session_reads import as_value
from ...values.value import Value
from ..function_plan import FunctionPlan
from ..own_lines import own_line_of_crash, shown, told
from .answers import expecting
from .arguments import Arguments, readings
from .batches import Batches
from .further_ends import Further, submodel
from .input_types import built_with, declared, not_known, opened
from .layer_numbers import numbers_of
from .own_things import Thing, asked_for, named_apart, packed, things_of
from .training_state import averages_of, synchronize
from .worker_protocol import ANSWER, MODEL, TASK, Answer, Task

# First sys.path is set: freeze_hooks and the model's modules may be found only through it.
_RUN = (
    "import sys; where, sys.path[:] = sys.argv[1], sys.argv[2:]; "
    "from freeze_hooks.sources.keras.worker import main; main(where)"
)
_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "PYTHONFAULTHANDLER": "1",
    "CUDA_VISIBLE_DEVICES": "-1",  # the training uses the accelerators
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_COUNTED = re.compile(r"(_\d+)+(?=/|$)")
_FATAL = "Fatal Python error"
_TOLD = 4000  # characters of a process's last output
_WRAPPERS = ("JaxLayer", "FlaxLayer", "TorchModuleWrapper")


class ElsewhereError(Exception):
    """The text of another process's traceback."""


def plan_elsewhere(
    model: Any,
    seen: Optional[Batches],
    input_signature: Any,
    file: FileOptions,
    others: Mapping[str, Any],
) -> FunctionPlan:
    """Plan a JAX or PyTorch model in a process that runs Keras on TensorFlow.

    Args:
      model, input_signature: as in `plan_keras_model`.
      seen: as in `plan_seen`.
      file: the options of its files.
      others: {key: Further} of further signatures.

    Raises:
      FreezeError: the model cannot be saved, loaded on TensorFlow, or frozen.
    """
    for key, ends in others.items():
        if not isinstance(ends, Further):
            raise FreezeError(
                f"signatures=: {key!r} is a function of TensorFlow, and {model.name!r} computes "
                f"on {_keras.backend_of(model)}: name its layers"
            )
    synchronize(model)
    # this process handles the others
    there = dataclasses.replace(file, ema=None, verify=None, custom_metadata=None, assets=None)
    task = dataclasses.replace(_task(model, seen, input_signature, there), others=others)
    answer = _ask(model, task)
    plan = _plan_of(model, answer, file)
    verify = verify_of(file.verify, file.weights)
    if verify is not None:
        averaged = model if file.ema else None
        each = []
        for key, asking in askings_of(verify, plan.plan.signatures).items():
            own = model if key == SERVING else submodel(model, key, others[key])
            same = key == SERVING or others[key].inputs is None
            batches = seen if same else None
            each.append(expecting(own, answer.taken[key], batches, averaged, asking))
        plan.expected = functools.partial(all_expected, each)
    return plan


def _task(model: Any, seen: Optional[Batches], input_signature: Any, file: FileOptions) -> Task:
    given, said = input_signature, declared(model)
    shapes = spec = inputs = wider = None
    if given is not None:
        _build(model, readings(model, given))
    elif said is not None:
        given, wider = said.args[0], opened(model, said.args[0])
    elif seen is not None and seen.spec is not None:
        spec = seen.spec
        inputs = tf.nest.map_structure(array_of, seen.inputs)
        _build(model, [Arguments((spec,))])
    else:
        shapes = built_with(model)
        if shapes is None:
            raise not_known(model)
    layers = _keras.all_layers(model)
    _refuse_wrappers(model, layers)
    numbers = numbers_of(layers)
    return Task(given, spec, inputs, shapes, file, (), _settings(), numbers, wider)


def _build(model: Any, meanings: Sequence[Arguments]) -> None:
    """Build a model, if it is not, by a call with symbols in the first meaning that works."""
    import keras

    def symbol(spec: Any) -> Any:
        return keras.KerasTensor(tuple(spec.shape), spec.dtype.name)

    failure: Optional[Exception] = None
    for arguments in meanings if not model.built else ():
        call = arguments.filled(map(symbol, arguments.leaves))
        try:
            model(*call.args, **call.kwargs)
            return
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _refuse_wrappers(model: Any, layers: Sequence[Any]) -> None:
    import keras

    for layer in layers:
        for wrapper in _WRAPPERS:
            kind: Any = getattr(keras.layers, wrapper, ())
            if isinstance(layer, kind):
                raise NotFreezableError(
                    f"layer {layer.name!r} of {model.name!r} is a {wrapper}, whose code cannot run "
                    "on TensorFlow: write it with Keras layers and keras.ops"
                )


def _settings() -> Dict[str, Any]:
    import keras

    names = ("floatx", "epsilon", "image_data_format")
    return {name: getattr(keras.config, name)() for name in names}


def _saved(model: Any, path: str) -> List[Thing]:
    """Save a model; return the user's own classes and functions that it needs."""
    things, registered = things_of(_keras.all_layers(model))
    with named_apart(things) as named:
        try:
            model.save(path)
        except Exception as error:
            raise NotFreezableError(
                f"{model.name!r} cannot be saved as a .keras file, which passes it to the process "
                f"that plans it on TensorFlow: {told(error)}"
            ) from error
    return packed(named, registered, asked_for(path))


def _ask(model: Any, task: Task) -> Answer:
    with tempfile.TemporaryDirectory(prefix="freeze_hooks-") as where:
        things = _saved(model, os.path.join(where, MODEL))
        task = dataclasses.replace(task, things=things)
        with open(os.path.join(where, TASK), "wb") as file:
            pickle.dump(task, file)
        path = [entry for entry in sys.path if isinstance(entry, str)]
        run = subprocess.run(
            [sys.executable, "-c", _RUN, where, *path],
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            with open(os.path.join(where, ANSWER), "rb") as file:
                answer = pickle.load(file)
        except OSError:
            raise _ended(model, run.returncode, run.stderr.decode(errors="replace")) from None
    if answer.error is not None:
        raise _error_of(model, answer) from ElsewhereError(answer.trace)
    return answer


def _ended(model: Any, code: int, words: str) -> FreezeError:
    """Return the error for a process that ended without an answer."""
    fatal = words.find(_FATAL)
    words = words[fatal:] if fatal >= 0 else words[-_TOLD:]
    line = own_line_of_crash(words)
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return FreezeError(
        ("" if line is None else shown(line) + "\n")
        + f"the process that plans {model.name!r} on TensorFlow {how}: "
        + (words.strip() or "it said nothing")
    )


def _error_of(model: Any, answer: Answer) -> FreezeError:
    if answer.kind is not None:  # our own error, whose message is complete
        return getattr(errors, answer.kind)(answer.error)
    culprit = f"{answer.layer} of {model.name!r}" if answer.layer else repr(model.name)
    line = "" if answer.line is None else shown(answer.line) + "\n"
    return NotFreezableError(
        f"{line}{answer.error}\n"
        f"{culprit} cannot run on TensorFlow, as a frozen file needs it to: its layers must "
        "compute only with keras.ops, and keras.saving.load_model must load it"
    )


def _plan_of(model: Any, answer: Answer, file: FileOptions) -> FunctionPlan:
    plan: FreezePlan = dataclasses.replace(answer.plan, carried=file.carried)
    variables = [_counterpart(model, slot, place) for slot, place in zip(plan.slots, answer.places)]
    dtypes = [_protos.numpy_dtype(slot.variable.dtype) for slot in plan.slots]
    shared = _keras.backend_of(model) == "jax"

    def values() -> Iterator[Value]:
        averages = {id(v): average for v, average in averages_of(model)} if file.ema else {}
        for variable, dtype in zip(variables, dtypes):
            yield as_value(_array(averages.get(id(variable), variable), shared, dtype))

    return FunctionPlan(plan, values)


def _counterpart(model: Any, slot: Slot, place: Any) -> Any:
    """Return this process's variable for a slot, whose variable in the worker is a copy of it."""
    index, path = place
    if index is None:
        raise NotFreezableError(
            f"variable {slot.variable.node!r} is not among the variables of {model.name!r}: "
            "make it with add_weight(), or assign its layer to an attribute of the model"
        )
    variable = dict(enumerate(model.variables)).get(index)
    if (
        variable is None
        or not _same_name(variable.path, path)
        or tuple(variable.shape) != slot.variable.shape
    ):
        here = "none" if variable is None else f"{variable.path!r}, {list(variable.shape)}"
        raise NotFreezableError(
            f"loaded on TensorFlow, {model.name!r} has other variables than here: there it uses "
            f"{path!r}, {slot.variable.shape}, and here {here}; its layers must make the same "
            "variables in the same order on every backend"
        )
    _check_dtype(variable, slot)
    return variable


def _same_name(here: str, there: str) -> bool:
    """Return whether two paths have equal ends, but for the numbers that Keras gives to layers.

    What comes before the end, and the numbers, depend on how a model was built.
    """
    pairs = zip(_COUNTED.sub("", here).split("/")[::-1], _COUNTED.sub("", there).split("/")[::-1])
    return all(a == b for a, b in itertools.islice(pairs, 2))  # the variable's name and its layer's


def _check_dtype(variable: Any, slot: Slot) -> None:
    there = tf.as_dtype(slot.variable.dtype)
    here = tf.as_dtype(str(variable.dtype))
    if here == there or (here.is_integer and there.is_integer):  # seeds differ in width
        return
    raise NotFreezableError(
        f"variable {variable.path!r} is {here.name} here, but {there.name} on TensorFlow: give "
        "its layer a dtype"
    )


def _array(variable: Any, shared: bool, dtype: Any) -> Any:
    """Return a variable's present value, which does not change while training goes on."""
    import keras

    # PyTorch updates in place, so its value is copied. JAX does not reuse a donated buffer while an
    # array refers to it.
    array = np.asarray(variable.value) if shared else keras.ops.convert_to_numpy(variable.value)
    return array.astype(dtype, copy=False)
