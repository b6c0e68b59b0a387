"""What all commands share: errors, and the parsing of arguments."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any, Callable, Dict, Iterable, List, Optional, Union

import click

from .quick_start import load_messages

_PAIR = re.compile(r"\b(bind|inputs)=\{'([^']+)': '?([^'}]+)'?\}")
_ARGUMENTS = re.compile(
    r"\b(outputs|inputs|bind|checkpoint|reader|signature|tags|weights|optimize|lower_control_flow)=(?![\w\"'{])"
)
DEBUG = "Show TensorFlow's log, and where an error comes from."


class Command(click.Command):
    """A command that prints one line and exits with 2 if a path, name or file is wrong."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        debug = click.Option(["--debug"], is_flag=True, help=DEBUG)
        self.params.append(debug)

    def invoke(self, ctx: click.Context) -> Any:
        load_messages()
        if ctx.params.pop("debug") or ctx.find_root().params.get("debug"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if not _is_expected(error):
                raise
            click.echo(f"freeze-hooks {self.name}: {_in_flags(_said(error))}", err=True)
            raise click.exceptions.Exit(2) from None


def _is_expected(error: Exception) -> bool:
    from ..errors import FreezeError

    if isinstance(error, (FreezeError, OSError)):
        return True
    if "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return isinstance(error, tf.errors.OpError)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(getattr(error, "message", error))


def _in_flags(text: str) -> str:
    """Return a message with the options of the command in place of Python arguments."""
    text = _PAIR.sub(r"--\1 \2=\3", text)
    return _ARGUMENTS.sub(lambda found: "--" + found.group(1).replace("_", "-"), text)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {_in_flags(record.getMessage())}", err=True)


def report_warnings() -> None:
    """Print this package's warnings as lines on standard error."""
    ours = logging.getLogger("tensorflow.freeze_hooks")
    ours.addHandler(_Lines())
    ours.propagate = False
    ours.setLevel(logging.WARNING)


def options(*given: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return one decorator that adds several options in order."""

    def decorate(function: Any) -> Any:
        for option in reversed(given):
            function = option(function)
        return function

    return decorate


def names(given: Iterable[str]) -> Union[List[str], Dict[str, str], None]:
    """Parse options that name tensors: each `a,b` or `name=tensor`; return None without any."""
    parts = [part.strip() for text in given for part in text.split(",") if part.strip()]
    if not parts:
        return None
    if not any("=" in part for part in parts):
        return parts
    pairs = [part.partition("=") for part in parts]
    return {key: tensor or key for key, _, tensor in pairs}


def bound(given: Iterable[str]) -> Optional[Dict[str, Any]]:
    """Return {tensor: value} for `NAME=VALUE` options; a value is JSON, True, False or text."""
    found: Dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"takes NAME=VALUE, not {text!r}", param_hint="--bind")
        try:
            found[name] = json.loads({"True": "true", "False": "false"}.get(value, value))
        except ValueError:
            found[name] = value
    return found or None


def existing(path: str) -> str:
    """Return the path if it is a file; else raise an error that names near matches."""
    from ..frozen.other_kinds import nothing_at, told_directory
    from ..storage.listing import exists, is_directory

    if not exists(path):
        raise nothing_at(path)
    if is_directory(path):
        raise told_directory(path)
    return path


def frozen(path: str) -> str:
    """Return the path if it is an artifact; the content of a large one is not checked.

    The check runs before TensorFlow is imported, so that an error comes at once.
    """
    from ..frozen.frozen_saved_model import size_of
    from ..frozen.reader import read_graph_def
    from ..sources.asked_names import QUICK

    if size_of(artifact(path)) <= QUICK:
        read_graph_def(path)
    return path


def artifact(path: str) -> str:
    """Return the path if it is a file, a SavedModel or a TF.js model; else raise, as `existing`."""
    from ..frozen.frozen_graph_model import is_graph_model
    from ..frozen.frozen_saved_model import is_saved_model

    return path if is_saved_model(path) or is_graph_model(path) else existing(path)


def load_arrays(path: str) -> Dict[str, Any]:
    """Return {name: array} of an .npz file; Python objects in it are not unpickled."""
    import zipfile

    import numpy as np

    from ..errors import InvalidFileError

    existing(path)
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidFileError(f"{path} is no .npz file of plain arrays: {error}") from None
