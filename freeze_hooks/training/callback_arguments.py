"""Checks FreezeCallback's arguments, and refuses some of ModelCheckpoint."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Tuple

from ..errors import FreezeError, near
from ..plan.formats import Format

# {argument: (whether a value changes nothing, why other values are refused)}
_REASONS: Dict[str, Tuple[Callable[[Any], bool], str]] = {
    "save_weights_only": (
        lambda given: not given,
        "a frozen file is graph and weights in one: leave it out; to save weights too, give "
        "beside=ModelCheckpoint(..., save_weights_only=True)",
    ),
    "options": (
        lambda given: given is None,
        "it says how TensorFlow writes a checkpoint or a SavedModel, and a frozen file is neither "
        "(a path's scheme tells its file system): leave it out",
    ),
    "period": (
        lambda given: given == 1,
        "Keras no longer counts epochs between saves: give save_freq= in batches; `fit` shows how "
        "many an epoch has",
    ),
    "load_weights_on_restart": (
        lambda given: not given,
        "a frozen file has no variables to train on: keras.callbacks.BackupAndRestore goes on from "
        "an interrupted training, and model.load_weights() from what ModelCheckpoint saved",
    ),
}


def check_arguments(given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Check extra arguments: those of ModelCheckpoint are allowed if they change nothing.

    Args:
      given: {argument that FreezeCallback does not have: value}.
      known: names of the arguments that it has.

    Raises:
      FreezeError: a value asks for what a frozen file cannot do; gives the reason.
      TypeError: ModelCheckpoint does not have the argument either.
    """
    for name, value in given.items():
        if name not in _REASONS:
            close = near(name, [*known, *_REASONS])
            hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
            raise TypeError(f"FreezeCallback has no argument {name!r}{hint}")
        asks_nothing, reason = _REASONS[name]
        if not asks_nothing(value):
            raise FreezeError(f"{name}={value!r} of ModelCheckpoint is refused: {reason}")


def check_mode(mode: Any) -> None:
    """Check that `mode=` is valid, and not ModelCheckpoint's argument at this position.

    Raises:
      FreezeError: it is not.
    """
    if mode in ("auto", "min", "max"):
        return
    moved = (
        " (ModelCheckpoint has save_weights_only= at this position, which FreezeCallback does "
        "not have: give arguments by name)"
    )
    more = moved if isinstance(mode, bool) else ""
    raise FreezeError(f'mode= is "auto", "min" or "max", not {mode!r}{more}')


def check_destination(filepath: Any, beside: Any, chooses: bool) -> None:
    """Check that exactly one of `filepath=` and `beside=` is given.

    Args:
      chooses: whether other arguments say which files to save or keep.

    Raises:
      FreezeError: both are given, or none, or `beside=` together with such arguments.
    """
    if (filepath is None) == (beside is None):
        raise FreezeError("give filepath=, where to write, or beside= a ModelCheckpoint")
    if beside is not None and chooses:
        raise FreezeError("with beside=, the ModelCheckpoint decides what is saved and kept")


def check_keeping(max_to_keep: Optional[int], template: str, form: Format) -> None:
    """Check that `max_to_keep=` can find old artifacts of a path, which may have fields.

    Raises:
      FreezeError: their directory varies, or the path of files does not end in .pb.
    """
    if max_to_keep is None:
        return
    if "{" in os.path.dirname(template):
        raise FreezeError("max_to_keep= needs a filepath= whose directory is the same each time")
    if not (form.is_directory or template.endswith(form.suffix)):
        raise FreezeError("max_to_keep= deletes only frozen files: filepath= must end in .pb")
