"""Which arguments FreezeCallback takes together, and those of ModelCheckpoint that it refuses."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Tuple

from ..errors import FreezeError, near

# {argument: (whether a value asks for nothing, why another is refused)}
_REASONS: Dict[str, Tuple[Callable[[Any], bool], str]] = {
    "save_weights_only": (
        lambda given: not given,
        "a frozen file is graph and weights in one: leave it out; to save weights too, give "
        "beside=ModelCheckpoint(..., save_weights_only=True)",
    ),
    "options": (
        lambda given: given is None,
        "they say how TensorFlow writes a checkpoint or a SavedModel, and a frozen file is neither "
        "(a path on another file system is told by its scheme): leave it out",
    ),
    "period": (
        lambda given: given == 1,
        "Keras has no epochs between saves any more: say save_freq= in batches, of which an epoch "
        "has as many as `fit` shows",
    ),
    "load_weights_on_restart": (
        lambda given: not given,
        "a frozen file has no variables to train on: keras.callbacks.BackupAndRestore goes on from "
        "an interrupted training, and model.load_weights() from what ModelCheckpoint saved",
    ),
}


def check_arguments(given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Take arguments of ModelCheckpoint that ask for nothing else than what is done anyway.

    Args:
      given: those that FreezeCallback does not have.
      known: the names of those that it has.

    Raises:
      FreezeError: one asks for what a frozen file cannot be; the reason is told.
      TypeError: one is not ModelCheckpoint's either.
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
    """Make sure that `mode=` is one, and not what ModelCheckpoint has at that position.

    Raises:
      FreezeError: it is not.
    """
    if mode in ("auto", "min", "max"):
        return
    moved = (
        " (by position, ModelCheckpoint has save_weights_only= there, and FreezeCallback has no "
        "such: give arguments by name)"
    )
    more = moved if isinstance(mode, bool) else ""
    raise FreezeError(f'mode= is "auto", "min" or "max", not {mode!r}{more}')


def check_destination(filepath: Any, beside: Any, chooses: bool) -> None:
    """Make sure that one of `filepath=` and `beside=` says where to write.

    Args:
      chooses: whether other arguments say what is saved or kept.

    Raises:
      FreezeError: both do, or none, or `beside=` has a ModelCheckpoint that chooses itself.
    """
    if (filepath is None) == (beside is None):
        raise FreezeError("give filepath=, where to write, or beside= a ModelCheckpoint")
    if beside is not None and chooses:
        raise FreezeError("with beside=, the ModelCheckpoint says what is saved and what stays")


def check_keeping(max_to_keep: Optional[int], template: str) -> None:
    """Make sure that old files of a path, which may have fields, are known by it.

    Raises:
      FreezeError: their directory varies, or their names are not a frozen file's.
    """
    if max_to_keep is None:
        return
    if "{" in os.path.dirname(template):
        raise FreezeError("max_to_keep= needs a filepath= whose directory is the same each time")
    if not template.endswith(".pb"):
        raise FreezeError("max_to_keep= deletes frozen files alone: end filepath= in .pb")
