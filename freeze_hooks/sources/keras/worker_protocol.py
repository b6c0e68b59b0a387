"""What passes between a training on another backend and the process that plans its model."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional, Sequence, Tuple

from ...plan.file_options import FileOptions
from ..own_lines import Line
from .own_things import Thing

MODEL, TASK, ANSWER = "model.keras", "task.pickle", "answer.pickle"

Place = Tuple[Optional[int], str]


@dataclasses.dataclass(frozen=True)
class Task:
    """What to do with the model in the same directory.

    Attributes:
      input_signature: as in `plan_keras_model`.
      spec, inputs: of the batches that it was trained on, where they were looked at: see Batches.
      shapes: what it was built for, where nothing else is known.
      file: how the file is made.
      things: the user's own classes and functions, which it may need.
      settings: of keras.config.
      numbers: of the layers, by `layer_numbers`.
      wider: an input_signature to try first, of any batch size.
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


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes:
      plan: the FreezePlan.
      taken: by files of it.
      places: for each slot, the index of its variable in `model.variables`, None if it is not
        there, and its path.
      error: what went wrong instead, in full.
      kind: the class of that, if it is a FreezeError.
      layer: the layer in which it went wrong, if it is known.
      line: the user's own line at which it did, if it is known.
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
