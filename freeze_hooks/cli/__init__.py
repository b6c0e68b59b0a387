"""The command `freeze-hooks`."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import warnings


def main() -> None:
    """Run the command with the program's arguments, and exit with its code."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        sys.exit(
            f"freeze-hooks: {error.name} is not installed, and the command needs it: "
            "pip install 'freeze-hooks[cli]'"
        )
    if "--debug" not in sys.argv:
        _hush()
    from .command import report_warnings
    from .group import commands

    report_warnings()
    commands(prog_name="freeze-hooks")


def _hush() -> None:
    """Keep TensorFlow's C++ log lines, some of which ignore the log level, off standard error.

    Only Python still writes there. An error in C++ raises an exception; a crash prints a traceback.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").addFilter(lambda record: record.levelno >= logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings from TensorFlow's own imports
    sys.stderr.flush()
    encoding = sys.stderr.encoding
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=encoding, errors="replace")
    faulthandler.enable(sys.stderr)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
