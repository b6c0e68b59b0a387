"""Messages between a training on another backend and the process that plans its model."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ...plan.file_options import FileOptions
from ..own_lines import Line
from .own_things import Thing

MODEL, TASK, ANSWER = "model.keras", "task.pickle", "answer.pickle"

Place = Tuple[Optional[int], str]


@dataclasses.dataclass(frozen=True)
class Task:
    """How to plan the model in the same directory.

    Attributes:
      input_signature: as in `plan_keras_model`.
      spec, inputs: as in Batches, if the batches of its training were looked at.
      shapes: the shapes that it was built for, if nothing else is known.
      file: the options of the file.
      things: the user's own classes and functions that it may need.
      settings: {name: value} of keras.config.
      numbers: the layers' numbers, from `layer_numbers`.
      wider: an input_signature with any batch size, to try first.
      others: {key: Further} of further signatures.
    """

    input_signature: Any
    spec: Any
    inputs: Any
    shapes: Any
    file: FileOptions
    things: Sequence[Thing]
    settings: Dict[str, Any]
    numbers: Sequence[Any] = ()
    wider: Any = None
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Answer:
    """The result of a task.

    Attributes:
      plan: the FreezePlan.
      taken: what its files take and return, by signature.
      places: for each slot, the index of its variable in `model.variables` (None if it is not
        there) and its path.
      error: the error's text, if the task failed.
      kind: the error's class, if it is a FreezeError.
      layer: the layer that raised it, if known.
      line: the user's own line that raised it, if known.
      trace: the traceback.
    """

    plan: Any = None
    taken: Any = None
    places: Sequence[Place] = ()
    error: Optional[str] = None
    kind: Optional[str] = None
    layer: Optional[str] = None
    line: Optional[Line] = None
    trace: str = ""
